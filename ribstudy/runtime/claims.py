"""Claims on the items of a result, so that two processes never compute the same item.

A claim is a lock on one byte of a file in the folder of the result. The system releases it when the process ends, in whatever
way, so that another process takes the item over. Such locks (POSIX) also hold between nodes of a cluster that share a folder,
over NFS for example.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from ribstudy.runtime.files import digest


class Claims:
    """The claims of this process on the items of one result. Use it in a `with` block.

    A process has at most one `Claims` of a result at a time: when it closes a file, the system drops all its locks on the file.

    Args:
        folder: the folder of the result. It has to exist.
    """

    def __init__(self, folder: Path):
        self._path = folder / ".claims"

    def __enter__(self) -> "Claims":
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
        return self

    def __exit__(self, *error: object) -> None:
        os.close(self._file)

    @contextlib.contextmanager
    def on(self, name: str) -> Iterator[bool]:
        """Claims an item for the block, and yields whether it is claimed: False if another process has claimed it.

        Raises OSError if the file system has no locks.
        """
        place = int(digest(name), 16)  # after the end of the file, which stays empty
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
        except (BlockingIOError, PermissionError):  # the two errors that mean the lock of another process
            yield False
            return
        try:
            yield True
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, place)

    def is_free(self, name: str) -> bool:
        """Whether no other process has claimed an item."""
        with self.on(name) as claimed:
            return claimed
