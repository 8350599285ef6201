"""PASCAL VOC 2012, and every other data set in the layout of its devkit (MiniVOC too).

`train_aug` is train plus the images that SBD adds (10,582 images in VOC 2012). The plain devkit does not contain its list, and
its masks are optional because the labels are enough for training: only train and val must have masks. In train_aug, an image
without a mask in SegmentationClass gets its mask from SegmentationClassAug, so VOC's own masks take precedence over SBD's.

`test` (1,456 images of VOC 2012) is only for predictions: the evaluation server keeps its annotations and masks. It is
optional; if its list exists, the check reads its images too.
"""

import os
from collections.abc import Sequence
from functools import cached_property, lru_cache, partial
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ribstudy.datasets.base import DataError, Dataset, Source, Stamp, collected, log_unseen_classes, map_in_order, stamp
from ribstudy.datasets.content import Files, Reading, content_digest
from ribstudy.datasets.devkit import (
    MASK_FOLDERS,
    VocObject,
    annotation_path,
    list_path,
    mask_path,
    missing_parts,
    picture_path,
    read_names,
    read_objects,
)
from ribstudy.datasets.mask_checks import MaskSummary, log_unturned, mask_set_problems, require_equal_sizes, summarize_mask
from ribstudy.datasets.pictures import check_jpeg, read_jpeg, read_mask
from ribstudy.runtime.files import digest

VOC_CLASSES: tuple[str, ...] = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip

SPLITS = ("train", "val", "train_aug")
SPLITS_WITH_MASKS = ("train", "val")
UNLABELLED_SPLITS = ("test",)  # optional, and not part of the identity of the data


class VocDataset(Dataset):
    """The images of one split of a devkit."""

    def __init__(self, root: Path, split: str, class_names: Sequence[str]):
        """Raises DataError if the folder, one of its parts, or the list of the split is missing or malformed."""
        self.root = Path(root)
        self.split = split
        self.class_names = tuple(class_names)
        if problems := missing_parts(self.root):
            raise DataError("; ".join(problems))
        self.names = read_names(self.root, split)

    def label(self, name: str) -> np.ndarray:
        """The image-level label of one image, bool [C].

        Every annotated object counts, even if it is marked "difficult", as in the reference code (IRN reads every name in the
        XML). In `test` all values are False, which means that the classes are unknown.
        """
        label = np.zeros(len(self.class_names), bool)
        label[[item.class_index for item in self.objects(name)]] = True
        return label

    def objects(self, name: str) -> tuple[VocObject, ...]:
        """The annotated objects of one image, or () in `test`. Raises DataError as `read_objects` does."""
        if self.split in UNLABELLED_SPLITS:
            return ()
        return read_objects(annotation_path(self.root, name), self.class_names)

    def num_objects(self, name: str) -> int | None:
        return None if self.split in UNLABELLED_SPLITS else len(self.objects(name))

    def image(self, name: str) -> np.ndarray:
        return read_jpeg(picture_path(self.root, name))

    def mask(self, name: str) -> np.ndarray:
        if self.split in UNLABELLED_SPLITS:
            why = f"split {self.split} has no masks because VOC's evaluation server keeps them"
            raise DataError(f"{name}: {why}; use split {' or '.join(SPLITS_WITH_MASKS)}")
        return read_mask(mask_path(self.root, name, required=self.split in SPLITS_WITH_MASKS), len(self.class_names))

    @cached_property
    def masked_names(self) -> list[str]:
        """All images of train and val, the images of train_aug whose mask exists, and no images of test."""
        if self.split in SPLITS_WITH_MASKS:
            return self.names
        if self.split in UNLABELLED_SPLITS:
            return []
        present = {path.stem for folder in MASK_FOLDERS for path in (self.root / folder).glob("*.png")}
        return [name for name in self.names if name in present]


class VocSource(Source):
    """The VOC 2012 devkit."""

    splits = SPLITS
    training_split = "train_aug"
    root_hint = "the folder of the VOC 2012 devkit, such as /data/VOCdevkit/VOC2012"
    class_names = VOC_CLASSES

    def prepare(self, *, processes: int = 1) -> None:
        """Raises DataError if a folder, or the list of train or val, is missing."""
        if problems := missing_parts(self.root):
            hint = "data.root is the folder that contains JPEGImages, such as VOCdevkit/VOC2012"
            raise DataError(f"{'; '.join(problems)} ({hint})")
        for split in SPLITS_WITH_MASKS:  # the other lists are read when their split is opened
            read_names(self.root, split)

    def open(self, split: str) -> VocDataset:
        return VocDataset(self.root, split, self.class_names)

    def fingerprint(self) -> dict:
        """Depends on the lists, the labels and the content of the image files, but not on the split test."""
        self.prepare()
        return {"name": self.settings.name, **content(self.root, self.class_names)}

    def mask_fingerprint(self) -> dict:
        """Depends on the names of the images and the content of the mask files, each from the folder that it is read from."""
        self.prepare()
        return {"name": self.settings.name, "masks": mask_content(self.root)}

    def lists(self) -> list[Path]:
        paths = [list_path(self.root, split) for split in SPLITS]
        return [path for path in paths if path.is_file()]

    def check(self, *, decode: bool = False, processes: int = 1) -> list[str]:
        try:
            self.prepare()
        except DataError as error:
            return [str(error)]
        return check(self.root, self.class_names, decode=decode, processes=processes)


class Listed(NamedTuple):
    """The digest of the names in each list, and the files of all listed images."""

    lists: dict[str, str]
    annotations: Files
    pictures: Files
    masks: Files


def content(root: Path, class_names: Sequence[str]) -> dict[str, Any]:
    """The digests of the lists, of the labels of all listed images, and of the image files."""
    listed = _listed(root, _list_stamps(root))
    labels = Reading(f"classes of {digest(class_names)}", partial(_class_indices, class_names=class_names))
    return {
        "lists": listed.lists,
        "labels": content_digest(listed.annotations, labels),
        "images": content_digest(listed.pictures),
    }


def mask_content(root: Path) -> str:
    """The digest of the mask files of all listed images."""
    return content_digest(_listed(root, _list_stamps(root)).masks)


def _list_stamps(root: Path) -> tuple[Stamp, ...]:
    stamps = (stamp(list_path(root, split)) for split in SPLITS)
    return tuple(found for found in stamps if found.exists)


@lru_cache
def _listed(root: Path, lists: tuple[Stamp, ...]) -> Listed:
    names_of = {file.path.stem: read_names(root, file.path.stem) for file in lists}
    names = sorted(set(chain.from_iterable(names_of.values())))
    return Listed(
        {split: digest(split_names) for split, split_names in names_of.items()},
        Files.like(root, names, "Annotations/{}.xml"),
        Files.like(root, names, "JPEGImages/{}.jpg"),
        Files.like(root, names, *(f"{folder}/{{}}.png" for folder in MASK_FOLDERS)),
    )


def _class_indices(path: Path, class_names: Sequence[str]) -> list[int] | None:
    """The classes of an annotation file, or None if it has a fault, which the check reports instead."""
    try:
        return sorted({item.class_index for item in read_objects(path, class_names)})
    except DataError:
        return None


def _without_files(root: Path, split: str, names: Sequence[str]) -> list[str]:
    """A line if a list names images without a picture and an annotation, because the fault can be in the list."""
    places = (picture_path, annotation_path)
    missing = [name for name in names if not any(os.path.lexists(place(root, name)) for place in places)]
    if not missing:
        return []
    return [f"{list_path(root, split)}: {len(missing)} of its {len(names)} images are missing, such as {missing[0]}"]


def check(root: Path, class_names: Sequence[str], *, decode: bool = False, processes: int = 1) -> list[str]:
    """All faults of a devkit, one line for each that names the file.

    Reads every annotation and mask, and every image; `decode` also decodes every image in full.
    """
    root = Path(root)
    if problems := missing_parts(root):
        return problems
    names_of = {}
    for split in (*SPLITS, *(split for split in UNLABELLED_SPLITS if os.path.lexists(list_path(root, split)))):
        with collected(problems):
            names_of[split] = read_names(root, split)
    problems += _overlaps(root, names_of)
    need_mask = {name for split in SPLITS_WITH_MASKS for name in names_of.get(split, ())}
    labelled = {name for split in SPLITS for name in names_of.get(split, ())}
    problems += chain.from_iterable(_without_files(root, split, names) for split, names in names_of.items())
    names = dict.fromkeys(name for names in names_of.values() for name in names)
    items = [(name, name in labelled, name in need_mask) for name in names]
    work = partial(_check_image, root=root, class_names=class_names, decode=decode)
    found = list(map_in_order(work, items, processes=processes, description="check"))
    problems += chain.from_iterable(each.problems for each in found)
    log_unseen_classes(root, class_names, [each.classes for each in found if each.classes is not None])
    log_unturned(
        root / "JPEGImages", [picture_path(root, name) for name, each in zip(names, found, strict=True) if each.oriented]
    )
    masks = [(each.mask, each.classes) for each in found if None not in (each.classes, each.mask)]
    return problems + mask_set_problems(masks, class_names, root)


def _overlaps(root: Path, names_of: dict[str, list[str]]) -> list[str]:
    """Reports images of val and test that are also in train or train_aug."""
    trained = {*names_of.get("train", ()), *names_of.get("train_aug", ())}
    shared = {split: sorted(trained.intersection(names_of.get(split, ()))) for split in ("val", *UNLABELLED_SPLITS)}
    return [
        f"{list_path(root, split)}: {len(names)} of its images are also in train or train_aug, such as {names[0]}"
        for split, names in shared.items()
        if names
    ]


class Found(NamedTuple):
    """The findings about one image: its faults, classes and mask (None if they cannot be read), and its EXIF orientation."""

    problems: list[str]
    classes: frozenset[int] | None
    mask: MaskSummary | None
    oriented: bool


def _check_image(item: tuple[str, bool, bool], *, root: Path, class_names: Sequence[str], decode: bool) -> Found:
    """item: the name of an image, whether it needs an annotation, and whether it needs a mask."""
    name, need_annotation, need_mask = item
    picture = picture_path(root, name)
    problems: list[str] = []
    classes = size = mask = None
    oriented = False
    with collected(problems):
        if need_annotation:
            classes = frozenset(item.class_index for item in read_objects(annotation_path(root, name), class_names))
    with collected(problems):
        size, oriented = check_jpeg(picture, decode=decode)
    with collected(problems):
        if need_mask or any((root / folder / f"{name}.png").exists() for folder in MASK_FOLDERS):
            mask = summarize_mask(mask_path(root, name, required=need_mask), len(class_names))
            if size is not None:
                require_equal_sizes(mask.path, mask.size, picture, size)
    return Found(problems, classes, mask, oriented)
