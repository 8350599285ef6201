"""PASCAL VOC 2012 and every data set in its devkit's layout (MiniVOC too): one reader, one check.

    JPEGImages/<name>.jpg                    the pictures
    Annotations/<name>.xml                   their objects: class, box, flags; the image-level labels come from here
    SegmentationClass/<name>.png             palette PNG: 0 background, 1..C classes, 255 void (left out of every score)
    ImageSets/Segmentation/<split>.txt       one name per line

`train_aug` is train plus the images that SBD adds (10,582 of VOC 2012). The plain devkit does not hold its list, and a devkit
need not hold masks for it: the labels are enough to train on. So masks are demanded of train and val only.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from ribstudy.datasets.base import DataError, Dataset, open_jpeg, read_bytes, read_mask
from ribstudy.progress import track

VOC_CLASSES: tuple[str, ...] = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip

SPLITS = ("train", "val", "train_aug")
SPLITS_WITH_MASKS = ("train", "val")
FOLDERS = ("JPEGImages", "Annotations", "SegmentationClass", "ImageSets/Segmentation")


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
        """
        label = np.zeros(len(self.class_names), bool)
        label[[item.class_index for item in self.objects(name)]] = True
        return label

    def objects(self, name: str) -> list[VocObject]:
        """The annotated objects of one image; DataError where there is none, or one of an unknown class."""
        return read_objects(self.root / "Annotations" / f"{name}.xml", self.class_names)

    def num_objects(self, name: str) -> int:
        return len(self.objects(name))

    def image(self, name: str) -> np.ndarray:
        return np.asarray(open_jpeg(self.root / "JPEGImages" / f"{name}.jpg").convert("RGB"))

    def mask(self, name: str) -> np.ndarray:
        return read_mask(self.root / "SegmentationClass" / f"{name}.png", len(self.class_names))


def read_names(root: Path, split: str) -> list[str]:
    """The names in ImageSets/Segmentation/<split>.txt, in its order."""
    path = root / "ImageSets" / "Segmentation" / f"{split}.txt"
    if not path.is_file():
        known = ", ".join(sorted(other.stem for other in path.parent.glob("*.txt"))) or "none"
        hint = (
            " The plain VOC 2012 devkit does not hold this list: put the 10,582 names of train plus SBD there, one per line."
            if split == "train_aug"
            else ""
        )
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


def read_objects(path: Path, class_names: Sequence[str]) -> list[VocObject]:
    """The objects of an annotation file."""
    try:
        tree = ElementTree.fromstring(read_bytes(path))
    except ElementTree.ParseError as error:
        raise DataError(f"{path}: is not readable as XML ({error})") from None
    objects = [_parse_object(node, path=path, class_names=class_names) for node in tree.iter("object")]
    if not objects:
        raise DataError(f"{path}: holds no object, so the image has no label")
    return objects


def _parse_object(node: ElementTree.Element, *, path: Path, class_names: Sequence[str]) -> VocObject:
    name = (node.findtext("name") or "").strip()
    if name not in class_names:
        raise DataError(f"{path}: object of unknown class {name!r}; known: {', '.join(class_names)}")
    try:
        box = tuple(float(node.findtext(f"bndbox/{side}")) for side in ("xmin", "ymin", "xmax", "ymax"))
    except (TypeError, ValueError):
        raise DataError(f"{path}: the box of a {name} is missing or not four numbers") from None
    flags = {flag: (node.findtext(flag) or "0").strip() == "1" for flag in ("difficult", "truncated", "occluded")}
    return VocObject(tuple(class_names).index(name), box, **flags)


def check(root: Path, class_names: Sequence[str], splits: Iterable[str] = SPLITS, *, decode: bool = False) -> list[str]:
    """All problems of a devkit at once, a line for each that names the file; an empty list means that there is none.

    Reads every annotation, every mask, and of every picture the header and the end; `decode` also decodes every picture.
    """
    root = Path(root)
    problems = missing_parts(root)
    if problems:
        return problems
    names_of = {}
    for split in splits:
        try:
            names_of[split] = read_names(root, split)
        except DataError as error:
            problems.append(str(error))
    problems += _overlaps(root, names_of)
    need_mask = {name for split in SPLITS_WITH_MASKS for name in names_of.get(split, ())}
    every = dict.fromkeys(name for names in names_of.values() for name in names)
    for name in track(every, "check"):
        problems += _check_image(root, name, class_names=class_names, need_mask=name in need_mask, decode=decode)
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
    """val must not share images with what is trained on."""
    shared = sorted(set(names_of.get("val", ())) & {*names_of.get("train", ()), *names_of.get("train_aug", ())})
    path = root / "ImageSets" / "Segmentation" / "val.txt"
    return [f"{path}: {len(shared)} of its images are also trained on, such as {shared[0]}"] if shared else []


def _check_image(root: Path, name: str, *, class_names: Sequence[str], need_mask: bool, decode: bool) -> list[str]:
    picture_path = root / "JPEGImages" / f"{name}.jpg"
    mask_path = root / "SegmentationClass" / f"{name}.png"
    problems, picture_size, mask_size = [], None, None
    try:
        read_objects(root / "Annotations" / f"{name}.xml", class_names)
    except DataError as error:
        problems.append(str(error))
    try:
        picture_size = open_jpeg(picture_path, decode=decode).size
    except DataError as error:
        problems.append(str(error))
    if need_mask or mask_path.exists():
        try:
            mask_size = read_mask(mask_path, len(class_names)).shape[::-1]
        except DataError as error:
            problems.append(str(error))
    if picture_size and mask_size and picture_size != mask_size:
        sizes = f"{mask_size[0]} x {mask_size[1]} px, but {picture_path.name} is {picture_size[0]} x {picture_size[1]} px"
        problems.append(f"{mask_path}: is {sizes}")
    return problems
