"""COCO 2014: its pictures as they are, its labels and masks from the annotations of instances.

    train2014/*.jpg, val2014/*.jpg           the pictures; also below images/
    annotations/instances_train2014.json     objects: class, outline (polygons), or crowd (RLE)
    annotations/instances_val2014.json

What is drawn from the annotations, as the field does it: the 80 classes are numbered 1..80 in the order of their category ids;
objects are painted in the order of the file, later ones over earlier ones; regions marked `iscrowd` are left out; nothing is
void. An image has a class where it has an object of it that is no crowd. So labels and masks agree, but for an object that
later ones hide whole. An image without any annotation, or with crowds alone, has no label and an empty mask; it stays in its
split.

The JSON files hold hundreds of megabytes. They are parsed once for each content: `prepare` writes an index of each split and
its masks below `paths.DATA`, never into the folder of the data, and goes on where it was ended. To know the content the files
are hashed once in each process that opens the data, about a second.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from ribstudy.datasets.base import (
    DataError,
    Dataset,
    Source,
    Stamp,
    map_in_order,
    open_jpeg,
    read_bytes,
    read_mask,
    stamp,
    write_mask,
)
from ribstudy.runtime import paths
from ribstudy.runtime.files import atomic, digest, file_digest, locked

VERSION = 1  # raised when the code changes what is drawn or which labels there are; part of the identity of the data
SPLITS = ("train", "val")

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


@dataclass(frozen=True)
class Index:
    """What is kept of a JSON file: the images in the order of their names.

    names [N]; labels bool [N, 80]; sizes int32 [N, 2] (height, width); num_objects int32 [N], crowds left out;
    has_annotation bool [N], crowds counted.
    """

    names: np.ndarray
    labels: np.ndarray
    sizes: np.ndarray
    num_objects: np.ndarray
    has_annotation: np.ndarray

    def write(self, path: Path) -> None:
        with atomic(path) as temporary:
            np.savez_compressed(temporary, **vars(self))

    @classmethod
    def read(cls, path: Path) -> "Index":
        with np.load(path, allow_pickle=False) as file:
            return cls(**{key: file[key] for key in file.files})


class CocoDataset(Dataset):
    """One split. folder: its pictures; cache: what `CocoSource.prepare` made."""

    class_names = COCO_CLASSES

    def __init__(self, folder: Path, cache: Path, split: str):
        self.folder = folder
        self.cache = cache
        self.split = split
        self._index = Index.read(cache / f"{split}.npz")
        self.names = self._index.names.tolist()
        self._places = {name: place for place, name in enumerate(self.names)}

    @cached_property
    def labels(self) -> np.ndarray:
        return self._index.labels

    @property
    def num_annotated(self) -> int:
        """Images with any annotation, crowds counted; those with a label are fewer."""
        return int(self._index.has_annotation.sum())

    def label(self, name: str) -> np.ndarray:
        return self.labels[self._places[name]]

    def num_objects(self, name: str) -> int:
        return int(self._index.num_objects[self._places[name]])

    def image(self, name: str) -> np.ndarray:
        return np.asarray(open_jpeg(self.folder / f"{name}.jpg").convert("RGB"))

    def mask(self, name: str) -> np.ndarray:
        return read_mask(self.cache / "masks" / self.split / f"{name}.png", len(self.class_names))


class CocoSource(Source):
    """The folder of COCO 2014, and what is made from its JSON files."""

    splits = SPLITS
    training_split = "train"
    root_hint = "the folder of COCO 2014 that holds train2014, val2014 and annotations"
    class_names = COCO_CLASSES

    @property
    def cache(self) -> Path:
        """Where the indexes and masks for the content of these JSON files lie."""
        return paths.DATA / f"coco14-{digest(self.fingerprint())}"

    def prepare(self, *, processes: int = 1) -> None:
        """Writes the indexes, and draws with so many processes those masks that are not there yet."""
        self._demand_parts()
        if all(_is_prepared(self.cache, split) for split in SPLITS):
            return
        self.cache.mkdir(parents=True, exist_ok=True)
        with locked(self.cache / ".lock", "the masks of COCO 2014"):
            for split in SPLITS:
                if not _is_prepared(self.cache, split):
                    _prepare_split(self.cache, split, self._json(split), processes=processes)

    def open(self, split: str) -> CocoDataset:
        return CocoDataset(picture_folder(self.root, split), self.cache, split)

    def fingerprint(self) -> dict:
        self._demand_parts()
        return {"name": "coco14", "version": VERSION, **{split: _digest_once(stamp(self._json(split))) for split in SPLITS}}

    def lists(self) -> list[Path]:
        return [self._json(split) for split in SPLITS if self._json(split).is_file()]

    def check(self, *, decode: bool = False, processes: int = 1) -> list[str]:
        if problems := missing_parts(self.root):
            return problems
        for split in SPLITS:
            problems += _check_split(
                picture_folder(self.root, split), self._json(split), split, decode=decode, processes=processes
            )
        return problems

    def _json(self, split: str) -> Path:
        return annotation_file(self.root, split)

    def _demand_parts(self) -> None:
        if problems := missing_parts(self.root):
            raise DataError("; ".join(problems))


def annotation_file(root: Path, split: str) -> Path:
    return root / "annotations" / f"instances_{split}2014.json"


def picture_folder(root: Path, split: str) -> Path:
    """<split>2014, in the folder itself or below images/."""
    below = root / "images" / f"{split}2014"
    return below if below.is_dir() else root / f"{split}2014"


def missing_parts(root: Path) -> list[str]:
    """A line for each part of the data set that is not there."""
    if not root.is_dir():
        return [f"{root}: this folder of the data set is missing; data.root is {CocoSource.root_hint}"]
    folders = [picture_folder(root, split) for split in SPLITS]
    problems = [f"{path}: this folder is missing; it holds the pictures" for path in folders if not path.is_dir()]
    files = [annotation_file(root, split) for split in SPLITS]
    hint = "it comes with annotations_trainval2014.zip"
    return problems + [f"{path}: this file is missing; {hint}" for path in files if not path.is_file()]


@lru_cache
def _digest_once(file: Stamp) -> str:
    """The SHA-256 of a file; in one process a file is read again only where its size or time of change is another."""
    return file_digest(file.path)


# --- from annotations to labels and masks -------------------------------------------------------------------------------


def _is_prepared(cache: Path, split: str) -> bool:
    return (cache / f"{split}.npz").is_file() and not _missing_masks(cache, split)


def _missing_masks(cache: Path, split: str) -> list[str]:
    folder = cache / "masks" / split
    there = {entry.name for entry in os.scandir(folder)} if folder.is_dir() else set()
    return [name for name in Index.read(cache / f"{split}.npz").names.tolist() if f"{name}.png" not in there]


def _prepare_split(cache: Path, split: str, path: Path, *, processes: int) -> None:
    content = read_annotations(path)
    if problems := annotation_problems(path, content):
        raise DataError(f"{len(problems)} problems, the first: {problems[0]} (all: python -m ribstudy data check)")
    objects = objects_by_image(content)
    build_index(content, objects).write(cache / f"{split}.npz")
    missing = set(_missing_masks(cache, split))
    images = {Path(image["file_name"]).stem: image for image in content["images"]}
    items = [(name, _painting(images[name], objects)) for name in sorted(missing)]
    work = partial(_write_mask, folder=cache / "masks" / split)
    for _ in map_in_order(work, items, processes=processes, description=f"masks of {split}2014"):
        pass


@dataclass(frozen=True)
class Painting:
    """What a mask is drawn from: (height, width), and for each object its value and its outline."""

    size: tuple[int, int]
    objects: tuple[tuple[int, Any], ...]


def _painting(image: Entry, objects: dict[int, list[tuple[int, Entry]]]) -> Painting:
    own = tuple((index + 1, item["segmentation"]) for index, item in objects.get(image["id"], ()) if not is_crowd(item))
    return Painting((image["height"], image["width"]), own)


def _write_mask(item: tuple[str, Painting], *, folder: Path) -> None:
    name, painting = item
    with atomic(folder / f"{name}.png") as temporary:
        write_mask(temporary, draw_mask(painting))


def draw_mask(painting: Painting) -> np.ndarray:
    """uint8 [H, W]: objects painted one over the other, as pycocotools turns an outline into pixels."""
    mask = np.zeros(painting.size, np.uint8)
    for value, segmentation in painting.objects:
        parts = coco_mask.frPyObjects(_usable(segmentation), *painting.size)
        mask[coco_mask.decode(coco_mask.merge(parts) if isinstance(parts, list) else parts) > 0] = value
    return mask


def _usable(segmentation: Any) -> Any:
    """Without the polygons of fewer than three points, which have no area."""
    return [part for part in segmentation if len(part) >= 6] if isinstance(segmentation, list) else segmentation


def is_crowd(annotation: Entry) -> bool:
    return bool(annotation.get("iscrowd", 0))


def objects_by_image(content: dict[str, list[Entry]]) -> dict[int, list[tuple[int, Entry]]]:
    """Image id -> (class index from 0, annotation) of its annotations, in the order of the file."""
    places = {category["id"]: place for place, category in enumerate(_sorted_categories(content["categories"]))}
    objects: dict[int, list[tuple[int, Entry]]] = {}
    for annotation in content["annotations"]:
        objects.setdefault(annotation["image_id"], []).append((places[annotation["category_id"]], annotation))
    return objects


def _sorted_categories(categories: Sequence[Entry]) -> list[Entry]:
    return sorted(categories, key=lambda category: category["id"])


def build_index(content: dict[str, list[Entry]], objects: dict[int, list[tuple[int, Entry]]]) -> Index:
    images = sorted(content["images"], key=lambda image: Path(image["file_name"]).stem)
    labels = np.zeros((len(images), len(COCO_CLASSES)), bool)
    num_objects = np.zeros(len(images), np.int32)
    for place, image in enumerate(images):
        classes = [index for index, annotation in objects.get(image["id"], ()) if not is_crowd(annotation)]
        labels[place, classes] = True
        num_objects[place] = len(classes)
    return Index(
        names=np.array([Path(image["file_name"]).stem for image in images]),
        labels=labels,
        sizes=np.array([(image["height"], image["width"]) for image in images], np.int32),
        num_objects=num_objects,
        has_annotation=np.array([image["id"] in objects for image in images]),
    )


# --- what can be wrong --------------------------------------------------------------------------------------------------


def read_annotations(path: Path) -> dict[str, list[Entry]]:
    """The content of a JSON file of instances; DataError where it is not one."""
    data = read_bytes(path)
    try:
        content = json.loads(data)
    except ValueError as error:  # not JSON, or not UTF-8
        raise DataError(f"{path}: is not readable as JSON ({error}); it may be cut short: unpack it again") from None
    for key in ("images", "annotations", "categories"):
        entries = content.get(key) if isinstance(content, dict) else None
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise DataError(f"{path}: holds no list {key!r}; expected the file of instances of COCO 2014")
    return content


def annotation_problems(path: Path, content: dict[str, list[Entry]]) -> list[str]:
    """A line for each thing that is wrong in the content of a JSON file."""
    problems = _category_problems(content["categories"]) + _image_problems(content["images"])
    sizes = {str(image.get("id")): (image.get("height"), image.get("width")) for image in content["images"]}
    categories = {str(category.get("id")) for category in content["categories"]}
    for annotation in content["annotations"]:
        what = f"annotation {annotation.get('id')}"
        image_id, category_id = str(annotation.get("image_id")), str(annotation.get("category_id"))
        if image_id not in sizes:
            problems.append(f"{what}: is of image {image_id}, which is not among the images")
        elif problem := segmentation_problem(annotation, sizes[image_id]):
            problems.append(f"{what}, of image {image_id}: {problem}")
        if category_id not in categories:
            problems.append(f"{what}: is of category {category_id}, which is not among the categories")
    return [f"{path}: {problem}" for problem in problems]


def _category_problems(categories: Sequence[Entry]) -> list[str]:
    if not all(isinstance(category.get("id"), int) for category in categories):
        return ["a category has no id that is a whole number"]
    names = [category.get("name") for category in _sorted_categories(categories)]
    if names == list(COCO_CLASSES):
        return []
    if len(names) != len(COCO_CLASSES):
        return [f"holds {len(names)} categories; COCO 2014 has {len(COCO_CLASSES)}"]
    place = next(place for place, pair in enumerate(zip(names, COCO_CLASSES, strict=True)) if pair[0] != pair[1])
    return [f"category {place + 1} in the order of the ids is {names[place]!r}, that of COCO 2014 is {COCO_CLASSES[place]!r}"]


def _image_problems(images: Sequence[Entry]) -> list[str]:
    problems = [] if images else ["holds no images"]
    seen: dict[str, set] = {"id": set(), "file_name": set()}
    for image in images:
        wrong = [key for key in ("id", "height", "width") if not isinstance(image.get(key), int)]
        name = image.get("file_name")
        if not isinstance(name, str) or "/" in name or not name.endswith(".jpg"):
            wrong.append("file_name")
        problems += [f"image {image.get('id')}: {key} = {image.get(key)!r} is not that of a picture of COCO" for key in wrong]
        for key, values in seen.items():
            if key not in wrong and image[key] in values:
                problems.append(f"{key} {image[key]!r} belongs to more than one image")
            elif key not in wrong:
                values.add(image[key])
    return problems


def segmentation_problem(annotation: Entry, size: tuple[int, int]) -> str | None:
    """What is wrong with the outline of an object in an image of (height, width); None: nothing."""
    segmentation = annotation.get("segmentation")
    if isinstance(segmentation, dict):
        return _rle_problem(segmentation, size)
    if not isinstance(segmentation, list) or not all(isinstance(part, list) for part in segmentation):
        return "its segmentation is neither a list of polygons nor an RLE"
    for part in segmentation:
        if len(part) % 2 or not all(isinstance(number, (int, float)) and isfinite(number) for number in part):
            return "a polygon is not a list of numbers x, y, x, y, ..."
    return None if _usable(segmentation) else "no polygon has three points (6 numbers)"


def _rle_problem(rle: Entry, size: tuple[int, int]) -> str | None:
    if rle.get("size") != list(size):
        return f"the size of its RLE is {rle.get('size')}, but the image is {list(size)} (height, width)"
    counts = rle.get("counts")
    if not isinstance(counts, list) or not all(isinstance(count, int) and count >= 0 for count in counts):
        return "the counts of its RLE are not a list of whole numbers, as COCO 2014 has them"
    return None if sum(counts) == size[0] * size[1] else f"the counts of its RLE are of {sum(counts)} pixels, not of all"


def _check_split(folder: Path, path: Path, split: str, *, decode: bool, processes: int) -> list[str]:
    try:
        content = read_annotations(path)
    except DataError as error:
        return [str(error)]
    problems = annotation_problems(path, content)
    images = [image for image in content["images"] if isinstance(image.get("file_name"), str)]
    items = [(image["file_name"], (image.get("width"), image.get("height"))) for image in images]
    work = partial(_check_picture, folder=folder, decode=decode)
    for found in map_in_order(work, items, processes=processes, description=f"check {split}2014"):
        problems += found
    return problems


def _check_picture(item: tuple[str, tuple[int, int]], *, folder: Path, decode: bool) -> list[str]:
    """item: a file's name, and the (width, height) that the JSON says."""
    file_name, expected = item
    try:
        size = open_jpeg(folder / file_name, decode=decode).size
    except DataError as error:
        return [str(error)]
    if size != expected:
        said = f"but the JSON file says {expected[0]} x {expected[1]} px"
        return [f"{folder / file_name}: is {size[0]} x {size[1]} px, {said}"]
    return []
