"""The lists of a folder of own images: labels.csv, classes.txt and val.txt, and the faults in them."""

import csv
import difflib
import io
import os
import re
import unicodedata
import zlib
from bisect import bisect
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ribstudy.datasets.base import DataError, optional_folder_problems, read_text
from ribstudy.datasets.pictures import MAX_CLASSES, SUFFIXES

PARTS = ("labels.csv", "classes.txt", "val.txt", "images", "masks")
ROOT_HINT = "a folder with images/ and labels.csv"
VAL_PERIOD = 5  # without val.txt, about one image in this many is held out
BETWEEN = r"[\s,|/+&:'\"\[\](){}]+"  # characters between the classes of an image that share a column
# No names of classes: tools write them for the mask values 0 and 255 (such as _background_), or for a missing value.
RESERVED = ("background", "void", "ignore", "none", "nan", "null")
CONTROL = "a control character, which cannot be seen; remove it"
NEIGHBOURS = 8  # known names before and after a wrong one that are compared with it
NOT_DATA = ("thumbs.db", "desktop.ini")  # files that Windows writes into folders of images


@dataclass(frozen=True)
class Listing:
    """The content of the lists of a folder, and the faults in them.

    files: image name -> its file; masks: image name -> its mask, if it has one; classes_of: image name -> its classes; val: the
    names of the held-out images; num_unlisted: the number of image files without a line in labels.csv; problems: one line for
    each fault.
    """

    class_names: tuple[str, ...]
    files: dict[str, Path]
    masks: dict[str, Path]
    classes_of: dict[str, tuple[str, ...]]
    val: frozenset[str]
    num_unlisted: int
    problems: tuple[str, ...]

    def names(self, split: str) -> list[str]:
        """The image names of the split "train" or "val", sorted."""
        return [name for name in self.files if (name in self.val) == (split == "val")]

    def labels(self, names: Sequence[str]) -> np.ndarray:
        """The labels of images, bool [N, C]."""
        places = {class_name: place for place, class_name in enumerate(self.class_names)}
        labels = np.zeros((len(names), len(self.class_names)), bool)
        for label, name in zip(labels, names, strict=True):
            label[[places[class_name] for class_name in self.classes_of[name]]] = True
        return labels


def read_listing(root: Path) -> Listing:
    """Reads labels.csv, classes.txt and val.txt, and collects the faults of single lines.

    Raises DataError if there is nothing to read: no folder, no image, no table.
    """
    if misnamed := _misnamed_parts(root):
        raise DataError("; ".join(misnamed))
    table, pictures = root / "labels.csv", _find_pictures(root)
    problems = _subfolder_problems(root / "images") + optional_folder_problems(root / "masks")
    masks = _find_masks(root / "masks", problems)
    given = _read_classes(root / "classes.txt", problems, has_masks=bool(masks))
    rows = _read_table(table)
    class_names = given or tuple(sorted({name for _, _, classes in rows for name in classes}))
    if not given:
        problems += [f"{table}: {problem}; if it is right, list all classes in classes.txt" for problem in _doubts(class_names)]
    files, classes_of = _match_rows(table, rows, pictures, class_names, problems)
    if not class_names:
        problems.append(f"{table}: names no class; write the classes of an image after its name: cat1.jpg,cat")
    if len(class_names) > MAX_CLASSES:
        source = root / "classes.txt" if given else table
        problems.append(f"{source}: names {len(class_names)} classes, but a mask has values for at most {MAX_CLASSES}")
    if len(files) < 2:
        problems.append(f"{table}: names {len(files)} usable images; at least two are needed")
    known = Names(files)
    lone = [
        f"{path}: labels.csv has no image of this name" + known.suggestion(name)
        for name, path in masks.items()
        if name not in known
    ]
    problems += lone
    own_masks = {name: masks[name] for name in files if name in masks}
    val = _read_val(root / "val.txt", files, problems)
    num_unlisted = sum(map(len, pictures.values())) - len(rows)
    return Listing(class_names, files, own_masks, classes_of, val, max(num_unlisted, 0), tuple(problems))


def _misnamed_parts(root: Path) -> list[str]:
    """A line for each file or folder that would be read if its name had no capitals."""
    inside = sorted(root.iterdir()) if root.is_dir() else []
    found = (path for path in inside if path.name not in PARTS and path.name.lower() in PARTS)
    ignored = [path for path in found if not (root / path.name.lower()).exists()]  # they exist where capitals do not matter
    return [f"{path}: is not read; rename it to {path.name.lower()}" for path in ignored]


def _find_pictures(root: Path) -> dict[str, list[Path]]:
    """Normalised file name -> image files with that name (two if the same letters are encoded in two ways)."""
    folder = root / "images"
    if not folder.is_dir():
        raise DataError(f"{folder}: this folder is missing; data.root is {ROOT_HINT}")
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        if _is_picture(path):
            found.setdefault(normal_form(path.name), []).append(path)
    if not found:
        raise DataError(f"{folder}: contains no image; known suffixes: {', '.join(SUFFIXES)}")
    return found


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def normal_form(text: str) -> str:
    """The text in the Unicode form NFC: a file system may store a letter and its accent as two characters."""
    return unicodedata.normalize("NFC", text)


def _subfolder_problems(folder: Path) -> list[str]:
    below = [path for path in sorted(folder.iterdir()) if path.is_dir() and not path.name.startswith(".")]
    with_images = [path for path in below if any(_is_picture(inner) for inner in path.iterdir())]
    return [f"{path}: images in subfolders are not read; move them to {folder}" for path in with_images]


def _find_masks(folder: Path, problems: list[str]) -> dict[str, Path]:
    """Normalised name of an image -> its mask."""
    masks: dict[str, Path] = {}
    for path in sorted(folder.glob("[!.]*")):
        name = normal_form(path.stem)
        if path.suffix.lower() != ".png":
            if path.is_dir() and any(path.glob("[!.]*.[pP][nN][gG]")):
                problems.append(f"{path}: masks in subfolders are not read; move them to {folder}")
            elif path.is_file() and path.name.lower() not in NOT_DATA:
                problems.append(f"{path}: is not a .png file; masks must be PNGs")
        elif name in masks:
            problems.append(f"{path}: is a second mask of the same name as {masks[name].name}; remove one of the two")
        else:
            masks[name] = path
    return masks


def _read_lines(path: Path) -> list[str]:
    """The lines that are not empty, without spaces around them."""
    return [normal_form(line.strip()) for line in read_text(path).splitlines() if line.strip()]


def _read_classes(path: Path, problems: list[str], *, has_masks: bool) -> tuple[str, ...]:
    """The lines of classes.txt, or () if there is no such file."""
    if not os.path.lexists(path):
        if has_masks:
            problems.append(f"{path}: is missing; masks need it, because value k of a mask is the class on line k")
        return ()
    names = _read_lines(path)
    if not names:
        problems.append(f"{path}: is empty; expected one class per line")
    problems += [f"{path}: class {name!r} is listed more than once" for name in _repeated(names)]
    problems += [f"{path}: class {name!r} contains {CONTROL}" for name in names if _has_control(name)]
    reserved = [name for name in names if _is_reserved(name)]
    problems += [f"{path}: a class cannot be called {name!r}; list only classes that can be learned" for name in reserved]
    return tuple(dict.fromkeys(names))


def _doubts(class_names: Sequence[str]) -> Iterator[str]:
    """Signs that a table means other classes than it names."""
    numbers = [name for name in class_names if re.fullmatch(r"[0-9.]+", name)]
    if numbers and len(numbers) < len(class_names):
        yield f"class {numbers[0]!r} is a number and others are words; a line has an image, and then only its classes"
    alike: dict[str, str] = {}
    known = frozenset(class_names)
    for name in class_names:
        letters = "".join(filter(str.isalnum, name.casefold())) or name
        if (other := alike.setdefault(letters, name)) != name:
            yield f"classes {other!r} and {name!r} differ only in capitals, spaces or punctuation"
        parts = list(filter(None, re.split(BETWEEN, name)))
        if name.startswith(("[", "{", "(")) or (len(parts) > 1 and known.issuperset(parts)):
            yield f"class {name!r} seems to be a list of classes; write each class into a column of its own"


def _is_reserved(class_name: str) -> bool:
    return class_name.lower().strip("_") in RESERVED


def _has_control(class_name: str) -> bool:
    return any(unicodedata.category(character) == "Cc" for character in class_name)


def _read_table(path: Path) -> list[tuple[int, str, tuple[str, ...]]]:
    """(line number, image, classes) of each line of labels.csv after the header. Empty cells and lines are skipped."""
    if not os.path.lexists(path):
        raise DataError(f"{path}: is missing; expected the header image,class and a line for each image: cat1.jpg,cat")
    reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True, skipinitialspace=True)
    try:
        rows = [(reader.line_num, [normal_form(cell.strip()) for cell in cells]) for cells in reader]
    except csv.Error as error:
        raise DataError(f"{path}: line {reader.line_num} is not readable as CSV ({error})") from None
    rows = [(line, cells) for line, cells in rows if any(cells)]
    header = ",".join(rows[0][1]).lower().rstrip(",") if rows else ""
    for separator, name in ((";", "semicolons"), ("\t", "tabs")):
        if separator in header:
            raise DataError(f"{path}: its columns are separated by {name}; expected commas: image,class")
    if header != "image,class":
        raise DataError(f"{path}: its first line is {header!r}; expected the header image,class")
    return [(line, cells[0], tuple(cell for cell in cells[1:] if cell)) for line, cells in rows[1:]]


def _match_rows(
    path: Path,
    rows: Sequence[tuple[int, str, tuple[str, ...]]],
    pictures: dict[str, list[Path]],
    class_names: tuple[str, ...],
    problems: list[str],
) -> tuple[dict[str, Path], dict[str, tuple[str, ...]]]:
    """The usable rows as two dictionaries, image name -> file and image name -> classes, the first sorted by name."""
    files, classes_of, lines = {}, {}, {}
    known_files, known_classes = Names(pictures), Names(class_names)
    for line, file_name, classes in rows:
        name = Path(file_name).stem
        problem = _row_problem(file_name, classes, pictures, known_files, known_classes)
        if problem is None and name in files:
            same = files[name] == pictures[file_name][0]
            rule = "write all classes of an image into one line" if same else "without their suffixes, names must be unique"
            problem = f"{file_name!r} has the same name as line {lines[name]}; {rule}"
        if problem:
            problems.append(f"{path}: line {line}: {problem}")
        else:
            files[name], classes_of[name], lines[name] = pictures[file_name][0], classes, line
    return {name: files[name] for name in sorted(files)}, classes_of


def _row_problem(
    file_name: str, classes: tuple[str, ...], pictures: dict[str, list[Path]], known_files: "Names", known_classes: "Names"
) -> str | None:
    """The first fault of a row, or None."""
    if "/" in file_name or "\\" in file_name:
        return f"{file_name!r} is a path; expected the name of a file directly in images/"
    if file_name not in pictures:
        if file_name.startswith("."):
            return f"{file_name!r} is hidden, because its name begins with a point; rename the file"
        if Path(file_name).suffix and Path(file_name).suffix.lower() not in SUFFIXES:
            return f"{file_name!r} is not an image; known suffixes: {', '.join(SUFFIXES)}"
        return f"{file_name!r} is not in images/" + known_files.suggestion(file_name)
    if len(pictures[file_name]) > 1:
        return f"{file_name!r} exists twice, with its accents encoded in two ways; rename one of the two"
    if any(";" in name for name in classes):
        return f"{';'.join(classes)!r} contains a semicolon; separate classes with commas"
    if repeated := _repeated(classes):
        return f"names {repeated[0]!r} twice"
    if reserved := [name for name in classes if _is_reserved(name)]:
        return f"a class cannot be called {reserved[0]!r}"
    if odd := [name for name in classes if _has_control(name)]:
        return f"class {odd[0]!r} contains {CONTROL}"
    unknown = [name for name in classes if name not in known_classes]
    return f"class {unknown[0]!r} is not in classes.txt" + known_classes.suggestion(unknown[0]) if unknown else None


class Names:
    """Known names. A suggestion for a wrong one takes the same time however many there are."""

    def __init__(self, known: Iterable[str]):
        self._known = frozenset(known)
        self._sorted = sorted(self._known, key=str.casefold)

    def __contains__(self, name: str) -> bool:
        return name in self._known

    def suggestion(self, wrong: str) -> str:
        """The most similar name among those next to `wrong` in the alphabet, as the end of a message; "" if none is similar."""
        place = bisect(self._sorted, wrong.casefold(), key=str.casefold)
        neighbours = self._sorted[max(place - NEIGHBOURS, 0) : place + NEIGHBOURS]
        near = difflib.get_close_matches(wrong, neighbours, n=1)
        return f"; did you mean {near[0]!r}?" if near else ""


def _repeated(values: Sequence[str]) -> list[str]:
    return [value for value, number in Counter(values).items() if number > 1]


def _read_val(path: Path, files: dict[str, Path], problems: list[str]) -> frozenset[str]:
    """The held-out images: the lines of val.txt (names with or without suffix), or drawn if there is no such file."""
    if not os.path.lexists(path):
        return draw_val(list(files))
    lines = _read_lines(path)
    if not lines:
        problems.append(f"{path}: is empty; name the images to hold out, or delete the file")
    problems += [f"{path}: {line!r} is listed more than once" for line in _repeated(lines)]
    name_of = {name: name for name in files} | {normal_form(file.name): name for name, file in files.items()}
    known = Names(name_of)
    unknown = [line for line in lines if line not in known]
    problems += [f"{path}: {line!r} has no usable line in labels.csv" + known.suggestion(line) for line in unknown]
    val = frozenset(name_of[line] for line in lines if line in name_of)
    if files and len(val) == len(files):
        problems.append(f"{path}: holds out every image; none is left to train on")
    return val


def draw_val(names: Sequence[str]) -> frozenset[str]:
    """Holds out about a fifth of the images by the checksum of their names, so adding images does not move others.

    If this leaves one of the splits empty, only the image with the lowest checksum is held out.
    """
    checksums = {name: zlib.crc32(name.encode()) for name in names}
    val = frozenset(name for name in names if checksums[name] % VAL_PERIOD == 0)
    if names and len(val) in (0, len(names)):
        return frozenset([min(names, key=checksums.__getitem__)])
    return val
