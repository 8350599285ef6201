"""Worker processes that end together with the process that started them."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import current_process, get_context, parent_process
from typing import TypeVar

from ribstudy.runtime.limits import OutOfMemory

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")


def worker_pool(count: int) -> ProcessPoolExecutor:
    """A pool of `count` new processes with one torch thread each. They end when this process ends, even if it is killed."""
    return ProcessPoolExecutor(count, get_context("spawn"), _start_worker)


def map_in_processes(work: Callable[[Item], Outcome], items: Sequence[Item], *, processes: int) -> Iterator[Outcome]:
    """Yields work(item) for every item, in the order of the items.

    With `processes` = 1 the work runs in this process. With more, `work` and the items must be picklable.

    Raises the first exception that `work` raises, and OutOfMemory if a worker process is killed.
    """
    if processes == 1 or len(items) <= 1:
        yield from map(work, items)
        return
    with worker_pool(min(processes, len(items))) as pool:
        try:
            yield from pool.map(work, items)
        except BrokenProcessPool:
            raise OutOfMemory(
                "a worker process was killed, most likely because memory ran out; finished items are kept: run the command "
                "again with fewer processes (--processes)"
            ) from None


def refuse_while_importing() -> None:
    """Raises RuntimeError in a worker process that runs unguarded code of the script that started it.

    A worker process imports this script. Python would report the unguarded code too, but only after it has acquired a lock
    that the script still has.
    """
    if getattr(current_process(), "_inheriting", False):
        raise RuntimeError(
            'a script that runs stages must do so under `if __name__ == "__main__":`, because stages start worker processes'
        )


def _start_worker() -> None:
    signal.signal(signal.SIGINT, _end_quietly)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):  # for a torch that the work imports; not all work needs one
        os.environ[name] = "1"
    if torch := sys.modules.get("torch"):  # imported by the script that started the worker, which a new process imports too
        torch.set_num_threads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_quietly(_number: int, _frame: object) -> None:
    """Ends the work after an interrupt without a traceback, which the parent is interrupted to show."""
    raise SystemExit(1)


def _end_with_parent() -> None:
    """Ends this worker process when its parent has ended. A parent that was killed cannot end its workers itself."""
    parent_process().join()
    os._exit(1)
