"""The training of the affinity network, on labels that the maps are sure of (IRN, `step/train_irn.py`)."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from ribstudy.datasets import Dataset
from ribstudy.datasets.transforms import Normalization, masked_crop
from ribstudy.masks.affinity import EPSILON, TERMS, affinity_sums, total_affinity_loss
from ribstudy.models.affinity_net import AffinityNet, build_affinity_net
from ribstudy.models.kernels import use_exact_kernels, use_fast_convolutions
from ribstudy.runtime import ranks as launch
from ribstudy.training.loop import check_batch, save_weights, train, training_batches
from ribstudy.training.settings import AffinitySettings

WEIGHTS = "affinity.pt"


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
    """Trains on the images of `labels` (by name uint8 [H, W]: 0, class + 1, 255 unsure); writes `affinity.pt` into `folder`."""
    check_batch(len(labels), settings.batch_size, parts=1)
    use_exact_kernels()
    torch.manual_seed(seed)
    net = build_affinity_net(settings.backbone, settings.weights).to(memory_format=torch.channels_last)
    use_fast_convolutions(net, device)
    optimizer = torch.optim.SGD(
        net.trained_parameters(), lr=settings.learning_rate, momentum=settings.momentum, weight_decay=settings.weight_decay
    )
    load = partial(_load, dataset, labels, list(labels), settings, net.normalization)
    per_epoch = len(labels) // settings.batch_size
    with launch.accelerated(device) as accelerator:
        train(
            net,
            optimizer,
            batches=lambda steps: training_batches(
                load, len(labels), settings.batch_size, steps, seed=seed, accelerator=accelerator, num_workers=num_workers
            ),
            losses_of=partial(_losses, accelerator=accelerator, radius=settings.radius),
            num_steps=settings.epochs * per_epoch,
            interval=per_epoch,
            poly_power=settings.poly_power,
            folder=folder,
            settings=settings.model_dump(mode="json"),
            accelerator=accelerator,
        )
        save_weights(folder / WEIGHTS, net, accelerator)
    return net


def _load(
    dataset: Dataset,
    labels: Mapping[str, np.ndarray],
    names: Sequence[str],
    settings: AffinitySettings,
    normalization: Normalization,
    indices: Sequence[int],
    rngs: Sequence[np.random.Generator],
) -> tuple[Tensor, Tensor]:
    """Crops of images [B, 3, s, s] and of their labels at stride 4, int64 [B, s/4, s/4]."""
    pairs = [
        masked_crop(
            dataset.image(names[index]),
            labels[names[index]],
            factor=rng.uniform(*settings.rescale),
            crop_size=settings.crop_size,
            normalization=normalization,
            rng=rng,
        )
        for index, rng in zip(indices, rngs, strict=True)
    ]
    images, masks = (torch.stack(parts) for parts in zip(*pairs, strict=True))
    return images, masks[:, 2::4, 2::4].contiguous()  # the pixels that PIL's nearest neighbour takes


def _losses(net: AffinityNet, images: Tensor, labels: Tensor, *, accelerator: Accelerator, radius: int) -> dict[str, Tensor]:
    """The terms are means over all pairs of the batch, also of those that other processes hold."""
    sums, counts = affinity_sums(net(images), labels, radius)
    counts = accelerator.reduce(counts, reduction="sum")
    means = sums * accelerator.num_processes / (counts + EPSILON)  # gradients are averaged over the processes
    terms = dict(zip(TERMS, means, strict=True))
    return {"loss": total_affinity_loss(terms), **terms}
