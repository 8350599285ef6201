"""The limits of this process: processor cores, memory and shared memory, also inside a container.

A container sees the cores and the memory of the whole machine. Its limits are in control groups (cgroups), which Docker,
Kubernetes and Slurm set.
"""

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

GROUPS = Path("/sys/fs/cgroup")
OWN_GROUP = Path("/proc/self/cgroup")
SHARED_MEMORY = Path("/dev/shm")
FILES = ("memory.max", "memory.limit_in_bytes")  # of version 2 and of version 1
OUT_OF_MEMORY = re.compile(r"out of memory|allocate memory")  # in errors of torch, on a GPU and on a CPU
NEEDS_MEMORY = 75  # exit code of a command if memory ran out: EX_TEMPFAIL of sysexits.h, as another try may succeed
REMEDY = "smaller images (data.max_side of own images), scales, crops and batches need less, and so do fewer --processes"


class OutOfMemory(ValueError):
    """Memory ran out. The same work may succeed with more of it."""


def cores() -> int:
    """The number of processor cores, at least 1: the fewest of the machine's, the process's and the container's."""
    from joblib import cpu_count  # here, because a command that computes nothing should not wait for the import

    return cpu_count()


def memory() -> int:
    """Bytes of memory: the smallest of the machine's, the container's, and the limit of the process (`ulimit -v`)."""
    found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), *_limits_of_groups()]
    try:
        import resource
    except ImportError:  # on Windows
        return min(found)
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return min(found if limit == resource.RLIM_INFINITY else [*found, limit])


def shared_memory() -> int | None:
    """Free bytes of the memory in which worker processes pass arrays to this one; None if the system has no such limit."""
    return shutil.disk_usage(SHARED_MEMORY).free if SHARED_MEMORY.is_dir() else None


def as_text(num_bytes: int) -> str:
    """A number of bytes in words."""
    return f"{num_bytes / 1e9:.1f} GB" if num_bytes >= 1e9 else f"{num_bytes / 1e6:.0f} MB"


def is_out_of_memory(error: Exception) -> bool:
    """Whether a library reports by this error that memory ran out."""
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and bool(OUT_OF_MEMORY.search(str(error))))


@contextlib.contextmanager
def memory_named() -> Iterator[None]:
    """Raises OutOfMemory with a remedy if memory runs out in the block."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemory(f"memory ran out ({last_line(error)}); {REMEDY}") from error


def last_line(error: Exception) -> str:
    """The last line of an error's text, or its type if it has none. An error of a worker process begins with its traceback."""
    return (str(error).strip() or type(error).__name__).splitlines()[-1]


def _limits_of_groups() -> Iterator[int]:
    """The limits of the control groups around this process, from its own group up to the root."""
    for folder in dict.fromkeys(_groups()):
        for name in FILES:
            try:
                text = (folder / name).read_text().strip()
            except OSError:  # no such group inside this container
                continue
            if text.isdigit():  # version 2 writes "max" if there is no limit
                yield int(text)


def _groups() -> Iterator[Path]:
    """The folders of the control groups, whether or not they exist."""
    yield GROUPS
    try:
        lines = OWN_GROUP.read_text().splitlines()
    except OSError:  # no control groups
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers not in ("", "memory"):
            continue
        inside = Path(path.lstrip("/"))
        yield from (GROUPS / controllers / group for group in (inside, *inside.parents))
