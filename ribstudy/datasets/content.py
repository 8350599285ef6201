"""Digests of the content of files. A file is read once, and its value is then remembered by the file's stamp.

The values are also saved for other processes, in one JSON file per folder of data below `paths.DATA`. Such a file may be
deleted, damaged or read-only: the values are then computed again.
"""

import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from ribstudy.datasets.base import Stamp, stamp
from ribstudy.runtime import paths
from ribstudy.runtime.files import atomic, digest, file_digest
from ribstudy.runtime.progress import track

log = logging.getLogger(__name__)

NUM_THREADS = 8  # hashing releases Python's global lock
BATCH = 5000  # newly read files after which the values are saved, so that interrupted work is not lost
# A file that is read this soon after a change can change again without a new stamp, because the clocks of file systems are
# coarse. So its value is not remembered; git does the same ("racily clean").
SETTLED = 2 * 10**9  # nanoseconds
# The stamps of a set with more files than LARGE are trusted for PATIENCE times as long as it took to look at them and to digest
# what they stand for, so that hundreds of keys can be computed in a row. A look takes microseconds per file on a local disk.
LARGE = 200
PATIENCE = 20


@dataclass(frozen=True)
class Reading:
    """A way to read a file.

    name: identifies it among the saved values, so it must change if `read` changes; read: path -> a JSON-like value.
    """

    name: str
    read: Callable[[Path], Any]


BYTES = Reading("sha256", file_digest)


class Files(NamedTuple):
    """Files below the folder `root`: pairs of a name, such as an image's, and the paths of its file below `root`.

    If a name has several paths, the first one that exists is its file.
    """

    root: Path
    members: tuple[tuple[str, tuple[str, ...]], ...]

    @classmethod
    def like(cls, root: Path, names: Iterable[str], *patterns: str) -> "Files":
        """The files of `names` at paths such as "masks/{}.png"."""
        return cls(root, tuple((name, tuple(pattern.format(name) for pattern in patterns)) for name in names))


_trusted: dict[tuple[Files, str], tuple[float, str]] = {}  # files, name of the reading -> until when, digest


def content_digest(files: Files, reading: Reading = BYTES) -> str:
    """Twelve hexadecimal digits that identify the names and the content of files, but neither their order nor their paths.

    Missing files are left out, and an unreadable file has the value None; the check of the data reports both. A change is
    noticed within the same process too, in a large set with a delay (see PATIENCE).
    """
    until, known = _trusted.get((files, reading.name), (0.0, ""))
    if time.monotonic() < until:
        return known
    start = time.monotonic()
    found = {name: _first(files.root, its_paths) for name, its_paths in files.members}
    stamps = dict(item for item in found.values() if item)
    seconds = time.monotonic() - start
    values = _values(files.root, stamps, reading)  # which can read files, for minutes
    start = time.monotonic()
    result = digest(sorted([name, values[item[0]]] for name, item in found.items() if item))
    seconds += time.monotonic() - start
    if len(files.members) > LARGE:
        _trusted[files, reading.name] = time.monotonic() + PATIENCE * seconds, result
    return result


def _first(root: Path, its_paths: Sequence[str]) -> tuple[str, Stamp] | None:
    """The first path that exists, with its stamp."""
    stamps = ((path, stamp(root / path)) for path in its_paths)
    return next(((path, found) for path, found in stamps if found.exists), None)


def file_value(root: Path, path: str, reading: Reading = BYTES) -> Any:
    """The value of one file below `root`; None if it is missing or unreadable."""
    return _values(root, {path: stamp(root / path)}, reading).get(path)


def _values(root: Path, stamps: Mapping[str, Stamp], reading: Reading) -> dict[str, Any]:
    """The values of the files that exist, by their paths below `root`."""
    now = time.time_ns()
    file = saved_values(root)
    known = _known_values(file)
    values, unknown = {}, []
    for path, (_, *marks) in stamps.items():
        entry = known.get(f"{reading.name} {path}")
        if isinstance(entry, list) and entry[:-1] == marks:
            values[path] = entry[-1]
        elif stamps[path].exists:
            unknown.append(path)
    fresh = {}
    for path, value in track(_read_all(root, unknown, reading), "read the data", total=len(unknown)):
        values[path] = value
        if value is not None and abs(now - stamps[path].changed) > SETTLED:
            fresh[f"{reading.name} {path}"] = [*stamps[path][1:], value]
        if len(fresh) == BATCH:
            _remember(file, fresh)
            fresh = {}
    _remember(file, fresh)
    return values


def _read_all(root: Path, files: Sequence[str], reading: Reading) -> Iterator[tuple[str, Any]]:
    def read(path: str) -> Any:
        try:
            return reading.read(root / path)
        except OSError:
            return None

    pool = ThreadPoolExecutor(NUM_THREADS)
    try:
        yield from zip(files, pool.map(read, files), strict=True)
    finally:
        pool.shutdown(cancel_futures=True)


def saved_values(root: Path) -> Path:
    """The file of the values that are saved for the folder `root`."""
    return paths.DATA / ".content" / f"{digest(str(root.resolve()))}.json"


@cache
def _known_values(file: Path) -> dict[str, Any]:
    """The values that this process knows about a folder of data: at first the saved ones, or none if they are not readable."""
    try:
        values = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}


def _remember(file: Path, values: dict[str, Any]) -> None:
    """Adds values for this process, and in the file. Two processes that write at the same time can lose additions, not more."""
    if not values:
        return
    _known_values(file).update(values)
    try:
        with atomic(file) as temporary:
            temporary.write_text(json.dumps({**_known_values.__wrapped__(file), **_known_values(file)}))
    except OSError as error:
        log.info("%s: could not be written (%s); the next process reads the data again", file, error.strerror)
