"""What every data set of the study offers, and the pictures and masks that they all read the same way."""

import contextlib
import io
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial
from itertools import chain
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from PIL import Image, UnidentifiedImageError

from ribstudy.datasets.settings import DataSettings
from ribstudy.runtime.processes import run_tasks
from ribstudy.runtime.progress import track

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")

CHUNK = 32  # files that a process is handed at once
VOID = 255  # of a mask: left out of every score


def _voc_palette() -> np.ndarray:
    """The devkit's colour map, uint8 [256, 3]: the bits of an index, three at a time, fill the colours from their top bits."""
    index = np.arange(256)
    palette = np.zeros((256, 3), np.uint8)
    for level in range(8):
        for channel in range(3):
            palette[:, channel] |= (((index >> (3 * level + channel)) & 1) << (7 - level)).astype(np.uint8)
    return palette


PALETTE = _voc_palette()


class DataError(ValueError):
    """Something about the data on disk is wrong; the message names the file."""


class Dataset(ABC):
    """The images of one split. Everything is read from disk when asked for; nothing is kept but names and labels.

    split: its name; names: of its images, unique, usable as file names; class_names: C of them.
    """

    split: str
    names: list[str]
    class_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def labels(self) -> np.ndarray:
        """Image-level labels, bool [N, C], in the order of `names`."""
        return np.stack([self.label(name) for name in self.names])

    @property
    def num_annotated(self) -> int:
        """How many images have an annotation of any kind; more than have a label where some annotations give none."""
        return int(self.labels.any(axis=1).sum())

    @property
    def masked_names(self) -> Sequence[str]:
        """The images that have a mask, in the order of `names`: those that maps can be scored on."""
        return self.names

    @property
    def has_masks(self) -> bool:
        return len(self.masked_names) > 0

    @abstractmethod
    def label(self, name: str) -> np.ndarray:
        """The image-level label of one image, bool [C]."""

    @abstractmethod
    def num_objects(self, name: str) -> int | None:
        """How many objects are annotated in one image; None where only classes are."""

    @abstractmethod
    def image(self, name: str) -> np.ndarray:
        """RGB, uint8 [H, W, 3]."""

    @abstractmethod
    def mask(self, name: str) -> np.ndarray:
        """uint8 [H, W]: 0 background, 1..C classes, 255 void."""


class Source(ABC):
    """A data set on disk: its splits, and what is said of them as a whole.

    splits: their names; training_split: the one that the classifier is trained on and auxiliary images are drawn from;
    root_hint: which folder data.root is.
    """

    splits: tuple[str, ...]
    training_split: str
    root_hint: str

    def __init__(self, settings: DataSettings):
        self.settings = settings

    @property
    def root(self) -> Path:
        """The folder of the data; DataError where data.root is needed and not set."""
        if self.settings.root is None:
            raise DataError(f"data.root is not set: pass {self.root_hint}")
        return self.settings.root.expanduser()

    @property
    @abstractmethod
    def class_names(self) -> tuple[str, ...]:
        """The classes, in the order of the labels; in a mask class k is k + 1."""

    @abstractmethod
    def prepare(self, *, processes: int = 1) -> None:
        """Makes what is missing before a split can be opened; DataError where that cannot be."""

    @abstractmethod
    def open(self, split: str) -> Dataset:
        """One of `splits`, after `prepare`."""

    @abstractmethod
    def fingerprint(self) -> dict:
        """What the identity of the data depends on, without absolute paths."""

    @abstractmethod
    def lists(self) -> list[Path]:
        """The files that say which images there are and what they show."""

    @abstractmethod
    def check(self, *, decode: bool = False, processes: int = 1) -> list[str]:
        """All problems at once, a line each (see `ribstudy.datasets.check`)."""


class Stamp(NamedTuple):
    """A file or folder as it is now: what has the same stamp need not be read again."""

    path: Path
    size: int
    changed: int


def stamp(path: Path) -> Stamp:
    """Zeros where nothing is there: to say what is wrong is left to the one who reads it.

    Of a folder it tells which files came, went or were replaced, not which were written over in place.
    """
    try:
        status = path.stat()
    except OSError:
        return Stamp(path, 0, 0)
    return Stamp(path, status.st_size, status.st_mtime_ns)


def read_bytes(path: Path) -> bytes:
    """A file's content; DataError where it is missing, empty or cannot be read."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: is missing") from None
    except OSError as error:
        raise DataError(f"{path}: could not be read ({error.strerror})") from None
    if not data:
        raise DataError(f"{path}: is empty (0 bytes)")
    return data


def open_jpeg(path: Path, *, decode: bool = True) -> Image.Image:
    """A JPEG; DataError where it is missing, empty, truncated or not readable. Without `decode` only its header is parsed."""
    data = read_bytes(path)
    # A camera may pad a file behind its end-of-image marker; the coded pixels never contain the marker.
    if b"\xff\xd9" not in data[-1024:]:
        raise DataError(f"{path}: the JPEG is truncated (its end marker is missing)")
    try:
        with Image.open(io.BytesIO(data), formats=["JPEG"]) as picture:
            if decode:
                picture.load()
            return picture
    except UnidentifiedImageError:
        raise DataError(f"{path}: is not a JPEG") from None
    except OSError as error:
        raise DataError(f"{path}: the JPEG is not readable ({error})") from None


def read_mask(path: Path, num_classes: int) -> np.ndarray:
    """Class indices, uint8 [H, W]."""
    try:
        with Image.open(io.BytesIO(read_bytes(path)), formats=["PNG"]) as picture:
            picture.load()
    except UnidentifiedImageError:
        raise DataError(f"{path}: is not a PNG") from None
    except (OSError, SyntaxError) as error:  # Pillow reports a broken PNG chunk as SyntaxError
        raise DataError(f"{path}: the PNG is not readable ({error})") from None
    if picture.mode not in ("P", "L"):
        raise DataError(f"{path}: a mask holds class indices (mode P or L), but this is a picture of mode {picture.mode}")
    mask = np.asarray(picture)
    unknown = sorted(set(np.unique(mask).tolist()) - set(range(num_classes + 1)) - {VOID})
    if unknown:
        raise DataError(f"{path}: holds {unknown}, but only 0 to {num_classes} and {VOID} are meant for {num_classes} classes")
    return mask


def write_mask(path: Path, mask: np.ndarray) -> None:
    """Writes class indices, uint8 [H, W], as a palette PNG in the devkit's colours."""
    picture = Image.fromarray(mask).convert("P")
    picture.putpalette(PALETTE.tobytes())
    picture.save(path, format="PNG")


def size_problem(mask: Path, mask_size: tuple[int, int], picture: Path, picture_size: tuple[int, int]) -> str:
    """The message for a mask whose (width, height) is not its picture's."""
    return f"{mask}: is {mask_size[0]} x {mask_size[1]} px, but {picture.name} is {picture_size[0]} x {picture_size[1]} px"


def map_in_order(
    work: Callable[[Item], Outcome], items: Sequence[Item], *, processes: int, description: str
) -> Iterator[Outcome]:
    """work(item) of every item, in their order whatever the number of processes; shows how far it is."""
    chunks = [items[start : start + CHUNK] for start in range(0, len(items), CHUNK)]
    parts = run_tasks(partial(_do_all, work), chunks, processes=min(processes, max(len(chunks), 1)))
    for _, outcome in zip(track(items, description), chain.from_iterable(parts), strict=True):
        yield outcome


def _do_all(work: Callable[[Item], Outcome], items: Sequence[Item]) -> list[Outcome]:
    return [work(item) for item in items]


@contextlib.contextmanager
def new_folder(root: Path) -> Iterator[Path]:
    """A temporary folder beside `root` that takes its place when the block ends well, and vanishes when it does not.

    Raises DataError where `root` holds something already.
    """
    root = Path(root)
    if root.is_file() or (root.is_dir() and any(root.iterdir())):
        raise DataError(f"{root}: nothing can be written here, this place is taken; pass another folder, or an empty one")
    root.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{root.name}.", dir=root.parent))
    try:
        temporary.chmod(0o755)
        yield temporary
        temporary.replace(root)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
