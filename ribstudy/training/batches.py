"""The training examples of each step, and how they are loaded.

A batch depends on the seed and the step only. A resumed training therefore sees the same crops of the same images in the same
order as one that was never interrupted.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from ribstudy.runtime.loading import load_ahead

Batch = tuple[Tensor, ...]
Load = Callable[[Sequence[int], Sequence[np.random.Generator]], Batch]  # indices of examples, and a generator for each


def check_batch(num_examples: int, batch_size: int, parts: int = 1) -> None:
    """Raises ValueError if a batch cannot be filled, or cannot be divided equally among processes and accumulated parts."""
    if num_examples < batch_size:
        raise ValueError(
            f"{num_examples} training images are fewer than a batch of {batch_size}; add images, or set a batch_size of "
            f"{max(1, num_examples // 4)}"
        )
    if batch_size % parts:
        raise ValueError(
            f"a batch of {batch_size} cannot be divided into {parts} equal parts (processes times accumulation); "
            "change batch_size"
        )


def training_batches(
    load: Load, num_examples: int, batch_size: int, steps: range, *, seed: int, accelerator: Accelerator, num_workers: int = 0
) -> Iterator[Batch]:
    """Yields this process's share of the batches of `steps`. If gradients are accumulated, its parts are yielded one by one.

    An epoch consists of full batches; the examples that do not fill another batch are left out of it. `num_workers` worker
    processes load ahead of time (0: this process loads); the batches do not depend on their number.
    """
    parts = accelerator.num_processes * accelerator.gradient_accumulation_steps
    check_batch(num_examples, batch_size, parts)
    shares = _shares(num_examples, batch_size, steps, seed, batch_size // parts, accelerator)
    pin_memory = accelerator.device.type == "cuda"
    for batch in load_ahead(_Examples(load, seed), shares, num_workers=num_workers, pin_memory=pin_memory):
        if isinstance(batch, ValueError):
            raise batch
        yield batch


def _shares(
    num_examples: int, batch_size: int, steps: range, seed: int, share: int, accelerator: Accelerator
) -> list[tuple[int, list[int]]]:
    """(epoch, indices of `share` examples) for each forward pass of this process."""
    shares = []
    for step in steps:
        epoch, place = divmod(step, num_examples // batch_size)
        order = np.random.default_rng([seed, epoch]).permutation(num_examples)
        batch = order[place * batch_size : (place + 1) * batch_size].tolist()
        for start in range(accelerator.process_index * share, batch_size, accelerator.num_processes * share):
            shares.append((epoch, batch[start : start + share]))
    return shares


class _Examples(torch.utils.data.Dataset):
    """Loads some examples of an epoch. An unreadable one gives the error instead, which keeps its worker process alive."""

    def __init__(self, load: Load, seed: int):
        self._load, self._seed = load, seed

    def __getitem__(self, item: tuple[int, list[int]]) -> Batch | ValueError:
        epoch, indices = item
        try:
            return self._load(indices, [np.random.default_rng([self._seed, epoch, index]) for index in indices])
        except ValueError as error:
            return error
