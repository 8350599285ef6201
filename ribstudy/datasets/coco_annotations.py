"""The annotation files of COCO 2014: their content, and the masks they describe. `coco_checks` finds the faults in them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from ribstudy.datasets.base import DataError, read_json

COCO_CLASSES: tuple[str, ...] = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light",
    "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow",
    "elephant", "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee",
    "skis", "snowboard", "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard", "tennis racket",
    "bottle", "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple", "sandwich", "orange",
    "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch", "potted plant", "bed",
    "dining table", "toilet", "tv", "laptop", "mouse", "remote", "keyboard", "cell phone", "microwave", "oven",
    "toaster", "sink", "refrigerator", "book", "clock", "vase", "scissors", "teddy bear", "hair drier", "toothbrush",
)  # fmt: skip

Entry = dict[str, Any]  # an image, category or annotation of a JSON file
Content = dict[str, list[Entry]]  # the lists "images", "annotations" and "categories"
INTEGERS = {  # the values of each list that are integers
    "images": ("id", "height", "width"),
    "annotations": ("image_id", "category_id", "iscrowd"),
    "categories": ("id",),
}
MOST_BITS = 60  # of a number in a compressed RLE
EXACT = 2**53  # below it, different integers are different floating point numbers


def read_annotations(path: Path) -> Content:
    """The content of a JSON file of instances. Integers that are written as texts or with a decimal point become integers.

    `iscrowd` can also be true or false, and is 0 if it is null or missing. The counts of an RLE can be the text to which
    pycocotools compresses them.

    Raises DataError if the file is something else.
    """
    content = read_json(path)
    for key, integers in INTEGERS.items():
        entries = content.get(key) if isinstance(content, dict) else None
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise DataError(f"{path}: has no list {key!r}; expected an instances file of COCO 2014")
        for entry in entries:
            entry.update({name: _as_integer(entry[name]) for name in integers if type(entry.get(name, 0)) is not int})
    for annotation in content["annotations"]:
        if isinstance(flag := annotation.get("iscrowd"), bool | None):
            annotation["iscrowd"] = int(bool(flag))
        rle = annotation.get("segmentation")
        if isinstance(rle, dict) and isinstance(rle.get("counts"), str):
            annotation["segmentation"] = {**rle, "counts": _counts(rle["counts"])}
    return content


def _counts(text: str) -> list[int] | str:
    """The counts in a compressed RLE; the text itself if it is none.

    A character is a digit of five bits, plus 32 if the number has further, higher digits, plus 48. The last digit has a sign.
    From the fourth count on, a number is the difference to the last but one count. (pycocotools, maskApi.c, rleToString)
    """
    counts, number, bits = [], 0, 0
    for digit in (ord(character) - 48 for character in text):
        if not 0 <= digit < 64 or bits > MOST_BITS:
            return text
        number |= (digit & 31) << bits
        bits += 5
        if not digit & 32:
            signed = number - (1 << bits) if digit & 16 else number
            counts.append(signed + (counts[-2] if len(counts) > 2 else 0))
            number = bits = 0
    return text if bits else counts


def _as_integer(value: Any) -> Any:
    """The integer that a value stands for: 7 for "7" and 7.0. Any other value is returned unchanged."""
    if isinstance(value, float) and value.is_integer() and abs(value) < EXACT:
        return int(value)
    return int(value) if isinstance(value, str) and re.fullmatch(r"\s*[+-]?[0-9]{1,18}\s*", value) else value


@dataclass(frozen=True)
class Painting:
    """The description of a mask: its (height, width), and the mask value and segmentation of each object, in order."""

    size: tuple[int, int]
    objects: tuple[tuple[int, Any], ...]


def painting_of(image: Entry, objects: dict[int, list[tuple[int, Entry]]]) -> Painting:
    """Crowds are left out."""
    own = tuple((index + 1, item["segmentation"]) for index, item in objects.get(image["id"], ()) if not is_crowd(item))
    return Painting((image["height"], image["width"]), own)


def draw_mask(painting: Painting) -> np.ndarray:
    """uint8 [H, W]: the objects painted one over the other. pycocotools converts an outline to pixels."""
    mask = np.zeros(painting.size, np.uint8)
    for value, segmentation in painting.objects:
        parts = coco_mask.frPyObjects(usable_parts(segmentation), *painting.size)
        mask[coco_mask.decode(coco_mask.merge(parts) if isinstance(parts, list) else parts) > 0] = value
    return mask


def usable_parts(segmentation: Any) -> Any:
    """The segmentation without polygons of fewer than three points, which have no area."""
    return [part for part in segmentation if len(part) >= 6] if isinstance(segmentation, list) else segmentation


def is_crowd(annotation: Entry) -> bool:
    return annotation.get("iscrowd", 0) == 1


def objects_by_image(content: Content) -> dict[int, list[tuple[int, Entry]]]:
    """Image id -> the image's annotations as (class index from 0, annotation), in the order of the file."""
    places = {category["id"]: place for place, category in enumerate(sorted_categories(content["categories"]))}
    objects: dict[int, list[tuple[int, Entry]]] = {}
    for annotation in content["annotations"]:
        objects.setdefault(annotation["image_id"], []).append((places[annotation["category_id"]], annotation))
    return objects


def sorted_categories(categories: Sequence[Entry]) -> list[Entry]:
    return sorted(categories, key=lambda category: category["id"])
