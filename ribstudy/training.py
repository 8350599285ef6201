"""The one training loop of the study, and the classifier that it trains.

What an epoch shows depends on (seed, epoch, position) alone, so that a run that was killed and resumed sees the same images
in the same order, cropped the same way, and ends with the same weights.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR, LRScheduler
from torch.utils.data import DataLoader

from ribstudy.config import ClassifierSettings
from ribstudy.datasets import Dataset
from ribstudy.datasets.transforms import Normalization, crop_batch
from ribstudy.feed import Feed, OwnViews, as_it_is
from ribstudy.losses import classification_loss
from ribstudy.models import CamNet, build_cam_net, use_exact_kernels
from ribstudy.pooling import gap
from ribstudy.progress import track
from ribstudy.store import atomic

log = logging.getLogger(__name__)

Batch = tuple[Tensor, Tensor]
CHECKPOINT = "checkpoint.pt"  # of a training that is not through


def train(
    net: nn.Module,
    optimizer: torch.optim.Optimizer,
    *,
    batches: Callable[[int], Iterable[Batch]],
    loss_of: Callable[[nn.Module, Batch], Tensor],
    num_epochs: int,
    steps_per_epoch: int,
    poly_power: float,
    checkpoint: Path,
    settings: dict,
    accelerator: Accelerator,
) -> pd.DataFrame:
    """Trains in place and returns the mean loss of each epoch; goes on from `checkpoint` where there is one.

    batches(epoch) gives an epoch's batches, loss_of(net, batch) a scalar. Every learning rate falls with
    (1 - step / steps)^poly_power (reference code). `settings` are kept in the checkpoint for whoever opens it.
    """
    net, optimizer = accelerator.prepare(net, optimizer)
    num_steps = num_epochs * steps_per_epoch
    schedule = LambdaLR(optimizer, lambda step: (1 - min(step, num_steps) / num_steps) ** poly_power)
    history = _resume(checkpoint, net, optimizer, schedule)
    for epoch in range(len(history), num_epochs):
        losses = []
        net.train()
        for batch in track(batches(epoch), f"epoch {epoch + 1}/{num_epochs}"):
            optimizer.zero_grad()
            loss = loss_of(net, tuple(part.to(accelerator.device) for part in batch))
            accelerator.backward(loss)
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
            if not np.isfinite(losses[-1]):
                raise FloatingPointError(f"epoch {epoch + 1}: the loss is {losses[-1]}; a smaller learning rate may help")
        history.append({"epoch": epoch + 1, "loss": float(np.mean(losses)), "learning_rate": schedule.get_last_lr()[0]})
        _save(checkpoint, net, optimizer, schedule, history, settings)
    return pd.DataFrame(history)


def _save(
    path: Path, net: nn.Module, optimizer: torch.optim.Optimizer, schedule: LRScheduler, history: list[dict], settings: dict
) -> None:
    state = {
        "net": net.state_dict(),
        "optimizer": optimizer.state_dict(),
        "schedule": schedule.state_dict(),
        "random_state": torch.get_rng_state(),
        "history": history,
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
    log.info("resuming after epoch %d of %s", len(state["history"]), path)
    return state["history"]


def train_classifier(
    dataset: Dataset,
    settings: ClassifierSettings,
    *,
    seed: int,
    folder: Path,
    device: str,
    num_workers: int = 0,
) -> CamNet:
    """Trains the image classifier on image-level labels; writes `history.csv` and `classifier.pt` into `folder`."""
    if len(dataset) < settings.batch_size:
        raise ValueError(
            f"{len(dataset)} training images are fewer than a batch of {settings.batch_size}; add images, or pass "
            f"--set classifier.batch_size={max(1, len(dataset) // 4)}"
        )
    use_exact_kernels()
    torch.manual_seed(seed)
    net = build_cam_net(settings.backbone, len(dataset.class_names), settings.weights)
    net = net.to(memory_format=torch.channels_last)  # the order of values in memory that convolutions are fastest in
    optimizer = torch.optim.SGD(
        net.parameter_groups(settings.learning_rate, settings.head_lr_factor),
        lr=settings.learning_rate,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
    )
    history = train(
        net,
        optimizer,
        batches=lambda epoch: training_batches(
            dataset, settings, net.normalization, seed=seed, epoch=epoch, num_workers=num_workers
        ),
        loss_of=lambda net, batch: classification_loss(gap(net(batch[0])), batch[1]),
        num_epochs=settings.epochs,
        steps_per_epoch=len(dataset) // settings.batch_size,
        poly_power=settings.poly_power,
        checkpoint=folder / CHECKPOINT,
        settings=settings.model_dump(mode="json"),
        accelerator=Accelerator(cpu=device == "cpu", mixed_precision="no"),
    )
    with atomic(folder / "history.csv") as temporary:
        history.to_csv(temporary, index=False)
    with atomic(folder / "classifier.pt") as temporary:
        torch.save(net.state_dict(), temporary)
    return net


class _TrainingBatches(torch.utils.data.Dataset):
    """The batches of an epoch by the indices of their images; the error itself where an image is not readable."""

    def __init__(self, dataset: Dataset, settings: ClassifierSettings, normalization: Normalization, *, seed: int, epoch: int):
        self._dataset, self._settings, self._normalization = dataset, settings, normalization
        self._seed, self._epoch = seed, epoch
        _ = dataset.labels  # read once here, not by every worker

    def __getitem__(self, indices: list[int]) -> Batch | ValueError:
        settings = self._settings
        rngs = [np.random.default_rng([self._seed, self._epoch, index]) for index in indices]
        try:
            return crop_batch(
                self._dataset,
                indices,
                rngs,
                long_side=settings.long_side,
                crop_size=settings.crop_size,
                normalization=self._normalization,
            )
        except ValueError as error:
            return error


def training_batches(
    dataset: Dataset,
    settings: ClassifierSettings,
    normalization: Normalization,
    *,
    seed: int,
    epoch: int,
    num_workers: int = 0,
) -> Iterator[Batch]:
    """An epoch's full batches (images [B, 3, s, s], labels [B, C]); the rest that fills no batch is left for other epochs.

    `num_workers` processes decode ahead of time (0: none); the batches do not depend on it.
    """
    order = np.random.default_rng([seed, epoch]).permutation(len(dataset)).tolist()
    starts = range(0, len(order) - settings.batch_size + 1, settings.batch_size)
    loader = DataLoader(
        _TrainingBatches(dataset, settings, normalization, seed=seed, epoch=epoch),
        batch_size=None,
        sampler=[order[start : start + settings.batch_size] for start in starts],
        collate_fn=as_it_is,
        num_workers=num_workers,
        pin_memory=torch.cuda.is_available(),
    )
    for batch in loader:
        if isinstance(batch, ValueError):
            raise batch
        yield batch


def load_classifier(folder: Path, settings: ClassifierSettings, num_classes: int, device: str) -> CamNet:
    """The trained classifier of a finished stage, in evaluation mode."""
    net = build_cam_net(settings.backbone, num_classes, weights=None)
    net.load_state_dict(torch.load(folder / "classifier.pt", map_location="cpu", weights_only=True))
    return net.to(device, memory_format=torch.channels_last).eval()


def image_logits(net: CamNet, dataset: Dataset, *, num_workers: int = 0) -> np.ndarray:
    """Logits [N, C] of every image of a data set, each at its own size."""
    device = net.classifier.weight.device
    feed = Feed(OwnViews(dataset, dataset.names, (1.0,), net.normalization), num_workers=num_workers, device=str(device))
    rows = []
    with torch.no_grad():
        for name in track(dataset.names, "validation"):
            _, (view,) = feed.views(name)
            rows.append(gap(net(view[:1]))[0].cpu().numpy())  # the plain view, without its mirror
    return np.stack(rows)
