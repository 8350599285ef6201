"""The example of the page on your own data: a folder of drawn aeroplanes, buses and cats, and settings for small images."""

from pathlib import Path

import numpy as np
import pandas as pd

from ribstudy import datasets
from ribstudy.config import load_settings
from ribstudy.datasets.export import write_folder
from ribstudy.method.stored_maps import StoredMaps
from ribstudy.runtime import paths
from ribstudy.runtime.files import locked

CLASSES = ("aeroplane", "bus", "cat")
NUM_IMAGES, NUM_OTHERS = 70, 18  # images with one of the classes, and with none of them
# Enough images to choose from, and parts that a classifier recognises after a few steps.
MINIVOC = {"num_train": 1, "num_train_aug": 200, "num_val": 1, "image_size": 224, "seed": 0, "part_share": 0.6}

# Images of 224 pixels need no crops of 512, and the page should take about a minute.
EXAMPLE = {
    "classifier.epochs": 2,
    "classifier.long_side": [176, 272],
    "classifier.crop_size": 224,
    "cam.scales": [1.0],
    "auxiliary.long_side": [128, 192],
    "auxiliary.crop_size": 160,
    "rib.iterations": 8,
    "rib.scales": [1.0],
}


def example_folder() -> Path:
    """The folder of the example, written if it does not exist: images of MiniVOC with classes of CLASSES or without them."""
    root = paths.DATA / "own-data-example"
    root.parent.mkdir(parents=True, exist_ok=True)
    with locked(root.with_suffix(".lock"), "the example of own data"):
        if not root.exists():
            dataset = datasets.training_set(load_settings("mini", {"data.minivoc": MINIVOC}).data)
            wanted = [dataset.class_names.index(name) for name in CLASSES]
            has_one = dataset.labels[:, wanted].any(axis=1)
            chosen = [*np.flatnonzero(has_one)[:NUM_IMAGES], *np.flatnonzero(~has_one)[-NUM_OTHERS:]]
            write_folder(root, dataset, [dataset.names[index] for index in chosen], CLASSES)
    return root


def first_map(stored: StoredMaps) -> np.ndarray:
    """The map [H, W] in 0..1 of an image's first class; zeros if the image has no class."""
    maps = stored.normalized()
    return maps[0] if len(maps) else np.zeros(maps.shape[1:], maps.dtype)


def show_table(path: Path, *, num_rows: int = 6) -> pd.DataFrame:
    """The first lines of a labels.csv; lines with fewer classes are padded with empty fields."""
    lines = [line.split(",") for line in path.read_text(encoding="utf-8-sig").splitlines()[1 : num_rows + 1]]
    width = max(map(len, lines))
    table = pd.DataFrame([line + [""] * (width - len(line)) for line in lines])
    return table.rename(columns={0: "image", **{column: f"class {column}" for column in range(1, width)}})
