"""The training of DeepLab-v2 on masks, pseudo or true (deeplab-pytorch's schedule, with what RIB's author changed)."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ribstudy.datasets import Dataset
from ribstudy.datasets.transforms import Normalization, masked_crop
from ribstudy.masks.deeplab import CollapseWatch, segmentation_loss
from ribstudy.models.deeplab import DeepLab, build_deeplab
from ribstudy.models.kernels import use_exact_kernels, use_fast_convolutions
from ribstudy.runtime import ranks as launch
from ribstudy.training.loop import check_batch, save_weights, train, training_batches
from ribstudy.training.settings import SegmentationSettings

WEIGHTS = "deeplab.pt"


def train_deeplab(
    dataset: Dataset,
    names: Sequence[str],
    mask_of: Callable[[str], np.ndarray],
    settings: SegmentationSettings,
    *,
    seed: int,
    folder: Path,
    device: str,
    num_workers: int = 0,
) -> DeepLab:
    """Trains on the images `names`, whose masks uint8 [H, W] `mask_of` gives; writes `deeplab.pt` into `folder`.

    Raises `Collapsed` where the network has come to predict background only.
    """
    check_batch(len(names), settings.batch_size, parts=settings.accumulation)
    use_exact_kernels()
    torch.manual_seed(seed)
    num_classes = len(dataset.class_names) + 1
    net = build_deeplab(settings.backbone, num_classes, settings.weights, output_stride=settings.output_stride)
    net = net.to(memory_format=torch.channels_last)
    use_fast_convolutions(net, device)
    groups = net.parameter_groups(settings.learning_rate, settings.weight_decay)
    optimizer = torch.optim.SGD(groups, lr=settings.learning_rate, momentum=settings.momentum)
    load = partial(_load, dataset, names, mask_of, settings, net.normalization)
    precision = "no" if settings.precision == "fp32" else settings.precision
    options = {"mixed_precision": precision, "gradient_accumulation_steps": settings.accumulation}
    with launch.accelerated(device, **options) as accelerator:
        train(
            net,
            optimizer,
            batches=lambda steps: training_batches(
                load, len(names), settings.batch_size, steps, seed=seed, accelerator=accelerator, num_workers=num_workers
            ),
            losses_of=partial(segmentation_loss, scales=settings.loss_scales, loss=settings.loss),
            num_steps=settings.iterations,
            interval=settings.interval,
            poly_power=settings.poly_power,
            folder=folder,
            settings=settings.model_dump(mode="json"),
            accelerator=accelerator,
            watch=CollapseWatch(patience=min(500, max(20, settings.iterations // 3))),
        )
        save_weights(folder / WEIGHTS, net, accelerator)
    return net


def _load(
    dataset: Dataset,
    names: Sequence[str],
    mask_of: Callable[[str], np.ndarray],
    settings: SegmentationSettings,
    normalization: Normalization,
    indices: Sequence[int],
    rngs: Sequence[np.random.Generator],
) -> tuple[Tensor, Tensor]:
    """Crops of images [B, 3, s, s] and of their masks, int64 [B, s, s]."""
    pairs = [
        masked_crop(
            dataset.image(names[index]),
            mask_of(names[index]),
            factor=rng.choice(settings.rescale),
            crop_size=settings.crop_size,
            normalization=normalization,
            rng=rng,
        )
        for index, rng in zip(indices, rngs, strict=True)
    ]
    images, masks = (torch.stack(parts) for parts in zip(*pairs, strict=True))
    return images, masks
