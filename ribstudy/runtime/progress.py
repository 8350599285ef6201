"""Progress of long work: a bar in a terminal, an occasional line if the output goes to a file or a notebook."""

import sys
import time
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

Item = TypeVar("Item")
SECONDS_BETWEEN_LINES = 20.0


def track(items: Iterable[Item], description: str, total: int | None = None) -> Iterator[Item]:
    """Yields `items` and shows the progress on stderr. `total` is their number, needed only if they have no length."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    if sys.stderr.isatty():
        from tqdm import tqdm

        yield from tqdm(items, desc=description, total=total, leave=False)
        return
    start = last = time.monotonic()
    for done, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if now - last > SECONDS_BETWEEN_LINES or (done == total and now - start > SECONDS_BETWEEN_LINES):
            print(f"{description}: {done}{f'/{total}' if total else ''}, {now - start:.0f} s", file=sys.stderr, flush=True)
            last = now
