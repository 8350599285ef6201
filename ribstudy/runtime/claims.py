"""Claims on the items of a result, so that two processes never compute the same item.

A claim is a lock on one byte of a file in the folder of the result. The system releases it when the process ends, in whatever
way, so that another process takes the item over. Such locks (POSIX) also hold between nodes of a cluster that share a folder,
over NFS for example. A process claims the name of a file too, in which it says who it is to those that wait for its items.
"""

import contextlib
import fcntl
import os
import platform
from collections.abc import Iterator
from pathlib import Path

from ribstudy.runtime.files import digest, this_process


class Claims:
    """The claims of this process on the items of one result. Use it in a `with` block.

    A process has at most one `Claims` of a result at a time: when it closes a file, the system drops all its locks on the file.

    Args:
        folder: the folder of the result. It has to exist.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        self._own = folder / f".worker-{platform.node()}-{os.getpid()}"

    def __enter__(self) -> "Claims":
        self._file = os.open(self._folder / ".claims", os.O_RDWR | os.O_CREAT, 0o666)
        with contextlib.ExitStack() as stack:
            stack.enter_context(self.on(self._own.name))
            self.others()  # so that nothing is left of a killed run in the result that the next one completes
            with contextlib.suppress(OSError):  # on a full disk, the work itself raises an error
                self._own.write_text(this_process())
            self._until_the_end = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._own.unlink(missing_ok=True)
        self._until_the_end.close()
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

    def others(self) -> list[str]:
        """The other processes that work on this result, in words. Removes the files of those that were killed."""
        found = []
        for path in sorted(self._folder.glob(".worker-*")):
            if path != self._own:
                with contextlib.suppress(FileNotFoundError):  # it has just ended
                    if self.is_free(path.name):
                        path.unlink()
                    else:
                        found.append(path.read_text())
        return found
