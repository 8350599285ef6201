"""COCO 2014: its images, and labels and masks made from its instance annotations. ::

    train2014/*.jpg, val2014/*.jpg           the images; also accepted below images/
    annotations/instances_train2014.json     objects with their class and outline (polygons), and crowds (RLE)
    annotations/instances_val2014.json

Labels and masks follow common practice: the 80 classes are numbered 1..80 in the order of their category ids; objects are
painted in the order of the file, later ones over earlier ones; regions marked `iscrowd` are left out; there is no void. An
image has a class if it has an object of this class that is not a crowd. So labels and masks agree, unless later objects hide
one completely. An image without annotations, or with crowds only, has no label and an empty mask, and stays in its split.

The JSON files have hundreds of megabytes and are parsed once per content: `prepare` writes an index of each split and its
masks below `paths.DATA`, never into the folder of the data, and resumes if it was interrupted.
"""

import contextlib
import logging
import os
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from itertools import chain
from pathlib import Path

import numpy as np

from ribstudy.datasets.base import (
    DataError,
    Dataset,
    Source,
    Stamp,
    collected,
    is_image_name,
    log_unseen_classes,
    map_in_order,
    stamp,
)
from ribstudy.datasets.coco_annotations import (
    COCO_CLASSES,
    Content,
    Entry,
    Painting,
    draw_mask,
    is_crowd,
    objects_by_image,
    painting_of,
    read_annotations,
)
from ribstudy.datasets.coco_checks import annotation_problems, invisible_objects
from ribstudy.datasets.content import Files, content_digest, file_value
from ribstudy.datasets.mask_checks import log_unturned
from ribstudy.datasets.pictures import check_jpeg, read_jpeg, read_mask, write_mask
from ribstudy.runtime import paths
from ribstudy.runtime.files import atomic, digest, locked

log = logging.getLogger(__name__)

VERSION = 1  # increased when the code changes masks or labels; part of the identity of the data
SPLITS = ("train", "val")


@dataclass(frozen=True)
class Index:
    """The content of a JSON file that is needed later, with the images in the order of their names.

    names [N]; labels bool [N, 80]; sizes int32 [N, 2] (height, width); num_objects int32 [N], without crowds;
    has_annotation bool [N], with crowds.
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


def build_index(content: Content, objects: dict[int, list[tuple[int, Entry]]]) -> Index:
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


class CocoDataset(Dataset):
    """One split. folder: its images; cache: the folder that `CocoSource.prepare` made."""

    class_names = COCO_CLASSES

    def __init__(self, folder: Path, cache: Path, split: str):
        self.folder = folder
        self.cache = cache
        self.split = split
        self._index = _read_index(stamp(cache / f"{split}.npz"))
        self.names = self._index.names.tolist()

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name: place for place, name in enumerate(self.names)}

    @cached_property
    def labels(self) -> np.ndarray:
        return self._index.labels

    @property
    def num_annotated(self) -> int:
        """The number of images with any annotation, crowds included. Fewer images have a label."""
        return int(self._index.has_annotation.sum())

    def label(self, name: str) -> np.ndarray:
        return self.labels[self._places[name]]

    def num_objects(self, name: str) -> int:
        return int(self._index.num_objects[self._places[name]])

    def image(self, name: str) -> np.ndarray:
        return read_jpeg(self.folder / f"{name}.jpg")

    def mask(self, name: str) -> np.ndarray:
        return read_mask(self.cache / "masks" / self.split / f"{name}.png", len(self.class_names))


class CocoSource(Source):
    """The folder of COCO 2014, and the index and masks made from its JSON files."""

    splits = SPLITS
    training_split = "train"
    root_hint = "the folder of COCO 2014 that contains train2014, val2014 and annotations"
    class_names = COCO_CLASSES

    @property
    def cache(self) -> Path:
        """The folder of the indexes and masks for the content of these JSON files."""
        return paths.DATA / f"coco14-{digest(self.mask_fingerprint())}"

    def prepare(self, *, processes: int = 1) -> None:
        """Writes the indexes, and draws the missing masks in `processes` worker processes."""
        self._require_parts()
        if all(_is_prepared(self.cache, split) for split in SPLITS):
            return
        with self._locked():
            for split in SPLITS:
                if not _is_prepared(self.cache, split):
                    _prepare_split(self.cache, split, self._json(split), processes=processes)

    def open(self, split: str) -> CocoDataset:
        return CocoDataset(picture_folder(self.root, split), self.cache, split)

    def fingerprint(self) -> dict:
        """Depends on the content of the JSON files and of the images that they list. Writes the indexes if they are missing."""
        self._require_parts()
        indexes = tuple(stamp(self._index(split)) for split in SPLITS)
        folders = tuple(str(picture_folder(self.root, split).relative_to(self.root)) for split in SPLITS)
        return {**self.mask_fingerprint(), "images": content_digest(_pictures(self.root, folders, indexes))}

    def mask_fingerprint(self) -> dict:
        """Depends on the content of the JSON files, from which masks and labels are made."""
        self._require_parts()
        digests = {split: file_value(self.root, str(self._json(split).relative_to(self.root))) for split in SPLITS}
        return {"name": "coco14", "version": VERSION, **digests}

    def lists(self) -> list[Path]:
        return [self._json(split) for split in SPLITS if self._json(split).is_file()]

    def check(self, *, decode: bool = False, processes: int = 1) -> list[str]:
        """Also checks whether the splits share images. Objects without a pixel and classes without an image are only logged."""
        if problems := missing_parts(self.root):
            return problems
        names_of: dict[str, set[str]] = {}
        for split in SPLITS:
            with collected(problems):
                content = read_annotations(self._json(split))
                faults = annotation_problems(self._json(split), content)
                problems += faults or _object_problems(self._json(split), content)
                given = ((image.get("file_name"), image) for image in content["images"])
                pictures = {name: image for name, image in given if isinstance(name, str) and is_image_name(name)}
                names_of[split] = set(pictures)
                items = [(name, (image.get("width"), image.get("height"))) for name, image in pictures.items()]
                folder = picture_folder(self.root, split)
                work = partial(_check_picture, folder=folder, decode=decode)
                found = list(map_in_order(work, items, processes=processes, description=f"check {split}2014"))
                problems += chain.from_iterable(own for own, _ in found)
                log_unturned(folder, [folder / name for (name, _), (_, oriented) in zip(items, found, strict=True) if oriented])
        if shared := sorted(set.intersection(*names_of.values())) if len(names_of) == len(SPLITS) else []:
            problems.append(f"{self._json('val')}: {len(shared)} of its images are also in train, such as {shared[0]}")
        return problems

    def _index(self, split: str) -> Path:
        """The file of a split's index, which is written if it is missing."""
        path = self.cache / f"{split}.npz"
        if not path.is_file():
            with self._locked():
                if not path.is_file():
                    _write_index(self.cache, split, _valid_content(self._json(split)))
        return path

    def _locked(self) -> contextlib.AbstractContextManager[None]:
        self.cache.mkdir(parents=True, exist_ok=True)
        return locked(self.cache / ".lock", "the masks of COCO 2014")

    def _json(self, split: str) -> Path:
        return annotation_file(self.root, split)

    def _require_parts(self) -> None:
        if problems := missing_parts(self.root):
            raise DataError("; ".join(problems))


def annotation_file(root: Path, split: str) -> Path:
    return root / "annotations" / f"instances_{split}2014.json"


def picture_folder(root: Path, split: str) -> Path:
    """The folder <split>2014, in `root` or in images/."""
    below = root / "images" / f"{split}2014"
    return below if below.is_dir() else root / f"{split}2014"


def missing_parts(root: Path) -> list[str]:
    """The missing folders and files of the data set, one line for each."""
    if not root.is_dir():
        return [f"{root}: this folder of the data set is missing; data.root is {CocoSource.root_hint}"]
    folders = [picture_folder(root, split) for split in SPLITS]
    problems = [f"{path}: this folder of images is missing" for path in folders if not path.is_dir()]
    files = [annotation_file(root, split) for split in SPLITS]
    hint = "it comes with annotations_trainval2014.zip"
    return problems + [f"{path}: this file is missing; {hint}" for path in files if not path.is_file()]


@lru_cache
def _pictures(root: Path, folders: tuple[str, ...], indexes: tuple[Stamp, ...]) -> Files:
    """The image files of all splits."""
    names_of = {folder: _read_index(file).names.tolist() for folder, file in zip(folders, indexes, strict=True)}
    members = ((name, (f"{folder}/{name}.jpg",)) for folder, names in names_of.items() for name in names)
    return Files(root, tuple(members))


def _is_prepared(cache: Path, split: str) -> bool:
    index, masks = stamp(cache / f"{split}.npz"), stamp(cache / "masks" / split)
    return index.exists and not _missing_masks(index, masks)


# A plan opens the data for each of its jobs, so what depends on 120,000 names is remembered by the stamps of its files.
@lru_cache(maxsize=len(SPLITS))
def _read_index(index: Stamp) -> Index:
    return Index.read(index.path)


@lru_cache(maxsize=len(SPLITS))
def _missing_masks(index: Stamp, masks: Stamp) -> list[str]:
    present = {entry.name for entry in os.scandir(masks.path)} if masks.exists else set()
    return [name for name in _read_index(index).names.tolist() if f"{name}.png" not in present]


def _prepare_split(cache: Path, split: str, path: Path, *, processes: int) -> None:
    content = _valid_content(path)
    objects = _write_index(cache, split, content)
    missing = _missing_masks(stamp(cache / f"{split}.npz"), stamp(cache / "masks" / split))
    images = {Path(image["file_name"]).stem: image for image in content["images"]}
    items = [(name, painting_of(images[name], objects)) for name in missing]
    work = partial(_write_mask, folder=cache / "masks" / split)
    for _ in map_in_order(work, items, processes=processes, description=f"masks of {split}2014"):
        pass


def _valid_content(path: Path) -> Content:
    """The content of a JSON file. Raises DataError if it has a fault."""
    content = read_annotations(path)
    if problems := annotation_problems(path, content):
        raise DataError(f"{len(problems)} problems, the first: {problems[0]} (list all: python -m ribstudy data check)")
    return content


def _write_index(cache: Path, split: str, content: Content) -> dict[int, list[tuple[int, Entry]]]:
    """Writes the index of a split; returns its objects by image."""
    objects = objects_by_image(content)
    build_index(content, objects).write(cache / f"{split}.npz")
    return objects


def _write_mask(item: tuple[str, Painting], *, folder: Path) -> None:
    name, painting = item
    with atomic(folder / f"{name}.png") as temporary:
        write_mask(temporary, draw_mask(painting))


def _object_problems(path: Path, content: Content) -> list[str]:
    """A line if no object of a valid file covers a pixel. Logs how many do not, and what has no label."""
    objects = objects_by_image(content)
    own = {image: {index for index, item in found if not is_crowd(item)} for image, found in objects.items()}
    log_unseen_classes(path, COCO_CLASSES, own.values())
    if crowded := [image for image, classes in own.items() if not classes]:
        log.info("%s: %d images have crowds only, and no label, such as image %s", path, len(crowded), crowded[0])
    number, invisible = sum(not is_crowd(item) for item in content["annotations"]), invisible_objects(content)
    if not invisible:
        return []
    first = f"such as annotation {invisible[0].get('id')} of image {invisible[0]['image_id']}"
    message = f"{path}: {len(invisible)} of {number} objects are too thin to cover a pixel of their mask, {first}"
    if len(invisible) == number:
        return [message]
    log.warning("%s; their images keep the label", message)
    return []


def _check_picture(item: tuple[str, tuple[int, int]], *, folder: Path, decode: bool) -> tuple[list[str], bool]:
    """The faults of an image file, and whether it has an EXIF orientation. item: its name, and its size in the JSON file."""
    file_name, expected = item
    problems: list[str] = []
    oriented = False
    with collected(problems):
        size, oriented = check_jpeg(folder / file_name, decode=decode)
        if size != expected:
            stated = f"but the JSON file says {expected[0]} x {expected[1]} px"
            hint = ", and its EXIF orientation is not applied" if oriented else ""
            problems.append(f"{folder / file_name}: is {size[0]} x {size[1]} px, {stated}{hint}")
    return problems, oriented
