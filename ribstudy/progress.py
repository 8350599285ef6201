"""Progress of long work: a bar in a terminal, a plain line now and then where the output goes to a file or a notebook."""

import sys
import time
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")
SECONDS_BETWEEN_LINES = 20.0


def track(items: Iterable[Item], description: str) -> Iterator[Item]:
    """Yields `items` and shows how far they are on stderr."""
    if sys.stderr.isatty():
        yield from tqdm(items, desc=description, leave=False)
        return
    total = len(items) if isinstance(items, Sized) else None
    start = last = time.monotonic()
    for done, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if now - last > SECONDS_BETWEEN_LINES or (done == total and now - start > SECONDS_BETWEEN_LINES):
            print(f"{description}: {done}{f'/{total}' if total else ''}, {now - start:.0f} s", file=sys.stderr, flush=True)
            last = now
