"""Atomic writes, file locks, and digests of content."""

import contextlib
import errno
import fcntl
import hashlib
import json
import logging
import os
import platform
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

log = logging.getLogger(__name__)


@contextlib.contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yields a temporary path next to `path`. It replaces `path` if the block succeeds and is deleted if the block raises.

    The temporary path is the same in every process, so that what a killed process leaves is overwritten by the next one that
    writes `path`. Processes take turns, and the block reads what the process before it has written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary(path)
    with _owned(temporary):
        os.truncate(temporary, 0)
        yield temporary
        temporary.replace(path)


@contextlib.contextmanager
def new_folder(root: Path) -> Iterator[Path]:
    """As `atomic`, for a folder. Raises FileExistsError if `root` is a file or a folder that is not empty."""
    root.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary(root)
    with _owned(root.with_name(f"{temporary.name}.lock")):
        if root.is_file() or (root.is_dir() and any(root.iterdir())):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(root))
        with emptied(temporary):
            yield temporary
            temporary.replace(root)


@contextlib.contextmanager
def emptied(folder: Path) -> Iterator[Path]:
    """Makes a folder, without the files that a killed process has left in it, and removes it after the block."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _temporary(path: Path) -> Path:
    """A hidden path next to `path`. It is short, because the name of `path` may have the largest possible length."""
    return path.with_name(f".new-{digest(path.name)}{path.suffix}")


@contextlib.contextmanager
def _owned(path: Path) -> Iterator[None]:
    """Makes a temporary file, or takes over the file of a killed process. Other processes wait for the end of the block.

    The file is removed if the block has not moved it.
    """
    handle = _lock(path)
    try:
        yield
    finally:
        if _is_at(path, handle):
            path.unlink()
        os.close(handle)


def _lock(path: Path) -> int:
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        fcntl.flock(handle, fcntl.LOCK_EX)
        if _is_at(path, handle):
            return handle
        os.close(handle)  # the process before has moved or removed the file


def _is_at(path: Path, handle: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def locked(path: Path, what: str) -> Iterator[None]:
    """Keeps the lock file `path` locked during the block. If another process has the lock, logs `what` it waits for.

    A file next to the lock names the process that has it, and since when.
    """
    lock, owner = FileLock(path), path.with_name(f"{path.name}.owner")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        log.info("%s: waits for another run (%s, %s)", what, _owner(owner), path)
        lock.acquire()
    try:
        with contextlib.suppress(OSError):  # on a full disk, the work itself raises an error
            owner.write_text(this_process())
        yield
    finally:
        owner.unlink(missing_ok=True)
        lock.release()


def this_process() -> str:
    """This process in words, for people who wait for its end: its number, its node, and the present time."""
    return f"process {os.getpid()} on {platform.node()}, since {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"


def _owner(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:  # it has just taken the lock or is about to release it
        return "process not known"


def write_json(path: Path, value: object) -> None:
    """Writes a JSON file atomically, with sorted keys."""
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n")


def file_digest(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(value: object) -> str:
    """Twelve hexadecimal digits that identify a JSON-like value, the same on every machine."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
