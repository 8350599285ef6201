"""Writes a part of any data set as a folder of own images, to share it or as an example of the layout."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ribstudy.datasets.base import Dataset, new_folder
from ribstudy.datasets.pictures import VOID, write_jpeg, write_mask


def write_folder(root: Path, dataset: Dataset, names: Sequence[str], class_names: Sequence[str]) -> None:
    """Writes images, labels.csv, classes.txt and masks of some images, in the layout of `folder.py`.

    Only the classes in `class_names` are kept, in this order. In a mask, pixels of other classes become background.

    Raises DataError if `root` is a file or a folder that is not empty.
    """
    kept = [dataset.class_names.index(name) for name in class_names]
    value_of = np.zeros(256, np.uint8)
    value_of[VOID] = VOID
    value_of[np.array(kept) + 1] = np.arange(1, len(kept) + 1)
    masked = set(dataset.masked_names)
    with new_folder(root) as folder:
        (folder / "images").mkdir()
        (folder / "masks").mkdir()
        for name in names:
            write_jpeg(folder / "images" / f"{name}.jpg", dataset.image(name), 95)
            if name in masked:
                write_mask(folder / "masks" / f"{name}.png", value_of[dataset.mask(name)])
        with (folder / "labels.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("image", "class"), *(_row(dataset, name, class_names, kept) for name in names)])
        (folder / "classes.txt").write_text("\n".join(class_names) + "\n")


def _row(dataset: Dataset, name: str, class_names: Sequence[str], indices: Sequence[int]) -> list[str]:
    label = dataset.label(name)
    return [f"{name}.jpg", *(class_name for class_name, index in zip(class_names, indices, strict=True) if label[index])]
