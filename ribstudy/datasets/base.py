"""The interface that all data sets share, and how their files are watched, read and written."""

import contextlib
import json
import logging
import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import cached_property, partial
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from ribstudy.datasets.settings import DataSettings
from ribstudy.runtime import files
from ribstudy.runtime.processes import map_in_processes
from ribstudy.runtime.progress import track

log = logging.getLogger(__name__)

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")

CHUNK = 32  # items that a worker process gets at once
LONGEST_NAME = 251  # bytes of an image name, so that a file name of it and a suffix such as .npz has at most 255
SHOWN = 20  # classes that a message lists


class DataError(ValueError):
    """A problem with the files of a data set. The message names the file."""


@contextlib.contextmanager
def collected(problems: list[str]) -> Iterator[None]:
    """A scope that ends at a DataError and adds its message to `problems`."""
    try:
        yield
    except DataError as error:
        problems.append(str(error))


def is_image_name(text: str) -> bool:
    """Whether files can be named by this text and a suffix: not hidden, in no other folder, and printable in messages."""
    return text.isprintable() and not text.startswith(".") and not set(text) & set("/\\") and len(text.encode()) <= LONGEST_NAME


def optional_folder_problems(folder: Path) -> list[str]:
    """A line if a file, or a link that leads nowhere, has the name of a folder that can be missing."""
    misplaced = os.path.lexists(folder) and not folder.is_dir()
    return [f"{folder}: is a file, or a link that leads nowhere, instead of a folder"] if misplaced else []


class Dataset(ABC):
    """The images of one split. Images and masks are read from disk at every call; only names and labels stay in memory.

    split: the name of the split; names: the image names, sorted, unique and usable as file names, so that nothing depends
    on the order of a list; class_names: the C classes; has_pictures: whether images and masks can be read (see `listed`).
    """

    split: str
    names: list[str]
    class_names: tuple[str, ...]
    has_pictures: bool = True

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def labels(self) -> np.ndarray:
        """Image-level labels, bool [N, C], in the order of `names`."""
        return np.stack([self.label(name) for name in self.names])

    @property
    def num_annotated(self) -> int:
        """The number of images with an annotation of any kind. It can exceed the number of images with a label."""
        return int(self.labels.any(axis=1).sum())

    @property
    def masked_names(self) -> Sequence[str]:
        """The images that have a mask, so that maps can be scored on them, in the order of `names`."""
        return self.names

    @property
    def has_masks(self) -> bool:
        return len(self.masked_names) > 0

    @abstractmethod
    def label(self, name: str) -> np.ndarray:
        """The image-level label of one image, bool [C]."""

    @abstractmethod
    def num_objects(self, name: str) -> int | None:
        """The number of annotated objects in one image, or None if only classes are annotated."""

    @abstractmethod
    def image(self, name: str) -> np.ndarray:
        """RGB, uint8 [H, W, 3]."""

    @abstractmethod
    def mask(self, name: str) -> np.ndarray:
        """uint8 [H, W]: 0 background, 1..C classes, 255 void."""


class Source(ABC):
    """A data set on disk: its splits, its classes, its identity, and a check of all files.

    splits: the names of the splits; training_split: the split that the classifier is trained on and auxiliary images are
    drawn from; root_hint: a description of the folder that data.root must name.
    """

    splits: tuple[str, ...]
    training_split: str
    root_hint: str

    def __init__(self, settings: DataSettings):
        self.settings = settings

    @property
    def missing_pictures(self) -> str:
        """Why images and masks cannot be read, and how to bring them. Empty if they can, as in every data set on disk."""
        return ""

    @property
    def root(self) -> Path:
        """The folder of the data. Raises DataError if data.root is needed and not set."""
        if self.settings.root is None:
            raise DataError(f"data.root is not set: pass {self.root_hint} (--data-root; data_root of a notebook or batch)")
        return self.settings.root

    @property
    @abstractmethod
    def class_names(self) -> tuple[str, ...]:
        """The classes in the order of the labels. In a mask, class k has the value k + 1."""

    @abstractmethod
    def prepare(self, *, processes: int = 1) -> None:
        """Creates the files that must exist before a split can be opened. Raises DataError if this fails."""

    @abstractmethod
    def open(self, split: str) -> Dataset:
        """Opens one of `splits`. Call `prepare` first."""

    @abstractmethod
    def fingerprint(self) -> dict:
        """Identifies images and labels (see `ribstudy.datasets.fingerprint`)."""

    @abstractmethod
    def mask_fingerprint(self) -> dict:
        """Identifies the masks (see `ribstudy.datasets.mask_fingerprint`)."""

    @abstractmethod
    def lists(self) -> list[Path]:
        """The files that list the images and their labels."""

    @abstractmethod
    def check(self, *, decode: bool = False, processes: int = 1) -> list[str]:
        """All faults of the data, one line for each (see `ribstudy.datasets.check`)."""


class Stamp(NamedTuple):
    """The marks of one state of a file or folder. While they stay the same, the file need not be read again.

    size in bytes; modified and changed: times in nanoseconds, of the content and of anything (mtime, ctime); inode: which file
    the path leads to.
    """

    path: Path
    size: int
    modified: int
    changed: int
    inode: int

    @property
    def exists(self) -> bool:
        return self.changed != 0


def stamp(path: Path) -> Stamp:
    """The stamp of a path, with zeros if no file or folder is there; a missing file is reported when it is read.

    The stamp of a folder changes when files are added, removed or replaced, but not when a file is overwritten in place.
    """
    try:
        status = path.stat()
    except OSError:
        return Stamp(path, 0, 0, 0, 0)
    if _is_endless(status):
        return Stamp(path, 0, 0, 0, 0)
    return Stamp(path, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


def _is_endless(status: os.stat_result) -> bool:
    """Whether this is neither a file nor a folder, but a device or pipe, from which reading might never end."""
    return not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode))


def read_bytes(path: Path) -> bytes:
    """The content of a file. Raises DataError if the file is missing, empty, not readable, or a device or pipe."""
    try:
        if _is_endless(path.stat()):
            raise DataError(f"{path}: is not a file, but a device or pipe")
        data = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: is missing") from None
    except OSError as error:
        raise DataError(f"{path}: could not be read ({error.strerror})") from None
    if not data:
        raise DataError(f"{path}: is empty (0 bytes)")
    return data


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, without a byte order mark. Raises DataError as `read_bytes` does, or for other encodings."""
    try:
        return read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is not UTF-8 ({error}); save it as UTF-8") from None


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises DataError as `read_bytes` does, and if the file is not readable as JSON or has a key twice in one object.
    """
    data = read_bytes(path)
    try:
        return json.loads(data, object_pairs_hook=_without_repetition)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    except (ValueError, RecursionError) as error:  # not JSON, not Unicode, or nested too deeply
        raise DataError(f"{path}: is not readable as JSON ({error}); it may be truncated") from None


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        keys = [key for key, _ in pairs]
        raise DataError(f"the key {max(keys, key=keys.count)!r} is there twice in one object; keep one of the two")
    return values


def log_unseen_classes(where: Path, class_names: Sequence[str], labels: Collection[Collection[int]]) -> None:
    """Logs the classes that no image has. labels: the 0-based classes of each image."""
    seen = set(chain.from_iterable(labels))
    if unseen := [name for index, name in enumerate(class_names) if index not in seen]:
        log.warning(
            "%s: %d of %d classes are in none of the %d labelled images: %s",
            where,
            len(unseen),
            len(class_names),
            sum(map(bool, labels)),
            ", ".join(unseen[:SHOWN]) + (", ..." if len(unseen) > SHOWN else ""),
        )


def map_in_order(
    work: Callable[[Item], Outcome], items: Sequence[Item], *, processes: int, description: str
) -> Iterator[Outcome]:
    """Yields work(item) for every item in the order of the items, and shows the progress."""
    chunks = [items[start : start + CHUNK] for start in range(0, len(items), CHUNK)]
    parts = map_in_processes(partial(_do_all, work), chunks, processes=min(processes, max(len(chunks), 1)))
    for _, outcome in zip(track(items, description), chain.from_iterable(parts), strict=True):
        yield outcome


def _do_all(work: Callable[[Item], Outcome], items: Sequence[Item]) -> list[Outcome]:
    return [work(item) for item in items]


@contextlib.contextmanager
def new_folder(root: Path) -> Iterator[Path]:
    """As `files.new_folder`. Raises DataError if `root` is in use."""
    try:
        with files.new_folder(Path(root)) as folder:
            yield folder
    except FileExistsError as error:
        raise DataError(f"{root}: this path is already in use; pass a new or an empty folder") from error
