"""The image classifier: its training on image-level labels, and its logits."""

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
from ribstudy.runtime.progress import track
from ribstudy.training.fit import Training, fit, new_net
from ribstudy.training.settings import ClassifierSettings


def train_classifier(
    dataset: Dataset, settings: ClassifierSettings, *, seed: int, folder: Path, device: str, num_workers: int = 0
) -> CamNet:
    """Trains the image classifier on image-level labels; writes its weights and `history.csv` into `folder`."""
    build = partial(build_cam_net, settings.backbone, len(dataset.class_names), settings.weights)
    net = new_net(build, seed=seed, device=device)
    _ = dataset.labels  # read once here, not by every worker process
    steps_per_epoch = len(dataset) // settings.batch_size
    crop = {"long_side": settings.long_side, "crop_size": settings.crop_size, "normalization": net.normalization}
    training = Training(
        settings=settings,
        parameters=net.parameter_groups(settings.learning_rate, settings.head_lr_factor),
        load=partial(crop_batch, dataset, **crop),
        num_examples=len(dataset),
        losses_of=_losses,
        num_steps=settings.epochs * steps_per_epoch,
        interval=steps_per_epoch,
    )
    fit(net, training, seed=seed, folder=folder, device=device, num_workers=num_workers)
    return net


def _losses(net: CamNet, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
    return {"loss": classification_loss(gap(net(images)), labels)}


def image_logits(net: CamNet, dataset: Dataset, *, num_workers: int = 0) -> np.ndarray:
    """Logits, float32 [N, C], of every image of a data set, each image at its own size."""
    device = net.classifier.weight.device
    feed = Feed(OwnViews(dataset, dataset.names, (1.0,), net.normalization), num_workers=num_workers, device=str(device))
    rows = []
    with torch.no_grad():
        for name in track(dataset.names, "validation"):
            _, (view,) = feed.views(name)
            rows.append(gap(net(view[:1]))[0].cpu().numpy())  # the plain view, without its mirror
    return np.stack(rows)
