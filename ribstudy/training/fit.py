"""One loop for the three trainings: SGD with a polynomially falling learning rate, checkpoints, several processes."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from ribstudy.models.kernels import use_exact_kernels, use_fast_convolutions
from ribstudy.runtime import ranks
from ribstudy.runtime.progress import track
from ribstudy.training.batches import Batch, Load, check_batch, training_batches
from ribstudy.training.checkpoint import resume, round_weights, save_checkpoint, save_history, save_weights
from ribstudy.training.files import CHECKPOINT, HISTORY, WEIGHTS
from ribstudy.training.settings import TrainingSettings

Net = TypeVar("Net", bound=nn.Module)
Losses = dict[str, Tensor]  # scalars; "loss" is minimised, the others are only recorded


def new_net(build: Callable[[], Net], *, seed: int, device: str) -> Net:
    """The network that `build` makes, ready to be trained. Its random weights depend on the seed only."""
    use_exact_kernels()
    torch.manual_seed(seed)
    net = build().to(memory_format=torch.channels_last)  # the memory layout in which convolutions are fastest
    use_fast_convolutions(net, device)
    return net


@dataclass(frozen=True)
class Training:
    """The parts in which trainings differ: the data, the loss and the schedule.

    Args:
        settings: batch size; learning rate, momentum and weight decay of SGD; power of the schedule.
        parameters: the parameters to train, or groups of them with their own rates, as torch's optimisers take them.
        load: makes a batch from the indices of examples and one random generator for each.
        num_examples: number of training examples.
        losses_of: `losses_of(net, *batch)` returns `Losses`.
        num_steps: number of updates; the learning rate falls with (1 - step / num_steps)^poly_power (reference code).
        interval: number of steps between two checkpoints; the history has the mean losses of each interval.
        accumulation: number of parts in which a batch passes through the network, one after another.
        mixed_precision: "no" or "bf16"; None follows accelerate's own configuration.
        watch: `watch(step, losses)` is called after every step and may raise to end the training.
    """

    settings: TrainingSettings
    parameters: Iterable[Any]
    load: Load
    num_examples: int
    losses_of: Callable[..., Losses]
    num_steps: int
    interval: int
    accumulation: int = 1
    mixed_precision: str | None = None
    watch: Callable[[int, Mapping[str, float]], None] = lambda step, losses: None


def fit(net: nn.Module, training: Training, *, seed: int, folder: Path, device: str, num_workers: int = 0) -> pd.DataFrame:
    """Trains `net` in place; writes its weights and `history.csv` into `folder`, and returns the history.

    Resumes from the checkpoint in `folder` if there is one. Raises ValueError if a batch cannot be filled or divided, and
    FloatingPointError if the loss is not finite.
    """
    settings, num_steps = training.settings, training.num_steps
    check_batch(training.num_examples, settings.batch_size, training.accumulation)
    optimizer = torch.optim.SGD(
        training.parameters, lr=settings.learning_rate, momentum=settings.momentum, weight_decay=settings.weight_decay
    )
    options = {"mixed_precision": training.mixed_precision, "gradient_accumulation_steps": training.accumulation}
    with ranks.threads_within_cores(), ranks.accelerated(device, **options) as accelerator:
        objective, stepper = accelerator.prepare(_Objective(net, training.losses_of), optimizer)
        schedule = LambdaLR(optimizer, lambda step: (1 - min(step, num_steps) / num_steps) ** settings.poly_power)
        batches_of = partial(training_batches, training.load, training.num_examples, settings.batch_size)
        history = resume(folder / CHECKPOINT, net, optimizer, schedule)
        for start in range(history[-1]["step"] if history else 0, num_steps, training.interval):
            net.train()
            steps = range(start, min(start + training.interval, num_steps))
            batches = batches_of(steps, seed=seed, accelerator=accelerator, num_workers=num_workers)
            updates = _updates(objective, stepper, schedule, batches, accelerator)
            rows = []
            for losses in track(updates, f"step {steps.stop}/{num_steps}", len(steps)):
                rows.append(losses)
                _require_finite(start + len(rows), losses)
                training.watch(start + len(rows), losses)
            history.append({"step": steps.stop, **pd.DataFrame(rows).mean(), "learning_rate": schedule.get_last_lr()[0]})
            if accelerator.is_main_process:
                save_checkpoint(folder / CHECKPOINT, net, optimizer, schedule, history, settings.model_dump(mode="json"))
        table = pd.DataFrame(history)
        round_weights(net, settings.stored)
        if accelerator.is_main_process:
            save_history(folder / HISTORY, table)
            save_weights(folder / WEIGHTS, net)
        accelerator.wait_for_everyone()
    return table


class _Objective(nn.Module):
    """Computes the losses in the forward pass of a module, which accelerate can share among several processes."""

    def __init__(self, net: nn.Module, losses_of: Callable[..., Losses]):
        super().__init__()
        self.net = net
        self._losses_of = losses_of

    def forward(self, *batch: Tensor) -> Losses:
        return self._losses_of(self.net, *batch)


def _updates(
    objective: nn.Module,
    optimizer: torch.optim.Optimizer,
    schedule: LRScheduler,
    batches: Iterable[Batch],
    accelerator: Accelerator,
) -> Iterator[dict[str, float]]:
    """Updates the weights once per full batch and yields its losses, averaged over its parts and over the processes."""
    parts = []
    for batch in batches:
        with accelerator.accumulate(objective):
            losses = objective(*(part.to(accelerator.device) for part in batch))
            accelerator.backward(losses["loss"])
            optimizer.step()
            optimizer.zero_grad()
        parts.append(torch.stack([value.detach().float() for value in losses.values()]))
        if accelerator.sync_gradients:
            schedule.step()
            means = accelerator.reduce(torch.stack(parts).mean(dim=0), reduction="mean")
            yield dict(zip(losses, means.tolist(), strict=True))
            parts = []


def _require_finite(step: int, losses: Mapping[str, float]) -> None:
    if not np.isfinite(losses["loss"]):
        raise FloatingPointError(f"step {step}: the loss is {losses['loss']}; a smaller learning rate may help")
