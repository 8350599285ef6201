"""Progress of long work: a bar in a terminal and in JupyterLab, an occasional line if the output goes to a file.

In a notebook, lines go to the standard output, because Jupyter shows the standard error in red.
"""

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from multiprocessing import parent_process
from typing import Any, TypeVar

from ribstudy.runtime import environment

Item = TypeVar("Item")
SECONDS_BETWEEN_LINES = 20.0
SECONDS_BETWEEN_COUNTS = 1.0
SECONDS_BEFORE_A_BAR = 2.0  # each leaves an empty output, and JupyterLab hides the outputs after the fiftieth


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return shell is not None and "IPKernelApp" in shell.config


def is_live() -> bool:
    """Whether somebody looks at this notebook while it runs: Jupyter's server names it to its kernels, papermill does not."""
    return in_notebook() and environment.text("JPY_SESSION_NAME") is not None


def track(items: Iterable[Item], description: str, total: int | None = None) -> Iterator[Item]:
    """Yields `items` and shows the progress, but not in a worker process, whose parent shows it (`following`).

    total: the number of items, needed only if they have no length.
    """
    if parent_process() is not None:
        yield from items
        return
    if total is None and isinstance(items, Sized):
        total = len(items)
    with _shown(description, total) as show:
        for done, item in enumerate(items, start=1):
            yield item
            show(done)


@contextlib.contextmanager
def following(count: Callable[[], int], description: str, total: int) -> Iterator[None]:
    """Shows the progress of worker processes during the block. `count` returns the number of items that they have finished."""
    ended = threading.Event()

    def follow(show: Callable[[int], Any]) -> None:
        while not ended.wait(SECONDS_BETWEEN_COUNTS):
            show(count())

    with _shown(description, total) as show:
        thread = threading.Thread(target=follow, args=[show], daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


@contextlib.contextmanager
def _shown(description: str, total: int | None) -> Iterator[Callable[[int], Any]]:
    """A function that shows how many items are done."""
    if is_live() or sys.stderr.isatty():
        from tqdm.auto import tqdm

        with tqdm(desc=description, total=total, leave=False, delay=SECONDS_BEFORE_A_BAR) as bar:
            yield lambda done: bar.update(done - bar.n)
        return
    start = last = time.monotonic()

    def show(done: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last > SECONDS_BETWEEN_LINES or (done == total and now - start > SECONDS_BETWEEN_LINES):
            line = f"{description}: {done}{f'/{total}' if total else ''}, {now - start:.0f} s"
            print(line, file=sys.stdout if in_notebook() else sys.stderr, flush=True)
            last = now

    yield show
