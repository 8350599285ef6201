"""The faults in the annotation files of COCO 2014, so that pycocotools, a C library, is only given what it can draw."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import inf
from pathlib import Path
from typing import Any

from PIL import Image

from ribstudy.datasets.base import is_image_name
from ribstudy.datasets.coco_annotations import (
    COCO_CLASSES,
    Content,
    Entry,
    Painting,
    draw_mask,
    is_crowd,
    sorted_categories,
    usable_parts,
)

Size = tuple[int, int]  # height and width of an image

LONGEST_OUTLINE = 2**26  # steps along an outline that pycocotools draws; it keeps them all in memory
ENLARGED = 5  # it draws each polygon enlarged by this factor
THIN = 2.0  # px; a polygon of a smaller area may contain the centre of no pixel


def annotation_problems(path: Path, content: Content) -> list[str]:
    """The faults in the content of a JSON file, one line for each."""
    problems = _category_problems(content["categories"]) + _image_problems(content["images"])
    sizes = {image["id"]: _size(image) for image in content["images"] if type(image.get("id")) is int}
    categories = {category["id"] for category in content["categories"] if type(category.get("id")) is int}
    for annotation in content["annotations"]:
        what, image_id, category_id = (annotation.get(key) for key in ("id", "image_id", "category_id"))
        if type(image_id) is not int or image_id not in sizes:
            problems.append(f"annotation {what}: belongs to image {image_id!r}, which is not among the images")
        elif sizes[image_id] and (problem := segmentation_problem(annotation, sizes[image_id])):
            problems.append(f"annotation {what}, of image {image_id}: {problem}")
        if type(category_id) is not int or category_id not in categories:
            problems.append(f"annotation {what}: has category {category_id!r}, which is not among the categories")
        if annotation.get("iscrowd", 0) not in (0, 1):
            problems.append(f"annotation {what}: iscrowd = {annotation['iscrowd']!r} is neither 0 nor 1")
    return [f"{path}: {problem}" for problem in problems or _label_problems(content["annotations"])]


def _category_problems(categories: Sequence[Entry]) -> list[str]:
    if not all(type(category.get("id")) is int for category in categories):
        return ["a category has no integer id"]
    if len({category["id"] for category in categories}) < len(categories):
        return ["an id belongs to more than one category"]
    names = [category.get("name") for category in sorted_categories(categories)]
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
        wrong = [key for key in ("id", "height", "width") if type(image.get(key)) is not int]
        if not wrong and not _size(image):
            problems.append(f"image {image['id']}: its size of {image['width']} x {image['height']} px is not valid")
        name = image.get("file_name")
        if not isinstance(name, str) or not name.endswith(".jpg") or not is_image_name(name.removesuffix(".jpg")):
            wrong.append("file_name")
        problems += [f"image {image.get('id')}: {key} = {image.get(key)!r} is not valid for an image of COCO" for key in wrong]
        for key, values in seen.items():
            if key not in wrong and image[key] in values:
                problems.append(f"{key} {image[key]!r} belongs to more than one image")
            elif key not in wrong:
                values.add(image[key])
    return problems


def _size(image: Entry) -> Size | None:
    """The size of an image, or None if it is not a size, or is larger than images may be."""
    size = image.get("height"), image.get("width")
    if not all(type(side) is int and side > 0 for side in size) or size[0] * size[1] > Image.MAX_IMAGE_PIXELS:
        return None
    return size


def _label_problems(annotations: Sequence[Entry]) -> list[str]:
    """A line if no image has a label."""
    if not annotations:
        return ["has no annotation, so no image has a label"]
    if all(map(is_crowd, annotations)):
        return [
            f"all {len(annotations)} annotations have iscrowd = 1, and crowds are left out, so no image has a label; "
            "set iscrowd to 0 for single objects (CVAT writes 1 for masks that are drawn with a brush)"
        ]
    return []


def segmentation_problem(annotation: Entry, size: Size) -> str | None:
    """The fault in an object's segmentation in an image, or None."""
    segmentation = annotation.get("segmentation")
    if isinstance(segmentation, dict):
        return _rle_problem(segmentation, size)
    if not isinstance(segmentation, list) or not all(isinstance(part, list) for part in segmentation):
        return "its segmentation is neither a list of polygons nor an RLE"
    for part in segmentation:
        if len(part) % 2 or not all(type(number) in (int, float) and -inf < number < inf for number in part):
            return "a polygon is not a list of numbers x, y, x, y, ..."
    parts = usable_parts(segmentation)
    if not parts:
        return "no polygon has three points (6 numbers)"
    return next(filter(None, (_reach_problem(part, size) for part in parts)), None) or _place_problem(parts, size)


def _reach_problem(part: Sequence[float], size: Size) -> str | None:
    """The fault of a polygon with points so far from the image, or so many, that pycocotools should not draw it."""
    for numbers, side in zip((part[::2], part[1::2]), size[::-1], strict=True):
        far = next((number for number in (min(numbers), max(numbers)) if not -side <= number <= 2 * side), None)
        if far is not None:
            return f"a polygon reaches to {far}, far outside the image of {size[1]} x {size[0]} px"
    if ENLARGED * 3 * max(size) * len(part) // 2 > LONGEST_OUTLINE:  # no outline with fewer points can be that long
        sides = (max(abs(x - next_x), abs(y - next_y)) for (x, y), (next_x, next_y) in pairwise(_corners(part)))
        if ENLARGED * (length := sum(sides)) > LONGEST_OUTLINE:
            return f"the outline of a polygon is {length:.0f} px long, too long to draw"
    return None


def _place_problem(parts: Sequence[Sequence[float]], size: Size) -> str | None:
    """The fault of an object that is completely outside the image."""
    height, width = size
    for part in parts:
        xs, ys = part[::2], part[1::2]
        if min(xs) < width and max(xs) > 0 and min(ys) < height and max(ys) > 0:
            return None
    return f"no part of it is inside the image of {width} x {height} px"


def _rle_problem(rle: Entry, size: Size) -> str | None:
    if rle.get("size") != list(size):
        return f"the size of its RLE is {rle.get('size')}, but the image is {list(size)} (height, width)"
    counts = rle.get("counts")
    if not isinstance(counts, list) or not all(type(count) is int and count >= 0 for count in counts):
        return "the counts of its RLE are neither a list of integers, as in COCO 2014, nor compressed by pycocotools"
    pixels = size[0] * size[1]
    return None if sum(counts) == pixels else f"the counts of its RLE add up to {sum(counts)} pixels, not to {pixels}"


def invisible_objects(content: Content) -> list[Entry]:
    """The objects of a valid file that cover no pixel, because they are too thin; crowds do not count."""
    sizes = {image["id"]: (image["height"], image["width"]) for image in content["images"]}
    objects = (annotation for annotation in content["annotations"] if not is_crowd(annotation))
    return [item for item in objects if _may_be_invisible(item["segmentation"]) and not _is_drawn(item, sizes)]


def _is_drawn(annotation: Entry, sizes: dict[int, Size]) -> bool:
    return bool(draw_mask(Painting(sizes[annotation["image_id"]], ((1, annotation["segmentation"]),))).any())


def _may_be_invisible(segmentation: Any) -> bool:
    if isinstance(segmentation, dict):
        return sum(segmentation["counts"][1::2]) == 0
    return all(abs(_area(part)) < THIN for part in usable_parts(segmentation))


def _area(part: Sequence[float]) -> float:
    """The area of a polygon x, y, x, y, ... in px², from the cross products of successive points."""
    return sum(x * next_y - next_x * y for (x, y), (next_x, next_y) in pairwise(_corners(part))) / 2


def _corners(part: Sequence[float]) -> Iterator[tuple[float, float]]:
    """The points of a polygon, and the first one again."""
    yield from zip(part[::2], part[1::2], strict=True)
    yield part[0], part[1]
