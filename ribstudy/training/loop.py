"""The one training loop of the study: the classifier, the affinity network and DeepLab are trained by it.

What a step shows depends on (seed, step) alone, so that a run that was killed and resumed sees the same images in the same
order, cropped the same way, and ends with the same weights. Several processes share every batch, each with its part.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR, LRScheduler
from torch.utils.data import DataLoader

from ribstudy.method.inputs import as_it_is
from ribstudy.runtime.files import atomic
from ribstudy.runtime.progress import track

log = logging.getLogger(__name__)

Batch = tuple[Tensor, ...]
Load = Callable[[Sequence[int], Sequence[np.random.Generator]], Batch]  # indices of images, a generator for each
Losses = dict[str, Tensor]  # scalars; "loss" is what is minimised, the others are noted beside it
CHECKPOINT = "checkpoint.pt"  # of a training that is not through


def train(
    net: nn.Module,
    optimizer: torch.optim.Optimizer,
    *,
    batches: Callable[[range], Iterable[Batch]],
    losses_of: Callable[..., Losses],
    num_steps: int,
    interval: int,
    poly_power: float,
    folder: Path,
    settings: dict,
    accelerator: Accelerator,
    watch: Callable[[int, Mapping[str, float]], None] = lambda step, losses: None,
) -> pd.DataFrame:
    """Trains in place; returns, and writes as `history.csv`, the means of the losses over every `interval` steps.

    batches(steps) gives the batches of some steps, `accelerator.gradient_accumulation_steps` parts for each, one after the
    other; `losses_of(net, *batch)` the `Losses`. Every learning rate falls with (1 - step / num_steps)^poly_power (reference
    code). `settings` are kept in the checkpoint for whoever opens it. watch(step, losses) sees every step and may raise.

    Goes on from the checkpoint in `folder` where there is one. Raises FloatingPointError where the loss is not finite.
    """
    objective, wrapped = accelerator.prepare(_Objective(net, losses_of), optimizer)
    schedule = LambdaLR(optimizer, lambda step: (1 - min(step, num_steps) / num_steps) ** poly_power)
    checkpoint = folder / CHECKPOINT
    history = _resume(checkpoint, net, optimizer, schedule)
    for start in range(history[-1]["step"] if history else 0, num_steps, interval):
        net.train()
        steps = range(start, min(start + interval, num_steps))
        rows = []
        for losses in track(
            _steps(objective, wrapped, batches(steps), accelerator), f"step {steps.stop}/{num_steps}", len(steps)
        ):
            schedule.step()
            rows.append(losses)
            step = start + len(rows)
            if not np.isfinite(losses["loss"]):
                raise FloatingPointError(f"step {step}: the loss is {losses['loss']}; a smaller learning rate may help")
            watch(step, losses)
        history.append({"step": steps.stop, **pd.DataFrame(rows).mean(), "learning_rate": schedule.get_last_lr()[0]})
        if accelerator.is_main_process:
            _save(checkpoint, net, optimizer, schedule, history, settings)
    table = pd.DataFrame(history)
    if accelerator.is_main_process:
        with atomic(folder / "history.csv") as temporary:
            table.to_csv(temporary, index=False)
    return table


class _Objective(nn.Module):
    """The losses as the one forward pass of a module, which is what several processes can share."""

    def __init__(self, net: nn.Module, losses_of: Callable[..., Losses]):
        super().__init__()
        self.net = net
        self._losses_of = losses_of

    def forward(self, *batch: Tensor) -> Losses:
        return self._losses_of(self.net, *batch)


def _steps(
    objective: nn.Module, optimizer: torch.optim.Optimizer, batches: Iterable[Batch], accelerator: Accelerator
) -> Iterator[dict[str, float]]:
    """Makes an update for every full batch, and gives its losses: means over its parts and over the processes."""
    parts = []
    for batch in batches:
        with accelerator.accumulate(objective):
            losses = objective(*(part.to(accelerator.device) for part in batch))
            accelerator.backward(losses["loss"])
            optimizer.step()
            optimizer.zero_grad()
        parts.append(torch.stack([value.detach().float() for value in losses.values()]))
        if accelerator.sync_gradients:
            means = accelerator.reduce(torch.stack(parts).mean(dim=0), reduction="mean")
            yield dict(zip(losses, means.tolist(), strict=True))
            parts = []


def _save(
    path: Path, net: nn.Module, optimizer: torch.optim.Optimizer, schedule: LRScheduler, history: list[dict], settings: dict
) -> None:
    state = {
        "net": net.state_dict(),
        "optimizer": optimizer.state_dict(),
        "schedule": schedule.state_dict(),
        "random_state": torch.get_rng_state(),
        "history": [{name: float(value) if name != "step" else value for name, value in row.items()} for row in history],
        "settings": settings,
    }
    with atomic(path) as temporary:
        torch.save(state, temporary)


def _resume(path: Path, net: nn.Module, optimizer: torch.optim.Optimizer, schedule: LRScheduler) -> list[dict]:
    if not path.is_file():
        return []
    state = torch.load(path, map_location="cpu", weights_only=True)
    net.load_state_dict(state["net"])
    optimizer.load_state_dict(state["optimizer"])
    schedule.load_state_dict(state["schedule"])
    torch.set_rng_state(state["random_state"])
    log.info("resuming after step %d of %s", state["history"][-1]["step"], path)
    return state["history"]


def save_weights(path: Path, net: nn.Module, accelerator: Accelerator) -> None:
    """Writes the state dict, once for all processes."""
    if accelerator.is_main_process:
        with atomic(path) as temporary:
            torch.save(net.state_dict(), temporary)
    accelerator.wait_for_everyone()


class _Examples(torch.utils.data.Dataset):
    """What `load` makes of some images; the error itself where one is not readable, so that a worker lives on."""

    def __init__(self, load: Load, seed: int):
        self._load, self._seed = load, seed

    def __getitem__(self, item: tuple[int, list[int]]) -> Batch | ValueError:
        epoch, indices = item
        try:
            return self._load(indices, [np.random.default_rng([self._seed, epoch, index]) for index in indices])
        except ValueError as error:
            return error


def training_batches(
    load: Load,
    num_images: int,
    batch_size: int,
    steps: range,
    *,
    seed: int,
    accelerator: Accelerator,
    num_workers: int = 0,
) -> Iterator[Batch]:
    """This process's part of the batches of some steps; where gradients are accumulated, in so many parts one after the other.

    An epoch is as many full batches as the images make; the rest that fills none is left for other epochs. `num_workers`
    processes decode ahead of time (0: none); the batches do not depend on it.
    """
    parts = accelerator.num_processes * accelerator.gradient_accumulation_steps
    check_batch(num_images, batch_size, parts)
    per_epoch, share = num_images // batch_size, batch_size // parts
    sampler = []
    for step in steps:
        epoch, place = divmod(step, per_epoch)
        order = np.random.default_rng([seed, epoch]).permutation(num_images)
        batch = order[place * batch_size : (place + 1) * batch_size].tolist()
        for start in range(accelerator.process_index * share, batch_size, accelerator.num_processes * share):
            sampler.append((epoch, batch[start : start + share]))
    loader = DataLoader(
        _Examples(load, seed),
        batch_size=None,
        sampler=sampler,
        collate_fn=as_it_is,
        num_workers=num_workers,
        pin_memory=accelerator.device.type == "cuda",
    )
    for batch in loader:
        if isinstance(batch, ValueError):
            raise batch
        yield batch


def check_batch(num_images: int, batch_size: int, parts: int) -> None:
    """Raises ValueError where a batch cannot be filled, or not be divided among processes and accumulated parts."""
    if num_images < batch_size:
        raise ValueError(
            f"{num_images} training images are fewer than a batch of {batch_size}; add images, or set a batch_size of "
            f"{max(1, num_images // 4)}"
        )
    if batch_size % parts:
        raise ValueError(f"a batch of {batch_size} cannot be divided into {parts} equal parts (processes times accumulation)")
