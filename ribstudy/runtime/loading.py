"""Worker processes that load data ahead of its use."""

from collections.abc import Iterator, Sequence
from typing import Any

from torch.utils.data import DataLoader, Dataset

from ribstudy.runtime import limits

FAULTS_OF_WORKERS = ("DataLoader ", "Pin memory thread ")  # beginnings of torch's messages
PATIENCE = 600  # seconds that one item may take; a slow disk needs a few


def load_ahead(
    items: Dataset, requests: Sequence | Iterator, *, num_workers: int, ahead: int | None = None, pin_memory: bool = False
) -> Iterator[Any]:
    """Yields items[request] for each request, in their order; with `num_workers` = 0 loads it in this process.

    Args:
        items: loads an item by its request.
        requests: read when a worker is free.
        ahead: the number of items that each worker prepares in advance; None: torch's default.
        pin_memory: whether tensors are put into page-locked memory, from which an accelerator copies fastest.

    Raises OSError if memory runs out, and if the workers die or stop without a word, as they do if the shared memory is full.
    No further items can be loaded then.
    """
    loader = DataLoader(
        items,
        batch_size=None,
        sampler=requests,
        collate_fn=as_it_is,
        num_workers=num_workers,
        prefetch_factor=ahead if num_workers else None,
        pin_memory=pin_memory,
        timeout=PATIENCE if num_workers else 0,
    )
    try:
        yield from loader
    except (MemoryError, RuntimeError) as error:
        if limits.is_out_of_memory(error):
            why = f"memory ran out while images were loaded ({limits.last_line(error)})"
            raise OSError(f"{why}; finished work is kept: {limits.REMEDY}") from error
        if not str(error).startswith(FAULTS_OF_WORKERS):
            raise
        raise OSError(
            f"the worker processes that load images ended or stopped ({str(error).splitlines()[0]}), most likely because "
            "memory or shared memory (/dev/shm) ran out; finished work is kept: run the command again with fewer workers, such "
            "as --workers 0"
        ) from error


def as_it_is(item: object) -> object:
    """The identity, as a function that worker processes can import."""
    return item
