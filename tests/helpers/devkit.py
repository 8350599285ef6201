"""A VOC devkit for tests: four images of a dog, 40 x 30 px."""

import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from ribstudy.datasets.pictures import write_mask
from ribstudy.datasets.settings import DataSettings

NAMES = {
    "train": ["2007_000001", "2007_000002"],
    "val": ["2007_000003"],
    "train_aug": ["2007_000001", "2007_000002", "2008_000004"],
}


BOX = "<bndbox><xmin>2</xmin><ymin>3</ymin><xmax>20.5</xmax><ymax>15</ymax></bndbox>"


OBJECT = "<object><name>{name}</name>{extra}" + BOX + "</object>"


def annotation(*objects: str) -> str:
    return f"<annotation><size><width>40</width><height>30</height></size>{''.join(objects)}</annotation>"


def write_devkit(folder: Path) -> None:
    """The image that only train_aug contains has no mask, as in VOC 2012."""
    for part in ("JPEGImages", "Annotations", "SegmentationClass", "ImageSets/Segmentation"):
        (folder / part).mkdir(parents=True)
    for split, names in NAMES.items():
        (folder / "ImageSets" / "Segmentation" / f"{split}.txt").write_text("\n".join(names) + "\n")
    noise = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    mask = np.zeros((30, 40), np.uint8)
    mask[5:20, 5:20], mask[20, 5:20] = 12, 255
    for name in sorted({name for names in NAMES.values() for name in names}):
        Image.fromarray(noise).save(folder / "JPEGImages" / f"{name}.jpg", quality=95)
        (folder / "Annotations" / f"{name}.xml").write_text(annotation(OBJECT.format(name="dog", extra="")))
        if name != "2008_000004":
            write_mask(folder / "SegmentationClass" / f"{name}.png", mask)


def add_test(root: Path) -> None:
    """Adds a split test of two images, which have neither annotations nor masks."""
    (root / "ImageSets/Segmentation/test.txt").write_text("2009_000005\n2009_000006\n")
    for name in ("2009_000005", "2009_000006"):
        shutil.copy(root / "JPEGImages" / "2007_000001.jpg", root / "JPEGImages" / f"{name}.jpg")


def voc(root: Path | None) -> DataSettings:
    return DataSettings(name="voc12", root=root)
