"""The stages of the study: what each reads, what it needs, what it writes.

A stage is a function of (settings, inputs). Its key is a digest of the settings it reads and of the keys of the stages it
needs, so that changing `rib.tau` makes `rib` and what follows it stale, and nothing before it. A stage whose result is
finished is skipped; one that was killed goes on where it was.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stage:
    """`work` either does everything at once, or, where `units` is given, one unit (an image, a seed) at a time."""

    name: str
    help: str
    reads: tuple[str, ...]
    needs: tuple[str, ...]
    work: Callable
    units: Callable[["Run"], list[str]] | None = None
    version: int = 1  # raised when the code changes what the stage computes


@dataclass(frozen=True)
class Shard:
    """Part `index` (from 0) of `count` nearly equal parts."""

    index: int = 0
    count: int = 1

    def __post_init__(self):
        if not 0 <= self.index < self.count:
            raise ValueError(f"shard {self.index}/{self.count}: the index must be from 0 to {self.count - 1}")

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """ "0/2" is the first of two."""
        index, slash, count = text.partition("/")
        if not (slash and index.isdecimal() and count.isdecimal()):
            raise ValueError(f"shard {text!r}: expected INDEX/COUNT, such as 0/2 for the first of two")
        return cls(int(index), int(count))

    def of(self, names: list[str]) -> list[str]:
        return names[self.index :: self.count]
