"""The layout of the PASCAL VOC devkit: where its files are, and how its lists and annotations are read and written. ::

    JPEGImages/<name>.jpg                    the images
    Annotations/<name>.xml                   their objects (class, box, flags), from which the image-level labels are made
    SegmentationClass/<name>.png             palette PNG: 0 background, 1..C classes, 255 void (not counted by any score)
    SegmentationClassAug/<name>.png          masks of the images that SBD adds; optional
    ImageSets/Segmentation/<split>.txt       one image name per line

Image names have no suffix, such as 2007_000032.
"""

import contextlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import isfinite
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from ribstudy.datasets.base import DataError, Stamp, is_image_name, optional_folder_problems, read_bytes, read_text, stamp

FOLDERS = ("JPEGImages", "Annotations", "SegmentationClass", "ImageSets/Segmentation")
MASK_FOLDERS = ("SegmentationClass", "SegmentationClassAug")  # the first one that contains an image's mask is used
MISSING_LIST_HINTS = {
    "train_aug": " The plain VOC 2012 devkit does not contain this list of train plus SBD (10,582 names);"
    " python -m ribstudy data fetch voc12 --root FOLDER makes it.",
    "test": " The plain VOC 2012 devkit contains neither this list of 1,456 names nor its images: VOC's evaluation server,"
    " http://host.robots.ox.ac.uk:8080, offers the test data after registration; unpack the archive over the devkit.",
}


@dataclass(frozen=True)
class VocObject:
    """An annotated object.

    class_index: from 0; box: left, top, right, bottom in pixels, counted from 1, with both ends included.
    """

    class_index: int
    box: tuple[float, float, float, float]
    difficult: bool = False
    truncated: bool = False
    occluded: bool = False


def list_path(root: Path, split: str) -> Path:
    return root / "ImageSets" / "Segmentation" / f"{split}.txt"


def picture_path(root: Path, name: str) -> Path:
    return root / "JPEGImages" / f"{name}.jpg"


def annotation_path(root: Path, name: str) -> Path:
    return root / "Annotations" / f"{name}.xml"


def mask_path(root: Path, name: str, *, required: bool) -> Path:
    """The file of an image's mask: with `required` always in SegmentationClass, else in the first folder that contains it.

    Raises DataError if the mask is not required and no folder contains it.
    """
    paths = [root / folder / f"{name}.png" for folder in MASK_FOLDERS]
    found = paths[0] if required else next((path for path in paths if path.is_file()), None)
    if found is None:
        raise DataError(f"{name} has no mask: neither {paths[0]} nor {paths[1]} exists")
    return found


def missing_parts(root: Path) -> list[str]:
    """The missing folders of the devkit, one line for each."""
    if not root.is_dir():
        return [f"{root}: this folder of the data set is missing"]
    missing = [root / folder for folder in FOLDERS if not (root / folder).is_dir()]
    problems = [f"{path}: this folder is missing; a VOC devkit contains {', '.join(FOLDERS)}" for path in missing]
    return problems + optional_folder_problems(root / MASK_FOLDERS[1])


def read_names(root: Path, split: str) -> list[str]:
    """The names in ImageSets/Segmentation/<split>.txt, sorted. Raises DataError if the list is missing or malformed."""
    path = list_path(root, split)
    if not os.path.lexists(path):
        known = ", ".join(sorted(other.stem for other in path.parent.glob("*.txt"))) or "none"
        hint = MISSING_LIST_HINTS.get(split, "")
        raise DataError(f"{path}: this list of split {split!r} is missing (existing lists: {known}).{hint}")
    names = [line.strip() for line in read_text(path).splitlines() if line.strip()]
    if not names:
        raise DataError(f"{path}: the list is empty")
    for name in names:
        if " " in name or not is_image_name(name):
            raise DataError(f"{path}: {name!r} is not an image name; expected one name per line, such as 2007_000032")
    if len(set(names)) < len(names):
        raise DataError(f"{path}: {len(names) - len(set(names))} names are listed more than once")
    return sorted(names)


def write_names(root: Path, split: str, names: Sequence[str]) -> None:
    """Writes ImageSets/Segmentation/<split>.txt."""
    list_path(root, split).write_text("".join(f"{name}\n" for name in names))


def read_objects(path: Path, class_names: Sequence[str]) -> tuple[VocObject, ...]:
    """The objects of an annotation file, parsed again in the same process only if the file has changed.

    Raises DataError if the file is missing or malformed, has no object, or has an object of an unknown class.
    """
    return _read_objects_once(stamp(path), tuple(class_names))


@cache
def _read_objects_once(file: Stamp, class_names: tuple[str, ...]) -> tuple[VocObject, ...]:
    tree = _parse_xml(file.path)
    objects = tuple(_parse_object(node, path=file.path, class_names=class_names) for node in tree.iter("object"))
    if not objects:
        raise DataError(f"{file.path}: has no object, so the image has no label")
    return objects


def _parse_xml(path: Path) -> ElementTree.Element:
    """The content of an XML file. If the parser does not know the declared encoding, or it is wrong, other ways are tried."""
    data = read_bytes(path)
    try:
        return ElementTree.fromstring(data)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        fault = error
    for text in _possible_texts(data):
        with contextlib.suppress(ElementTree.ParseError, ValueError):
            return ElementTree.fromstring(text)
    raise DataError(f"{path}: is not readable as XML ({fault}); if it is XML, save it as UTF-8")


def _possible_texts(data: bytes) -> Iterator[str]:
    """The content of an XML file in the declared encoding, if Python knows it, and in UTF-8."""
    declared = re.match(rb"""<\?xml[^>]*\bencoding\s*=\s*["']([\w.:-]+)["']""", data)
    for encoding in [*([declared[1].decode("ascii")] if declared else []), "utf-8-sig"]:
        with contextlib.suppress(LookupError, ValueError):  # an unknown encoding, or not the one of the file
            yield data.decode(encoding)


def _parse_object(node: ElementTree.Element, *, path: Path, class_names: tuple[str, ...]) -> VocObject:
    name = (node.findtext("name") or "").strip()
    if name not in class_names:
        raise DataError(f"{path}: object of unknown class {name!r}; known: {', '.join(class_names)}")
    try:
        box = tuple(float(node.findtext(f"bndbox/{side}")) for side in ("xmin", "ymin", "xmax", "ymax"))
    except (TypeError, ValueError):
        box = ()
    if not (box and all(map(isfinite, box))):
        raise DataError(f"{path}: the box of a {name} is missing or not four numbers")
    flags = {flag: (node.findtext(flag) or "0").strip() == "1" for flag in ("difficult", "truncated", "occluded")}
    return VocObject(class_names.index(name), box, **flags)


def write_annotation(root: Path, name: str, fields: Mapping[str, Any]) -> None:
    """Writes Annotations/<name>.xml. A mapping becomes an element with children, and a list one element per entry."""
    annotation = ElementTree.Element("annotation")
    _add_fields(annotation, fields)
    tree = ElementTree.ElementTree(annotation)
    ElementTree.indent(tree)
    tree.write(annotation_path(root, name), encoding="utf-8")


def _add_fields(parent: ElementTree.Element, fields: Mapping[str, Any]) -> None:
    for tag, value in fields.items():
        for entry in value if isinstance(value, list) else [value]:
            node = ElementTree.SubElement(parent, tag)
            if isinstance(entry, Mapping):
                _add_fields(node, entry)
            else:
                node.text = str(entry)
