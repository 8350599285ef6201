"""Own images: a folder with pictures, a table of what they show, and masks where there are some.

    images/<file>        .jpg .jpeg .png .bmp .webp .tif .tiff, in upper or lower case
    labels.csv           "image,class", then a line for each image: its file, its classes; no class: it shows none of them
    classes.txt          one class per line, their order; needed where there are masks, else the classes of labels.csv, sorted
    masks/<stem>.png     palette or grey PNG of the upright picture's size: 0 background, k for line k of classes.txt, 255 void
    val.txt              the images that choices are made on, one per line; else those whose checksum says so (`draw_val`)

An image's name is its file name without the suffix. What has no line in labels.csv is left out. Pictures are read as one sees
them: turned upright as their EXIF says, transparency over white, 16 bits scaled to 8, the first frame of several, and shrunk
where data.max_side says so. Nothing is written into the folder.
"""

import csv
import difflib
import hashlib
import io
import logging
import unicodedata
import warnings
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from ribstudy.datasets.base import (
    VOID,
    DataError,
    Dataset,
    Source,
    Stamp,
    map_in_order,
    read_bytes,
    read_mask,
    size_problem,
    stamp,
)
from ribstudy.runtime.files import digest

log = logging.getLogger(__name__)

SPLITS = ("train", "val")
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF")
VAL_PERIOD = 5  # without val.txt, one image in so many is held out
REMEDY = "add images without it: a line with no class"
RESERVED = ("background", "void")  # what masks call the values 0 and 255


# --- what the folder says -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Listing:
    """What the lists of a folder say, and the faults that were found in them.

    files: name -> its picture; classes_of: name -> its classes; val: the names held out; num_unlisted: pictures that
    labels.csv leaves out.
    """

    class_names: tuple[str, ...]
    files: dict[str, Path]
    classes_of: dict[str, tuple[str, ...]]
    val: frozenset[str]
    num_unlisted: int
    problems: tuple[str, ...]

    def names(self, split: str) -> list[str]:
        return [name for name in self.files if (name in self.val) == (split == "val")]

    def label(self, name: str) -> np.ndarray:
        """bool [C]"""
        return np.isin(self.class_names, self.classes_of[name])

    def labels(self, split: str) -> np.ndarray:
        """bool [N, C]"""
        names = self.names(split)
        return np.array([self.label(name) for name in names], bool).reshape(len(names), len(self.class_names))


def read_listing(root: Path) -> Listing:
    """Reads labels.csv, classes.txt and val.txt; faults of single lines are gathered.

    Raises DataError where there is no use in reading on: no folder, no pictures, no table.
    """
    pictures = _find_pictures(root)
    problems: list[str] = _subfolder_problems(root / "images")
    given = _read_classes(root / "classes.txt", problems)
    rows = _read_table(root / "labels.csv")
    class_names = given or tuple(sorted({name for _, _, classes in rows for name in classes}))
    files, classes_of = _match_rows(root / "labels.csv", rows, pictures, class_names, problems)
    if not class_names:
        problems.append(f"{root / 'labels.csv'}: names no class; write the classes of an image behind it: cat1.jpg,cat")
    if len(files) < 2:
        problems.append(f"{root / 'labels.csv'}: names {len(files)} usable images; at least two are needed")
    val = _read_val(root / "val.txt", files, problems)
    num_unlisted = sum(map(len, pictures.values())) - len(rows)
    return Listing(class_names, files, classes_of, val, max(num_unlisted, 0), tuple(problems))


def _find_pictures(root: Path) -> dict[str, list[Path]]:
    """Normalised file name -> pictures of that name (two where the same letters are written in two ways)."""
    folder = root / "images"
    if not folder.is_dir():
        raise DataError(f"{folder}: this folder is missing; data.root is {FolderSource.root_hint}")
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        if _is_picture(path):
            found.setdefault(_normal(path.name), []).append(path)
    if not found:
        raise DataError(f"{folder}: holds no picture; known are {', '.join(SUFFIXES)}")
    return found


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def _normal(text: str) -> str:
    """The same letters in one way of writing: a file system may store a letter and its accent apart."""
    return unicodedata.normalize("NFC", text)


def _subfolder_problems(folder: Path) -> list[str]:
    below = [path for path in sorted(folder.iterdir()) if path.is_dir() and not path.name.startswith(".")]
    holding = [path for path in below if any(_is_picture(inner) for inner in path.iterdir())]
    return [f"{path}: pictures in subfolders are not read; move them to {folder}" for path in holding]


def _read_text(path: Path) -> str:
    try:
        return read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is not UTF-8 ({error}); save it as UTF-8") from None


def _read_lines(path: Path) -> list[str]:
    """The lines that hold something, without spaces around them."""
    return [_normal(line.strip()) for line in _read_text(path).splitlines() if line.strip()]


def _read_classes(path: Path, problems: list[str]) -> tuple[str, ...]:
    """The lines of classes.txt; none where there is no such file."""
    if not path.is_file():
        if any((path.parent / "masks").glob("*.png")):
            problems.append(f"{path}: is missing; where there are masks it says which class a value is: value k is line k")
        return ()
    names = _read_lines(path)
    if not names:
        problems.append(f"{path}: is empty; expected one class per line")
    problems += [f"{path}: class {name!r} stands there more than once" for name in _repeated(names)]
    problems += [f"{path}: a class cannot be called {name!r}" for name in names if name in RESERVED]
    if len(names) >= VOID:
        problems.append(f"{path}: holds {len(names)} classes; a mask has room for {VOID - 1}")
    return tuple(dict.fromkeys(names))


def _read_table(path: Path) -> list[tuple[int, str, tuple[str, ...]]]:
    """(line number, image, classes) of each line of labels.csv behind its header; empty cells and lines do not count."""
    if not path.is_file():
        raise DataError(f"{path}: is missing; expected the header image,class and a line for each image: cat1.jpg,cat")
    reader = csv.reader(io.StringIO(_read_text(path), newline=""), strict=True, skipinitialspace=True)
    rows = []
    try:
        for cells in reader:
            rows.append((reader.line_num, [_normal(cell.strip()) for cell in cells]))
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
    """The rows that can be used: name -> picture, name -> classes; sorted by name."""
    files, classes_of, lines = {}, {}, {}
    for line, file_name, classes in rows:
        name = Path(file_name).stem
        problem = _row_problem(file_name, classes, pictures, class_names)
        if problem is None and name in files:
            problem = f"{file_name!r} has the name of line {lines[name]}; a name, without its suffix, stands for one image"
        if problem:
            problems.append(f"{path}: line {line}: {problem}")
        else:
            files[name], classes_of[name], lines[name] = pictures[file_name][0], classes, line
    return {name: files[name] for name in sorted(files)}, classes_of


def _row_problem(
    file_name: str, classes: tuple[str, ...], pictures: dict[str, list[Path]], class_names: tuple[str, ...]
) -> str | None:
    if "/" in file_name or "\\" in file_name:
        return f"{file_name!r} is a path; expected the name of a file in images/ itself"
    if file_name not in pictures:
        if Path(file_name).suffix and Path(file_name).suffix.lower() not in SUFFIXES:
            return f"{file_name!r} is no picture; known are {', '.join(SUFFIXES)}"
        return f"{file_name!r} is not in images/" + _suggestion(file_name, pictures)
    if len(pictures[file_name]) > 1:
        return f"{file_name!r} is there twice, with its accents written in two ways; rename one of the two"
    if any(";" in name for name in classes):
        return f"{';'.join(classes)!r} holds a semicolon; classes are separated by commas"
    if repeated := _repeated(classes):
        return f"names {repeated[0]!r} twice"
    unknown = [name for name in classes if name not in class_names or name in RESERVED]
    return f"class {unknown[0]!r} is unknown" + _suggestion(unknown[0], class_names) if unknown else None


def _suggestion(wrong: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(wrong, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _repeated(values: Sequence[str]) -> list[str]:
    return [value for value in dict.fromkeys(values) if values.count(value) > 1]


def _read_val(path: Path, files: dict[str, Path], problems: list[str]) -> frozenset[str]:
    """The names held out: those of val.txt (with or without suffix), or drawn where there is no such file."""
    if not path.is_file():
        return draw_val(list(files))
    lines = _read_lines(path)
    if not lines:
        problems.append(f"{path}: is empty; name the images to hold out, or delete the file")
    problems += [f"{path}: {line!r} stands there more than once" for line in _repeated(lines)]
    name_of = {name: name for name in files} | {_normal(file.name): name for name, file in files.items()}
    unknown = [line for line in lines if line not in name_of]
    problems += [f"{path}: {line!r} has no usable line in labels.csv" + _suggestion(line, name_of) for line in unknown]
    val = frozenset(name_of[line] for line in lines if line in name_of)
    if files and len(val) == len(files):
        problems.append(f"{path}: holds out every image; none is left to train on")
    return val


def draw_val(names: Sequence[str]) -> frozenset[str]:
    """About a fifth of the names, by their checksum: an image stays on its side when others are added.

    Where that leaves one side without images, the image with the lowest checksum is held out and all others are not.
    """
    checksums = {name: zlib.crc32(name.encode()) for name in names}
    val = frozenset(name for name in names if checksums[name] % VAL_PERIOD == 0)
    if names and len(val) in (0, len(names)):
        return frozenset([min(names, key=checksums.__getitem__)])
    return val


# --- pictures -----------------------------------------------------------------------------------------------------------


def read_picture(path: Path, *, max_side: int | None) -> np.ndarray:
    """RGB, uint8 [H, W, 3], upright, its longer side at most `max_side` (None: as it is); DataError names the file."""
    return _decoded(path, partial(_decode, max_side=max_side))


def picture_size(path: Path) -> tuple[int, int]:
    """(width, height) of the upright picture, from its header."""
    return _decoded(path, _upright_size)


def shrunk_size(size: tuple[int, int], max_side: int | None) -> tuple[int, int]:
    """(width, height) after shrinking; nothing is enlarged."""
    if max_side is None or max(size) <= max_side:
        return size
    width, height = (max(round(side * max_side / max(size)), 1) for side in size)
    return width, height


def _decoded(path: Path, work: Callable[[Image.Image], object]):
    """work(opened picture); whatever goes wrong in it is the file's fault."""
    data = read_bytes(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
                return work(picture)
    except UnidentifiedImageError:
        raise DataError(f"{path}: is not readable as one of {', '.join(FORMATS)}") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        limit = f"{Image.MAX_IMAGE_PIXELS / 1e6:.0f} million pixels"
        raise DataError(f"{path}: has more than {limit}; shrink the file") from None
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    except Exception as error:  # a broken file can raise nearly anything in Pillow's decoders
        raise DataError(f"{path}: the picture is not readable ({error})") from None


def _upright_size(picture: Image.Image) -> tuple[int, int]:
    turned = picture.format != "TIFF" and picture.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
    return picture.size[::-1] if turned else picture.size  # Pillow turns a TIFF itself


def _decode(picture: Image.Image, *, max_side: int | None) -> np.ndarray:
    size = shrunk_size(_upright_size(picture), max_side)
    if max(size) < max(picture.size):
        picture.draft(None, (2 * max(size), 2 * max(size)))  # a JPEG is decoded at the scale next above; others are not touched
    picture = _as_rgb(ImageOps.exif_transpose(picture))
    return np.asarray(picture if picture.size == size else picture.resize(size, Image.Resampling.BICUBIC))


def _as_rgb(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I;16"):
        return Image.fromarray(np.uint8(np.round(np.asarray(picture) / 257))).convert("RGB")
    if picture.mode in ("I", "F"):
        raise DataError(f"holds pixels of 32 bits (mode {picture.mode}), whose range is not known; save it with 8 or 16 bits")
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    picture = picture.convert("RGBA")
    white = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(white, picture).convert("RGB")


# --- the data set -------------------------------------------------------------------------------------------------------


class FolderDataset(Dataset):
    """One split of a folder."""

    def __init__(self, root: Path, listing: Listing, split: str, *, max_side: int | None):
        self.root = root
        self.split = split
        self.max_side = max_side
        self.names = listing.names(split)
        self.class_names = listing.class_names
        self._files = listing.files
        self._labels = {name: listing.label(name) for name in self.names}

    def label(self, name: str) -> np.ndarray:
        return self._labels[name]

    def num_objects(self, name: str) -> None:
        """Only classes are annotated."""

    def image(self, name: str) -> np.ndarray:
        return read_picture(self._files[name], max_side=self.max_side)

    @cached_property
    def masked_names(self) -> list[str]:
        """Those with a file in masks/."""
        return [name for name in self.names if mask_path(self.root, name).is_file()]

    def mask(self, name: str) -> np.ndarray:
        """Shrunk as the image is; the value of a pixel is that of the nearest one."""
        path = mask_path(self.root, name)
        if not path.is_file():
            why = f"{path} is not there" if self.has_masks else f"there are none of {self.split} in {path.parent}"
            raise DataError(f"no masks: {why}; they are needed for scores, not for maps")
        mask = read_full_mask(path, self._files[name], len(self.class_names))
        size = shrunk_size(mask.shape[::-1], self.max_side)
        return np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST))


def mask_path(root: Path, name: str) -> Path:
    return root / "masks" / f"{name}.png"


def read_full_mask(path: Path, picture: Path, num_classes: int) -> np.ndarray:
    """Class indices, uint8 [H, W]; DataError where their size is not that of the upright picture."""
    mask = read_mask(path, num_classes)
    size = picture_size(picture)
    if mask.shape[::-1] != size:
        raise DataError(size_problem(path, mask.shape[::-1], picture, size))
    return mask


class FolderSource(Source):
    """A folder of own images."""

    splits = SPLITS
    training_split = "train"
    root_hint = "a folder with images/ and labels.csv"

    @property
    def class_names(self) -> tuple[str, ...]:
        return self._listing().class_names

    def prepare(self, *, processes: int = 1) -> None:
        """Raises DataError for the first fault in the lists."""
        self._listing()

    def open(self, split: str) -> FolderDataset:
        return FolderDataset(self.root, self._listing(), split, max_side=self.settings.max_side)

    def fingerprint(self) -> dict:
        """Of the lists, of the size that images are shrunk to, and of each listed image its file name and size in bytes.

        It does not see the masks, nor an image that was changed and has as many bytes as before.
        """
        files = self._listing().files.values()
        return {
            "name": "folder",
            "max_side": self.settings.max_side,
            "lists": {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in self.lists()},
            "images": digest([[_normal(file.name), stamp(file).size] for file in files]),
        }

    def lists(self) -> list[Path]:
        paths = [self.root / name for name in ("labels.csv", "classes.txt", "val.txt")]
        return [path for path in paths if path.is_file()]

    def check(self, *, decode: bool = False, processes: int = 1) -> list[str]:
        """Besides: whether the classes can be learned. Where RIB finds no auxiliary images is no problem, but logged."""
        try:
            listing = read_listing(self.root)
        except DataError as error:
            return [str(error)]
        if listing.num_unlisted:
            log.info("%s: %d pictures have no line in labels.csv and are left out", self.root, listing.num_unlisted)
        _warn_of_lone_images(self.root / "labels.csv", listing)
        problems = [
            *listing.problems,
            *_learning_problems(self.root / "labels.csv", listing),
            *_mask_problems(self.root, listing),
        ]
        work = partial(_check_image, root=self.root, listing=listing, decode=decode)
        for found in map_in_order(work, list(listing.files), processes=processes, description="check"):
            problems += found
        return problems

    def _listing(self) -> Listing:
        parts = [self.root / name for name in ("labels.csv", "classes.txt", "val.txt", "images", "masks")]
        return _read_listing_once(self.root, tuple(map(stamp, parts)))


@lru_cache
def _read_listing_once(root: Path, parts: tuple[Stamp, ...]) -> Listing:
    """Raises DataError where the lists have a fault; in one process they are read again only where one of `parts` changed."""
    listing = read_listing(root)
    if listing.problems:
        raise DataError(_all_in_one(listing.problems))
    return listing


def _all_in_one(problems: Sequence[str]) -> str:
    if len(problems) == 1:
        return problems[0]
    return f"{problems[0]} (and {len(problems) - 1} more: python -m ribstudy data check)"


def _learning_problems(path: Path, listing: Listing) -> list[str]:
    """Classes that training images cannot teach."""
    training = listing.labels("train")
    if not len(training) or not listing.class_names:
        return []
    problems = []
    for class_name, here in zip(listing.class_names, training.T, strict=True):
        if not here.any():
            problems.append(f"{path}: class {class_name!r} is in no training image; add some, or name others in val.txt")
        elif here.all():
            problems.append(f"{path}: class {class_name!r} is in every training image, so nothing tells it apart; {REMEDY}")
    return problems


def _warn_of_lone_images(path: Path, listing: Listing) -> None:
    """One line where images share a class with every training image, so that none can be their auxiliary image."""
    kinds = np.unique(listing.labels("train"), axis=0).astype(int)
    lone = [name for name in listing.files if len(kinds) and (kinds @ listing.label(name) > 0).all()]
    if lone:
        log.warning(
            "%s: %d images, such as %s (%s), share a class with every training image, so RIB has no auxiliary images for them; "
            "add images of other classes or of none, or adapt without: --set auxiliary.batch_size=0",
            path,
            len(lone),
            lone[0],
            ", ".join(listing.classes_of[lone[0]]),
        )


def _mask_problems(root: Path, listing: Listing) -> list[str]:
    """Files in masks/ that belong to no image."""
    paths = sorted(path for path in (root / "masks").glob("[!.]*") if path.is_file())
    problems = [f"{path}: is no .png file; a mask is a PNG" for path in paths if path.suffix != ".png"]
    masks = [path for path in paths if path.suffix == ".png"]
    return problems + [f"{path}: no image of this name is in labels.csv" for path in masks if path.stem not in listing.files]


def _check_image(name: str, *, root: Path, listing: Listing, decode: bool) -> list[str]:
    file, path = listing.files[name], mask_path(root, name)
    try:
        if decode:
            read_picture(file, max_side=None)
        else:
            picture_size(file)
    except DataError as error:
        return [str(error)]
    if not path.is_file():
        return []
    try:
        mask = read_full_mask(path, file, len(listing.class_names))
    except DataError as error:
        return [str(error)]
    shown = [listing.class_names[value - 1] for value in np.unique(mask) if value not in (0, VOID)]
    surplus = [class_name for class_name in shown if class_name not in listing.classes_of[name]]
    return [f"{path}: holds {', '.join(surplus)}, but labels.csv does not name it for {file.name}"] if surplus else []
