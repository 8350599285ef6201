"""The annotation files of COCO 2014: their content, the masks they describe, and the faults in them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from ribstudy.datasets.base import DataError, read_bytes

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


def read_annotations(path: Path) -> Content:
    """The content of a JSON file of instances. Raises DataError if the file is something else."""
    data = read_bytes(path)
    try:
        content = json.loads(data)
    except ValueError as error:  # not JSON, or not UTF-8
        raise DataError(f"{path}: is not readable as JSON ({error}); it may be truncated: unpack it again") from None
    for key in ("images", "annotations", "categories"):
        entries = content.get(key) if isinstance(content, dict) else None
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise DataError(f"{path}: has no list {key!r}; expected an instances file of COCO 2014")
    return content


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
    return bool(annotation.get("iscrowd", 0))


def objects_by_image(content: Content) -> dict[int, list[tuple[int, Entry]]]:
    """Image id -> the image's annotations as (class index from 0, annotation), in the order of the file."""
    places = {category["id"]: place for place, category in enumerate(_sorted_categories(content["categories"]))}
    objects: dict[int, list[tuple[int, Entry]]] = {}
    for annotation in content["annotations"]:
        objects.setdefault(annotation["image_id"], []).append((places[annotation["category_id"]], annotation))
    return objects


def _sorted_categories(categories: Sequence[Entry]) -> list[Entry]:
    return sorted(categories, key=lambda category: category["id"])


def annotation_problems(path: Path, content: Content) -> list[str]:
    """The faults in the content of a JSON file, one line for each."""
    problems = _category_problems(content["categories"]) + _image_problems(content["images"])
    sizes = {str(image.get("id")): (image.get("height"), image.get("width")) for image in content["images"]}
    categories = {str(category.get("id")) for category in content["categories"]}
    for annotation in content["annotations"]:
        what = f"annotation {annotation.get('id')}"
        image_id, category_id = str(annotation.get("image_id")), str(annotation.get("category_id"))
        if image_id not in sizes:
            problems.append(f"{what}: belongs to image {image_id}, which is not among the images")
        elif problem := segmentation_problem(annotation, sizes[image_id]):
            problems.append(f"{what}, of image {image_id}: {problem}")
        if category_id not in categories:
            problems.append(f"{what}: has category {category_id}, which is not among the categories")
    return [f"{path}: {problem}" for problem in problems]


def _category_problems(categories: Sequence[Entry]) -> list[str]:
    if not all(isinstance(category.get("id"), int) for category in categories):
        return ["a category has no integer id"]
    names = [category.get("name") for category in _sorted_categories(categories)]
    if names == list(COCO_CLASSES):
        return []
    if len(names) != len(COCO_CLASSES):
        return [f"has {len(names)} categories; COCO 2014 has {len(COCO_CLASSES)}"]
    place = next(place for place, pair in enumerate(zip(names, COCO_CLASSES, strict=True)) if pair[0] != pair[1])
    return [f"category {place + 1} in the order of ids is {names[place]!r}, but in COCO 2014 it is {COCO_CLASSES[place]!r}"]


def _image_problems(images: Sequence[Entry]) -> list[str]:
    problems = [] if images else ["has no images"]
    seen: dict[str, set] = {"id": set(), "file_name": set()}
    for image in images:
        wrong = [key for key in ("id", "height", "width") if not isinstance(image.get(key), int)]
        name = image.get("file_name")
        if not isinstance(name, str) or "/" in name or not name.endswith(".jpg"):
            wrong.append("file_name")
        problems += [f"image {image.get('id')}: {key} = {image.get(key)!r} is not valid for an image of COCO" for key in wrong]
        for key, values in seen.items():
            if key not in wrong and image[key] in values:
                problems.append(f"{key} {image[key]!r} belongs to more than one image")
            elif key not in wrong:
                values.add(image[key])
    return problems


def segmentation_problem(annotation: Entry, size: tuple[int, int]) -> str | None:
    """The fault in an object's segmentation in an image of (height, width), or None."""
    segmentation = annotation.get("segmentation")
    if isinstance(segmentation, dict):
        return _rle_problem(segmentation, size)
    if not isinstance(segmentation, list) or not all(isinstance(part, list) for part in segmentation):
        return "its segmentation is neither a list of polygons nor an RLE"
    for part in segmentation:
        if len(part) % 2 or not all(isinstance(number, (int, float)) and isfinite(number) for number in part):
            return "a polygon is not a list of numbers x, y, x, y, ..."
    return None if usable_parts(segmentation) else "no polygon has three points (6 numbers)"


def _rle_problem(rle: Entry, size: tuple[int, int]) -> str | None:
    if rle.get("size") != list(size):
        return f"the size of its RLE is {rle.get('size')}, but the image is {list(size)} (height, width)"
    counts = rle.get("counts")
    if not isinstance(counts, list) or not all(isinstance(count, int) and count >= 0 for count in counts):
        return "the counts of its RLE are not a list of integers, as in COCO 2014"
    pixels = size[0] * size[1]
    return None if sum(counts) == pixels else f"the counts of its RLE add up to {sum(counts)} pixels, not to {pixels}"
