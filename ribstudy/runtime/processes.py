"""Work side by side, in processes that end with the one that started them."""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import current_process, get_context, parent_process
from typing import TypeVar

import torch

Task = TypeVar("Task")
Outcome = TypeVar("Outcome")


def worker_pool(count: int) -> ProcessPoolExecutor:
    """A pool of `count` fresh processes with one torch thread each, which end with this one, also where it is killed."""
    return ProcessPoolExecutor(count, get_context("spawn"), _start_worker)


def run_tasks(work: Callable[[Task], Outcome], tasks: Sequence[Task], *, processes: int) -> Iterator[Outcome]:
    """work(task) of every task, in their order; in so many processes of their own, or (1) in this one.

    What `work` raises passes through and ends the rest. With more than one process `work` and the tasks must be picklable.
    """
    if processes == 1 or len(tasks) <= 1:
        yield from map(work, tasks)
        return
    with worker_pool(min(processes, len(tasks))) as pool:
        try:
            yield from pool.map(work, tasks)
        except BrokenProcessPool:
            raise ValueError(
                "a process was ended from outside, most likely since memory ran out; what is finished is kept: run it again "
                "with fewer processes (--processes)"
            ) from None


def refuse_while_importing() -> None:
    """Raises RuntimeError where a worker process, which reads the script that started it, comes upon work that is not guarded.

    Python itself would say so, but only behind a lock that the script holds.
    """
    if getattr(current_process(), "_inheriting", False):
        raise RuntimeError(
            'a script that runs stages must do so under `if __name__ == "__main__":`, since they start processes'
        )


def _start_worker() -> None:
    torch.set_num_threads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A process that was killed cannot end its workers; without this they would go on unseen."""
    parent_process().join()
    os._exit(1)
