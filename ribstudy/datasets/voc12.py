"""PASCAL VOC 2012 and every data set in its devkit's layout (MiniVOC too): one reader, one check.

    JPEGImages/<name>.jpg                    the pictures
    Annotations/<name>.xml                   their objects: class, box, flags; the image-level labels come from here
    SegmentationClass/<name>.png             palette PNG: 0 background, 1..C classes, 255 void (left out of every score)
    SegmentationClassAug/<name>.png          the same, of images that SBD adds; need not be there
    ImageSets/Segmentation/<split>.txt       one name per line

`train_aug` is train plus the images that SBD adds (10,582 of VOC 2012). The plain devkit does not hold its list, and a devkit
need not hold masks for it: the labels are enough to train on. So masks are demanded of train and val only. Where train_aug is
opened, an image without a mask in SegmentationClass has that of SegmentationClassAug: VOC's own truth wins over SBD's.

`test` (1,456 images of VOC 2012) is there to predict only: the evaluation server keeps its annotations and masks. It need not
be there; where its list is, the check reads its pictures.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache, partial
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from ribstudy.datasets.base import (
    DataError,
    Dataset,
    Source,
    Stamp,
    map_in_order,
    open_jpeg,
    read_bytes,
    read_mask,
    size_problem,
    stamp,
)
from ribstudy.runtime.files import digest

VOC_CLASSES: tuple[str, ...] = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip

SPLITS = ("train", "val", "train_aug")
SPLITS_WITH_MASKS = ("train", "val")
UNLABELLED_SPLITS = ("test",)  # can be opened where they are there; never demanded, and no part of the identity of the data
FOLDERS = ("JPEGImages", "Annotations", "SegmentationClass", "ImageSets/Segmentation")
MASK_FOLDERS = ("SegmentationClass", "SegmentationClassAug")  # the first that holds an image's mask is read
MISSING_LIST_HINTS = {
    "train_aug": " The plain VOC 2012 devkit does not hold this list of train plus SBD, 10,582 names:"
    " python -m ribstudy data fetch voc12 --root FOLDER makes it.",
    "test": " The plain VOC 2012 devkit holds neither this list of 1,456 names nor its pictures: VOC's evaluation server,"
    " http://host.robots.ox.ac.uk:8080, offers the test data after registration; unpack their archive over the devkit.",
}


@dataclass(frozen=True)
class VocObject:
    """An annotated object: class index from 0, box (left, top, right, bottom) in pixels counted from 1, both ends included."""

    class_index: int
    box: tuple[float, float, float, float]
    difficult: bool = False
    truncated: bool = False
    occluded: bool = False


class VocDataset(Dataset):
    """The images of one split of a devkit."""

    def __init__(self, root: Path, split: str, class_names: Sequence[str]):
        """Raises DataError where the folder, one of its parts or the split's list is missing or malformed."""
        self.root = Path(root)
        self.split = split
        self.class_names = tuple(class_names)
        problems = missing_parts(self.root)
        if problems:
            raise DataError("; ".join(problems))
        self.names = read_names(self.root, split)

    def label(self, name: str) -> np.ndarray:
        """The image-level label of one image, bool [C].

        Every annotated object counts, also one marked "difficult", as in the reference code (IRN reads every name in the XML).
        All False in `test`, where it means that the classes are not known.
        """
        label = np.zeros(len(self.class_names), bool)
        label[[item.class_index for item in self.objects(name)]] = True
        return label

    def objects(self, name: str) -> tuple[VocObject, ...]:
        """The annotated objects of one image; DataError where there is none, or one of an unknown class. None in `test`."""
        if self.split in UNLABELLED_SPLITS:
            return ()
        return read_objects(annotation_path(self.root, name), self.class_names)

    def num_objects(self, name: str) -> int | None:
        return None if self.split in UNLABELLED_SPLITS else len(self.objects(name))

    def image(self, name: str) -> np.ndarray:
        return np.asarray(open_jpeg(picture_path(self.root, name)).convert("RGB"))

    def mask(self, name: str) -> np.ndarray:
        if self.split in UNLABELLED_SPLITS:
            known = " or ".join(SPLITS_WITH_MASKS)
            raise DataError(f"{name}: split {self.split} has no masks, VOC's evaluation server keeps them; use split {known}")
        return read_mask(mask_path(self.root, name, required=self.split in SPLITS_WITH_MASKS), len(self.class_names))

    @cached_property
    def masked_names(self) -> list[str]:
        """All of train and val; of train_aug those whose mask is there; none of test."""
        if self.split in SPLITS_WITH_MASKS:
            return self.names
        if self.split in UNLABELLED_SPLITS:
            return []
        there = {path.stem for folder in MASK_FOLDERS for path in (self.root / folder).glob("*.png")}
        return [name for name in self.names if name in there]


class VocSource(Source):
    """The VOC 2012 devkit."""

    splits = SPLITS
    training_split = "train_aug"
    root_hint = "the folder of the VOC 2012 devkit, such as /data/VOCdevkit/VOC2012"
    class_names = VOC_CLASSES

    def prepare(self, *, processes: int = 1) -> None:
        """Raises DataError where a folder or one of the lists of train and val is missing."""
        if problems := missing_parts(self.root):
            raise DataError("; ".join(problems) + " (data.root is the folder that holds JPEGImages, such as VOCdevkit/VOC2012)")
        for split in SPLITS_WITH_MASKS:  # the others are demanded where they are opened
            read_names(self.root, split)

    def open(self, split: str) -> VocDataset:
        return VocDataset(self.root, split, self.class_names)

    def fingerprint(self) -> dict:
        """Of the lists, the labels of all listed images, and the size in bytes of their pictures.

        It does not see the masks, the split test, nor a picture that was changed and has as many bytes as before. While a
        process lives it looks anew only where a list has changed or a file in Annotations or JPEGImages came, went or was
        replaced: what is written over in place is seen by the next process.
        """
        self.prepare()
        lists = tuple(map(stamp, self.lists()))
        folders = tuple(stamp(self.root / folder) for folder in ("Annotations", "JPEGImages"))
        return {"name": self.settings.name, **_content_digests(self.root, self.class_names, lists, folders)}

    def lists(self) -> list[Path]:
        paths = [list_path(self.root, split) for split in SPLITS]
        return [path for path in paths if path.is_file()]

    def check(self, *, decode: bool = False, processes: int = 1) -> list[str]:
        try:
            self.prepare()
        except DataError as error:
            return [str(error)]
        return check(self.root, self.class_names, decode=decode, processes=processes)


@lru_cache
def _content_digests(
    root: Path, class_names: tuple[str, ...], lists: tuple[Stamp, ...], folders: tuple[Stamp, ...]
) -> dict[str, dict[str, str] | str]:
    """What `VocSource.fingerprint` says of the content; `folders` decides only whether it is looked at again."""
    names = sorted({name for file in lists for name in read_names(root, file.path.stem)})
    return {
        "lists": {file.path.name: hashlib.sha256(file.path.read_bytes()).hexdigest() for file in lists},
        "labels": digest([[name, _class_indices(annotation_path(root, name), class_names)] for name in names]),
        "images": digest([[name, stamp(picture_path(root, name)).size] for name in names]),
    }


def _class_indices(path: Path, class_names: tuple[str, ...]) -> list[int] | None:
    """The classes of an annotation file; None where it is at fault: the check names all such files, an identity none."""
    try:
        return sorted({item.class_index for item in read_objects(path, class_names)})
    except DataError:
        return None


def list_path(root: Path, split: str) -> Path:
    return root / "ImageSets" / "Segmentation" / f"{split}.txt"


def picture_path(root: Path, name: str) -> Path:
    return root / "JPEGImages" / f"{name}.jpg"


def annotation_path(root: Path, name: str) -> Path:
    return root / "Annotations" / f"{name}.xml"


def mask_path(root: Path, name: str, *, required: bool) -> Path:
    """The file of an image's mask. `required`: the one in SegmentationClass, whether it is there or not."""
    paths = [root / folder / f"{name}.png" for folder in MASK_FOLDERS]
    found = paths[0] if required else next((path for path in paths if path.is_file()), None)
    if found is None:
        raise DataError(f"{name} has no mask: neither {paths[0]} nor {paths[1]} is there")
    return found


def read_names(root: Path, split: str) -> list[str]:
    """The names in ImageSets/Segmentation/<split>.txt, in its order."""
    path = list_path(root, split)
    if not path.is_file():
        known = ", ".join(sorted(other.stem for other in path.parent.glob("*.txt"))) or "none"
        hint = MISSING_LIST_HINTS.get(split, "")
        raise DataError(f"{path}: this list of split {split!r} is missing (lists there: {known}).{hint}")
    names = [line.strip() for line in path.read_text().splitlines() if line.strip()]
    if not names:
        raise DataError(f"{path}: the list is empty")
    for name in names:
        if "/" in name or " " in name:
            raise DataError(f"{path}: {name!r} is not an image name; expected one name per line, such as 2007_000032")
    if len(set(names)) < len(names):
        raise DataError(f"{path}: {len(names) - len(set(names))} names stand there more than once")
    return names


def read_objects(path: Path, class_names: Sequence[str]) -> tuple[VocObject, ...]:
    """The objects of an annotation file; in one process it is parsed again only where it has changed."""
    return _read_objects_once(stamp(path), tuple(class_names))


@cache
def _read_objects_once(file: Stamp, class_names: tuple[str, ...]) -> tuple[VocObject, ...]:
    path = file.path
    try:
        tree = ElementTree.fromstring(read_bytes(path))
    except ElementTree.ParseError as error:
        raise DataError(f"{path}: is not readable as XML ({error})") from None
    objects = tuple(_parse_object(node, path=path, class_names=class_names) for node in tree.iter("object"))
    if not objects:
        raise DataError(f"{path}: holds no object, so the image has no label")
    return objects


def _parse_object(node: ElementTree.Element, *, path: Path, class_names: tuple[str, ...]) -> VocObject:
    name = (node.findtext("name") or "").strip()
    if name not in class_names:
        raise DataError(f"{path}: object of unknown class {name!r}; known: {', '.join(class_names)}")
    try:
        box = tuple(float(node.findtext(f"bndbox/{side}")) for side in ("xmin", "ymin", "xmax", "ymax"))
    except (TypeError, ValueError):
        raise DataError(f"{path}: the box of a {name} is missing or not four numbers") from None
    flags = {flag: (node.findtext(flag) or "0").strip() == "1" for flag in ("difficult", "truncated", "occluded")}
    return VocObject(class_names.index(name), box, **flags)


def check(root: Path, class_names: Sequence[str], *, decode: bool = False, processes: int = 1) -> list[str]:
    """All problems of a devkit at once, a line for each that names the file; an empty list means that there is none.

    Reads every annotation, every mask, and of every picture the header and the end; `decode` also decodes every picture.
    """
    root = Path(root)
    problems = missing_parts(root)
    if problems:
        return problems
    names_of = {}
    for split in (*SPLITS, *(split for split in UNLABELLED_SPLITS if list_path(root, split).is_file())):
        try:
            names_of[split] = read_names(root, split)
        except DataError as error:
            problems.append(str(error))
    problems += _overlaps(root, names_of)
    need_mask = {name for split in SPLITS_WITH_MASKS for name in names_of.get(split, ())}
    labelled = {name for split in SPLITS for name in names_of.get(split, ())}
    names = dict.fromkeys(name for names in names_of.values() for name in names)
    items = [(name, name in labelled, name in need_mask) for name in names]
    work = partial(_check_image, root=root, class_names=class_names, decode=decode)
    for found in map_in_order(work, items, processes=processes, description="check"):
        problems += found
    return problems


def missing_parts(root: Path) -> list[str]:
    """A line for each folder of the devkit that is not there."""
    if not root.is_dir():
        return [f"{root}: this folder of the data set is missing"]
    return [
        f"{root / folder}: this folder is missing; a VOC devkit holds {', '.join(FOLDERS)}"
        for folder in FOLDERS
        if not (root / folder).is_dir()
    ]


def _overlaps(root: Path, names_of: dict[str, list[str]]) -> list[str]:
    """val and test must not share images with what is trained on."""
    trained = {*names_of.get("train", ()), *names_of.get("train_aug", ())}
    shared = {split: sorted(trained.intersection(names_of.get(split, ()))) for split in ("val", *UNLABELLED_SPLITS)}
    return [
        f"{list_path(root, split)}: {len(names)} of its images are also trained on, such as {names[0]}"
        for split, names in shared.items()
        if names
    ]


def _check_image(item: tuple[str, bool, bool], *, root: Path, class_names: Sequence[str], decode: bool) -> list[str]:
    """item: an image's name, whether it must have an annotation, and whether a mask."""
    name, need_annotation, need_mask = item
    picture = picture_path(root, name)
    problems, picture_size, mask_size = [], None, None
    try:
        if need_annotation:
            read_objects(annotation_path(root, name), class_names)
    except DataError as error:
        problems.append(str(error))
    try:
        picture_size = open_jpeg(picture, decode=decode).size
    except DataError as error:
        problems.append(str(error))
    if need_mask or any((root / folder / f"{name}.png").exists() for folder in MASK_FOLDERS):
        try:
            path = mask_path(root, name, required=need_mask)
            mask_size = read_mask(path, len(class_names)).shape[::-1]
        except DataError as error:
            problems.append(str(error))
    if picture_size and mask_size and picture_size != mask_size:
        problems.append(size_problem(path, mask_size, picture, picture_size))
    return problems
