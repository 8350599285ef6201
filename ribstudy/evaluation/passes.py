"""One pass over the images of a result, in chunks that worker processes can share.

A pass reads one image at a time and keeps only sums, so its memory does not depend on the number of images. Its result
does not depend on the number of processes.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

import numpy as np

from ribstudy.datasets import Dataset
from ribstudy.runtime.processes import map_in_processes
from ribstudy.runtime.progress import track

Part = TypeVar("Part")

NUM_CHUNKS = 100  # of a pass
MAX_GROUPS = 1000  # of images whose counts are summed
WORTH_PROCESSES = 500  # fewer images are scored before worker processes have started


def scored_names(dataset: Dataset, stored: Mapping[str, object]) -> list[str]:
    """The names of the stored images that have a mask, in order; ValueError if there are none."""
    with_mask = set(dataset.masked_names)
    names = [name for name in stored if name in with_mask]
    if not names:
        raise ValueError(f"split {dataset.split}: none of the {len(stored)} stored images has a mask to score it with")
    return names


def group_order(count: int) -> np.ndarray:
    """The order of the images from which groups are formed, [count].

    Up to `MAX_GROUPS` images, each image is its own group, in order. More images are shuffled, always in the same way for the
    same number: a list may be periodic, and so would be a rule such as every thousandth image.
    """
    order = np.arange(count)
    return order if count <= MAX_GROUPS else np.random.default_rng(0).permutation(order)


def groups_of_chunk(num_images: int) -> int:
    """The number of groups that a chunk of `num_images` images forms."""
    return min(num_images, MAX_GROUPS // NUM_CHUNKS)


def in_chunks(work: Callable[[list[str]], Part], names: list[str], processes: int) -> Iterator[Part]:
    """work(chunk) of every chunk of the images: chunk i has the images i, i + 100, i + 200, ..."""
    chunks = [names[place::NUM_CHUNKS] for place in range(min(NUM_CHUNKS, len(names)))]
    parts = map_in_processes(work, chunks, processes=processes if len(names) >= WORTH_PROCESSES else 1)
    return (part for _, part in zip(track(chunks, "scores"), parts, strict=True))


def interleaved(parts: list[np.ndarray]) -> np.ndarray:
    """The rows of all chunks in one array, in the order of the images: one row of each chunk in turn."""
    rows = np.empty((sum(map(len, parts)), *parts[0].shape[1:]), dtype=parts[0].dtype)
    for place, part in enumerate(parts):
        rows[place :: len(parts)] = part
    return rows


@contextlib.contextmanager
def naming_image(name: str) -> Iterator[None]:
    """Adds the image's name to an exception that is raised while the image is scored."""
    try:
        yield
    except Exception as error:
        error.add_note(f"image {name}")
        raise
