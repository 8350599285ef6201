"""Folders with as many images as VOC 2012 and COCO 2014 have, so that a dry run plans for them: links to one small picture."""

import json
from collections.abc import Iterable
from pathlib import Path

from helpers.coco import IDS, box
from helpers.devkit import OBJECT, annotation
from PIL import Image

from ribstudy.datasets.coco_annotations import COCO_CLASSES
from ribstudy.datasets.devkit import FOLDERS, write_names
from ribstudy.datasets.voc12 import VOC_CLASSES

# The numbers of images of the data sets.
VOC_TRAIN, VOC_TRAIN_AUG, VOC_VAL = 1464, 10582, 1449
COCO_TRAIN, COCO_VAL = 82783, 40504
SIZE = (40, 30)


def voc12(root: Path) -> None:
    """Writes a devkit. The classes take turns, and train and val have masks."""
    for part in FOLDERS:
        (root / part).mkdir(parents=True)
    names = [f"2008_{index:06d}" for index in range(VOC_TRAIN_AUG + VOC_VAL)]
    lists = {"train": names[:VOC_TRAIN], "train_aug": names[:VOC_TRAIN_AUG], "val": names[VOC_TRAIN_AUG:]}
    for split, own in lists.items():
        write_names(root, split, own)
    _pictures(root / "JPEGImages", (f"{name}.jpg" for name in names))
    mask = root / "mask.png"
    Image.new("P", SIZE, 1).save(mask)
    _links(mask, root / "SegmentationClass", (f"{name}.png" for name in (*lists["train"], *lists["val"])))
    for index, name in enumerate(names):
        text = annotation(OBJECT.format(name=VOC_CLASSES[index % len(VOC_CLASSES)], extra=""))
        (root / "Annotations" / f"{name}.xml").write_text(text)


def coco14(root: Path) -> None:
    """Writes the images and the files of annotations. Every image has one object, and the classes take turns."""
    (root / "annotations").mkdir(parents=True)
    for split, first, number in (("train", 1, COCO_TRAIN), ("val", 1 + COCO_TRAIN, COCO_VAL)):
        names = {image: f"COCO_{split}2014_{image:012d}.jpg" for image in range(first, first + number)}
        (root / f"{split}2014").mkdir()
        _pictures(root / f"{split}2014", names.values())
        categories = [{"id": number, "name": name} for name, number in IDS.items()]
        width, height = SIZE
        images = [{"id": image, "file_name": name, "width": width, "height": height} for image, name in names.items()]
        objects = [
            {
                "id": image,
                "image_id": image,
                "category_id": IDS[COCO_CLASSES[image % len(COCO_CLASSES)]],
                "segmentation": box(1, 1, 20, 20),
                "iscrowd": 0,
            }
            for image in names
        ]
        content = {"images": images, "annotations": objects, "categories": categories}
        (root / "annotations" / f"instances_{split}2014.json").write_text(json.dumps(content))


def _pictures(folder: Path, names: Iterable[str]) -> None:
    picture = folder.parent / "picture.jpg"
    Image.new("RGB", SIZE, (90, 120, 150)).save(picture)
    _links(picture, folder, names)


def _links(file: Path, folder: Path, names: Iterable[str]) -> None:
    for name in names:
        (folder / name).symlink_to(file)
