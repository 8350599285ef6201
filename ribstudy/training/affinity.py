"""The training of the affinity network on the confident labels of the maps (IRN, `step/train_irn.py`)."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from accelerate import PartialState
from accelerate.utils import reduce
from torch import Tensor

from ribstudy.datasets import Dataset
from ribstudy.masks.affinity import EPSILON, TERMS, affinity_sums, total_affinity_loss
from ribstudy.models.affinity_net import AffinityNet, build_affinity_net
from ribstudy.training.batches import Load
from ribstudy.training.crops import masked_crops
from ribstudy.training.fit import Training, fit, new_net
from ribstudy.training.settings import AffinitySettings


def train_affinity_net(
    dataset: Dataset,
    labels: Mapping[str, np.ndarray],
    settings: AffinitySettings,
    *,
    seed: int,
    folder: Path,
    device: str,
    num_workers: int = 0,
) -> AffinityNet:
    """Trains on the images of `labels` (by name uint8 [H, W]: 0, class + 1, 255 unsure); writes its weights into `folder`."""
    net = new_net(partial(build_affinity_net, settings.backbone, settings.weights), seed=seed, device=device)
    steps_per_epoch = len(labels) // settings.batch_size
    low, high = settings.rescale
    crop = {"crop_size": settings.crop_size, "draw_factor": partial(np.random.Generator.uniform, low=low, high=high)}
    load = partial(masked_crops, dataset, list(labels), labels.__getitem__, **crop, normalization=net.normalization)
    training = Training(
        settings=settings,
        parameters=net.trained_parameters(),
        load=partial(_with_labels_at_stride_4, load),
        num_examples=len(labels),
        losses_of=partial(_losses, radius=settings.radius),
        num_steps=settings.epochs * steps_per_epoch,
        interval=steps_per_epoch,
    )
    fit(net, training, seed=seed, folder=folder, device=device, num_workers=num_workers)
    return net


def _with_labels_at_stride_4(load: Load, indices: Sequence[int], rngs: Sequence[np.random.Generator]) -> tuple[Tensor, Tensor]:
    """The batch of `load` with its labels [B, s, s] at the network's stride: int64 [B, s/4, s/4]."""
    images, labels = load(indices, rngs)
    return images, labels[:, 2::4, 2::4].contiguous()  # the pixels that PIL's nearest neighbour takes


def _losses(net: AffinityNet, images: Tensor, labels: Tensor, *, radius: int) -> dict[str, Tensor]:
    """The loss and its terms, which are means over the pairs of the whole batch, including the parts of other processes."""
    sums, counts = affinity_sums(net(images), labels, radius)
    counts = reduce(counts, reduction="sum")
    means = sums * PartialState().num_processes / (counts + EPSILON)  # gradients are averaged over the processes
    terms = dict(zip(TERMS, means, strict=True))
    return {"loss": total_affinity_loss(terms), **terms}
