"""Data sets whose files are mutated: how the library reads them, and how a few lines of other code do."""

import csv
import json
import unicodedata
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from campaign.given import Given, Refused
from helpers.coco import coco, write_coco
from helpers.devkit import voc, write_devkit
from helpers.own_folder import own, write_own_folder
from PIL import Image
from pycocotools import mask as coco_mask

from ribstudy import datasets
from ribstudy.datasets.settings import DataSettings
from ribstudy.runtime.files import digest

# For each image, by split and name: its classes, and the digests of its pixels and of its mask (None: it has no mask).
Reading = dict[tuple[str, str], tuple[frozenset[str], str, str | None]]


def digest_of(pixels: np.ndarray) -> str:
    return digest([pixels.shape, pixels.tolist()])


def read_by_the_library(settings: DataSettings) -> Reading:
    """The images as the stages read them. Raises Refused if the check finds a fault."""
    if problems := datasets.check(settings, decode=True):
        raise Refused("\n".join(problems))
    found: Reading = {}
    for split in datasets.splits(settings):
        data = datasets.open_dataset(settings, split)
        for name in data.names:
            classes = frozenset(np.array(data.class_names)[data.label(name)].tolist())
            mask = digest_of(data.mask(name)) if name in data.masked_names else None
            found[split, name] = classes, digest_of(data.image(name)), mask
    return found


def _picture(path: Path) -> str:
    with Image.open(path) as file:
        return digest_of(np.asarray(file.convert("RGB")))


def _mask(path: Path, size: tuple[int, int]) -> str:
    with Image.open(path) as file:
        if file.mode not in ("P", "L") or file.size != size:
            raise ValueError(f"{path} is not a mask")
        return digest_of(np.asarray(file))


def _size(path: Path) -> tuple[int, int]:
    with Image.open(path) as file:
        return file.size


def _lines(path: Path) -> list[str]:
    text = path.read_text(encoding="utf-8-sig")
    return [unicodedata.normalize("NFC", line.strip()) for line in text.splitlines() if line.strip()]


def read_own_folder(root: Path) -> Reading:
    known = _lines(root / "classes.txt")
    val = {Path(line).stem for line in _lines(root / "val.txt")}
    with (root / "labels.csv").open(encoding="utf-8-sig", newline="") as file:
        head, *rows = ([cell.strip() for cell in row] for row in csv.reader(file) if any(row))
    if [cell for cell in head if cell] != ["image", "class"]:
        raise ValueError("not a table of labels")
    found: Reading = {}
    for name, *classes in rows:
        picture, mask = root / "images" / name, root / "masks" / f"{Path(name).stem}.png"
        labels = frozenset(label for label in classes if label)
        if labels - set(known) or (name_of := Path(name).stem) in {name for _, name in found}:
            raise ValueError(f"{name}: {classes}")
        seen = _mask(mask, _size(picture)) if mask.exists() else None
        found["val" if name_of in val else "train", name_of] = labels, _picture(picture), seen
    return found


def read_devkit(root: Path) -> Reading:
    found: Reading = {}
    for split in ("train", "val", "train_aug"):
        for name in _lines(root / "ImageSets" / "Segmentation" / f"{split}.txt"):
            tree = ElementTree.parse(root / "Annotations" / f"{name}.xml")
            classes = frozenset(item.findtext("name", "").strip() for item in tree.getroot().iter("object"))
            if classes - set(datasets.class_names(voc(root))):
                raise ValueError(f"{name}: {classes}")
            picture, mask = root / "JPEGImages" / f"{name}.jpg", root / "SegmentationClass" / f"{name}.png"
            seen = _mask(mask, _size(picture)) if mask.exists() else None
            found[split, name] = classes, _picture(picture), seen
    return found


def read_coco(root: Path) -> Reading:
    found: Reading = {}
    for split in ("train", "val"):
        content = json.loads((root / "annotations" / f"instances_{split}2014.json").read_bytes())
        names = {int(category["id"]): category["name"] for category in content["categories"]}
        values = {identity: place + 1 for place, identity in enumerate(sorted(names))}
        for image in content["images"]:
            own_objects = [item for item in content["annotations"] if int(item["image_id"]) == int(image["id"])]
            counted = [item for item in own_objects if not int(item.get("iscrowd", 0))]
            size = int(image["height"]), int(image["width"])
            mask = np.zeros(size, np.uint8)
            for item in counted:
                parts = coco_mask.frPyObjects(item["segmentation"], *size)
                mask[coco_mask.decode(coco_mask.merge(parts) if isinstance(parts, list) else parts) > 0] = values[
                    int(item["category_id"])
                ]
            picture = root / f"{split}2014" / image["file_name"]
            if _size(picture) != size[::-1]:
                raise ValueError(f"{picture} has another size")
            classes = frozenset(names[int(item["category_id"])] for item in counted)
            found[split, Path(image["file_name"]).stem] = classes, _picture(picture), digest_of(mask)
    return found


DATA: Mapping[str, Given] = {
    "own images": Given(write_own_folder, lambda root: read_by_the_library(own(root)), read_own_folder),
    "VOC devkit": Given(write_devkit, lambda root: read_by_the_library(voc(root)), read_devkit),
    "COCO": Given(write_coco, lambda root: read_by_the_library(coco(root)), read_coco),
}
