"""The image classifier whose maps are looked at: its training on image-level labels, and its answers."""

from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ribstudy.datasets import Dataset
from ribstudy.datasets.transforms import crop_batch
from ribstudy.method.inputs import Feed, OwnViews
from ribstudy.method.losses import classification_loss
from ribstudy.method.pooling import gap
from ribstudy.models.cam_net import CamNet, build_cam_net
from ribstudy.models.kernels import use_exact_kernels, use_fast_convolutions
from ribstudy.runtime import ranks as launch
from ribstudy.runtime.progress import track
from ribstudy.training.loop import check_batch, save_weights, train, training_batches
from ribstudy.training.settings import ClassifierSettings

WEIGHTS = "classifier.pt"


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
    check_batch(len(dataset), settings.batch_size, parts=1)
    use_exact_kernels()
    torch.manual_seed(seed)
    net = build_cam_net(settings.backbone, len(dataset.class_names), settings.weights)
    net = net.to(memory_format=torch.channels_last)  # the order of values in memory that convolutions are fastest in
    use_fast_convolutions(net, device)
    optimizer = torch.optim.SGD(
        net.parameter_groups(settings.learning_rate, settings.head_lr_factor),
        lr=settings.learning_rate,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
    )
    _ = dataset.labels  # read once here, not by every worker
    load = partial(
        crop_batch, dataset, long_side=settings.long_side, crop_size=settings.crop_size, normalization=net.normalization
    )
    per_epoch = len(dataset) // settings.batch_size
    with launch.accelerated(device) as accelerator:
        train(
            net,
            optimizer,
            batches=lambda steps: training_batches(
                load, len(dataset), settings.batch_size, steps, seed=seed, accelerator=accelerator, num_workers=num_workers
            ),
            losses_of=_losses,
            num_steps=settings.epochs * per_epoch,
            interval=per_epoch,
            poly_power=settings.poly_power,
            folder=folder,
            settings=settings.model_dump(mode="json"),
            accelerator=accelerator,
        )
        save_weights(folder / WEIGHTS, net, accelerator)
    return net


def _losses(net: CamNet, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
    return {"loss": classification_loss(gap(net(images)), labels)}


def load_classifier(folder: Path, settings: ClassifierSettings, num_classes: int, device: str) -> CamNet:
    """The trained classifier of a finished stage, in evaluation mode."""
    net = build_cam_net(settings.backbone, num_classes, weights=None)
    net.load_state_dict(torch.load(folder / WEIGHTS, map_location="cpu", weights_only=True))
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
