"""A small COCO 2014 for tests: five images with polygons and crowds."""

import json
from pathlib import Path

from PIL import Image

from ribstudy.datasets.coco_annotations import COCO_CLASSES
from ribstudy.datasets.settings import DataSettings

WIDTH, HEIGHT = 8, 6


# As in COCO, ids have gaps: class k has an id above k + 1 from some class on.
IDS = {name: place + 1 + (place > 10) for place, name in enumerate(COCO_CLASSES)}


def box(left: int, top: int, right: int, bottom: int) -> list[list[int]]:
    """A polygon that covers the columns left..right-1 and the rows top..bottom-1."""
    return [[left, top, right, top, right, bottom, left, bottom]]


CROWD = {"size": [HEIGHT, WIDTH], "counts": [0, HEIGHT * WIDTH]}  # the whole image


# image: (class, segmentation, is crowd) in the order of the file
CONTENT = {
    "train": {
        1: [("dog", box(1, 1, 5, 4), 0), ("person", box(3, 2, 7, 5), 0)],
        2: [("book", CROWD, 1), ("book", box(0, 0, 2, 2), 0)],
        3: [("person", CROWD, 1)],
        4: [],
    },
    "val": {5: [("dog", box(0, 0, 1, 1) + box(6, 4, 8, 6), 0)]},
}


def name_of(split: str, image: int) -> str:
    return f"COCO_{split}2014_{image:012d}"


def instances(split: str) -> dict:
    images = CONTENT[split]
    annotations = [
        {"image_id": image, "category_id": IDS[name], "segmentation": segmentation, "iscrowd": crowd}
        for image, objects in images.items()
        for name, segmentation, crowd in objects
    ]
    return {
        "images": [
            {"id": image, "file_name": f"{name_of(split, image)}.jpg", "width": WIDTH, "height": HEIGHT}
            for image in reversed(images)  # not in the order of ids, as in COCO
        ],
        "annotations": [{"id": place, **annotation} for place, annotation in enumerate(annotations, start=70)],
        "categories": [{"id": IDS[name], "name": name} for name in reversed(COCO_CLASSES)],
    }


def write(root: Path, split: str, content: object) -> Path:
    path = root / "annotations" / f"instances_{split}2014.json"
    path.write_text(json.dumps(content))
    return path


def coco(root: Path | None) -> DataSettings:
    return DataSettings(name="coco14", root=root)


def write_coco(folder: Path) -> None:
    """The images and the files of annotations."""
    (folder / "annotations").mkdir(parents=True)
    for split, images in CONTENT.items():
        (folder / f"{split}2014").mkdir()
        for image in images:
            picture = Image.new("RGB", (WIDTH, HEIGHT), (0, 100 + image, 0))
            picture.save(folder / f"{split}2014" / f"{name_of(split, image)}.jpg")
        write(folder, split, instances(split))
