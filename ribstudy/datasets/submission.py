"""Predicted masks, packed as the evaluation server of PASCAL VOC takes them.

    results/VOC2012/Segmentation/comp6_test_cls/<name>.png      palette PNG: 0 background, 1..20 classes

comp6 is the competition for methods that learn from other data than VOC 2012 too (VOC's devkit_doc): ours starts from weights
of ImageNet and learns from images of SBD. What the server says of the archive is the only score on `test` that there is.
"""

import gzip
import io
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from ribstudy.datasets import Dataset
from ribstudy.datasets.base import write_mask
from ribstudy.datasets.voc12 import VOC_CLASSES
from ribstudy.runtime.files import atomic

COMPETITIONS = ("comp5", "comp6")  # segmentation; comp5 is for methods that learn from VOC 2012 alone
SHOWN = 5  # problems that an error lists


def submit_voc12(dataset: Dataset, masks: Mapping[str, np.ndarray], path: Path, competition: str = "comp6") -> Path:
    """Writes the archive of predictions for all images of an opened split, `test` or, to try it, one with masks.

    masks: by image name, uint8 [H, W] of the image's size, 0 background, 1..20; read one at a time, so they may lie on disk.

    Raises:
        ValueError: other classes than VOC's, or what `write_voc_archive` finds.
    """
    if tuple(dataset.class_names) != VOC_CLASSES:
        raise ValueError(
            f"split {dataset.split} has {len(dataset.class_names)} classes ({', '.join(dataset.class_names[:3])}, ...), but the"
            f" server of VOC takes masks of its own {len(VOC_CLASSES)}; pass a split of data set voc12"
        )
    sizes = partial(_image_size, dataset)
    return write_voc_archive(masks, dataset.names, path, sizes=sizes, competition=competition, split=dataset.split)


def _image_size(dataset: Dataset, name: str) -> tuple[int, int]:
    return dataset.image(name).shape[:2]


def write_voc_archive(
    masks: Mapping[str, np.ndarray],
    names: Sequence[str],
    path: Path,
    *,
    sizes: Callable[[str], tuple[int, int]],
    competition: str = "comp6",
    split: str = "test",
) -> Path:
    """Writes a .tar.gz whose bytes depend on the masks alone, or nothing where one of them cannot be submitted.

    Args:
        masks: by image name, uint8 [H, W], 0 background, 1..20; each is read twice, to check and to write it.
        names: of the images, all of which need a mask; other masks are left out.
        path: of the archive; it is whole or not there.
        sizes: (height, width) of an image.
        competition: comp6, or comp5 for a method that learnt from VOC 2012 alone.
        split: that the folder in the archive is named after.

    Raises:
        ValueError: an unknown competition, another suffix than .tar.gz, no names; or masks that are missing, of another size
            than their image, or hold other classes, the first few of them by name.
    """
    if competition not in COMPETITIONS:
        raise ValueError(f"competition {competition!r} is not known; known: {', '.join(COMPETITIONS)}")
    if not path.name.endswith(".tar.gz"):
        raise ValueError(f"{path}: the server takes a .tar.gz; pass a path that ends so")
    problems = list(_problems(masks, names, sizes))
    if problems or not names:
        more = f"; and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        raise ValueError(
            f"{len(problems)} of {len(names)} images of split {split} have no mask that can be submitted; predict all of them"
            f" first. {'; '.join(problems[:SHOWN])}{more}"
        )
    folder = f"results/VOC2012/Segmentation/{competition}_{split}_cls"
    _write(path, {f"{folder}/{name}.png": name for name in sorted(names)}, masks)
    return path


def _write(path: Path, entries: Mapping[str, str], masks: Mapping[str, np.ndarray]) -> None:
    """entries: place in the archive -> image's name, in the order in which they are written."""
    with (
        atomic(path) as temporary,
        temporary.open("wb") as file,
        # Neither the name nor the time of writing in the header: the same masks give the same bytes.
        gzip.GzipFile(filename="", fileobj=file, mode="wb", mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for place, name in entries.items():
            _add(archive, place, masks[name])


def _problems(masks: Mapping[str, np.ndarray], names: Sequence[str], sizes: Callable[[str], tuple[int, int]]) -> Iterator[str]:
    """What is wrong with the masks, one line at most for each image."""
    there = set(masks)  # `in` would read a mask to see whether it is there
    for name in names:
        if name not in there:
            yield f"{name}: is missing"
            continue
        mask, size = masks[name], tuple(sizes(name))
        unknown = np.setdiff1d(mask, np.arange(len(VOC_CLASSES) + 1)).tolist()
        if mask.dtype != np.uint8:
            yield f"{name}: is {mask.dtype}, not uint8"
        elif mask.shape != size:
            yield f"{name}: is {' x '.join(map(str, mask.shape))} px (height x width), its image {size[0]} x {size[1]}"
        elif unknown:
            yield f"{name}: holds {unknown}, but only 0 to {len(VOC_CLASSES)} are meant"


def _add(archive: tarfile.TarFile, place: str, mask: np.ndarray) -> None:
    """Adds a palette PNG in the devkit's colours, with nothing in its entry that differs between writers or days."""
    buffer = io.BytesIO()
    write_mask(buffer, mask)
    entry = tarfile.TarInfo(place)  # its time, user and group are 0
    entry.size = buffer.tell()
    buffer.seek(0)
    archive.addfile(entry, buffer)
