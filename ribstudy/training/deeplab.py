"""The training of DeepLab-v2 on pseudo or true masks (deeplab-pytorch's schedule, with the changes of RIB's author)."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from ribstudy.datasets import Dataset
from ribstudy.models.deeplab import DeepLab, build_deeplab
from ribstudy.training.collapse import CollapseWatch
from ribstudy.training.crops import masked_crops
from ribstudy.training.fit import Training, fit, new_net
from ribstudy.training.segmentation_loss import segmentation_loss
from ribstudy.training.settings import SegmentationSettings


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
    """Trains on the images `names` and their masks mask_of(name), uint8 [H, W]; writes its weights into `folder`.

    Raises `Collapsed` if the network predicts only background for many steps.
    """
    num_classes = len(dataset.class_names) + 1
    build = partial(build_deeplab, settings.backbone, num_classes, settings.weights, output_stride=settings.output_stride)
    net = new_net(build, seed=seed, device=device)
    crop = {"crop_size": settings.crop_size, "draw_factor": partial(np.random.Generator.choice, a=settings.rescale)}
    training = Training(
        settings=settings,
        parameters=net.parameter_groups(settings.learning_rate, settings.weight_decay),
        load=partial(masked_crops, dataset, names, mask_of, **crop, normalization=net.normalization),
        num_examples=len(names),
        losses_of=partial(segmentation_loss, scales=settings.loss_scales, loss=settings.loss),
        num_steps=settings.iterations,
        interval=settings.interval,
        accumulation=settings.accumulation,
        mixed_precision="no" if settings.precision == "fp32" else settings.precision,
        watch=CollapseWatch(patience=min(500, max(20, settings.iterations // 3))),
    )
    fit(net, training, seed=seed, folder=folder, device=device, num_workers=num_workers)
    return net
