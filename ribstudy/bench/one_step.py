"""The first step of each training, whose loss and change of the weights can be compared between two devices."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from ribstudy import datasets
from ribstudy.config import Settings, load_settings
from ribstudy.models.affinity_net import build_affinity_net
from ribstudy.models.cam_net import build_cam_net
from ribstudy.models.deeplab import build_deeplab
from ribstudy.training.affinity import train_affinity_net
from ribstudy.training.classifier import train_classifier
from ribstudy.training.deeplab import train_deeplab
from ribstudy.training.files import HISTORY
from ribstudy.training.fit import new_net

Step = tuple[float, dict[str, Tensor]]  # the loss, and the change of each trained parameter
SEED = 0
RATE = 0.1  # of the paper's classifier; the smaller one of its DeepLab would drown in the rounding of the weights
PRECISIONS = {"classifier": ("fp32",), "affinity": ("fp32",), "segmentation": ("fp32", "bf16")}


def step_settings(root: Path, *, batch_size: int, crop_size: int, backbones: Mapping[str, str]) -> Settings:
    """The paper's settings, for trainings of one step on the devkit in `root`, with random weights.

    backbones: the name of the backbone of each training in `PRECISIONS`.
    """
    changes: dict[str, Any] = {"data.root": str(root)}
    for training, backbone in backbones.items():
        values = {
            "weights": None,
            "backbone": backbone,
            "batch_size": batch_size,
            "crop_size": crop_size,
            "learning_rate": RATE,
        }
        values |= {"iterations": 1} if training == "segmentation" else {"epochs": 1}
        changes |= {f"{training}.{name}": value for name, value in values.items()}
    return load_settings("voc12", {**changes, "classifier.long_side": [crop_size, crop_size * 5 // 4]})


def first_step(training: str, settings: Settings, *, precision: str, device: str) -> Step:
    """The loss of the first batch of a training, and the change of its weights by the first update, as tensors on the CPU.

    training, precision: as in `PRECISIONS`; only the segmentation can be trained in another precision than "fp32".
    """
    dataset = datasets.training_set(settings.data)
    names, num_classes = dataset.names, len(dataset.class_names)
    build: Callable[[], nn.Module]
    if training == "classifier":
        build = partial(build_cam_net, settings.classifier.backbone, num_classes)
        train = partial(train_classifier, dataset, settings.classifier)
    elif training == "affinity":
        build = partial(build_affinity_net, settings.affinity.backbone)
        train = partial(train_affinity_net, dataset, {name: dataset.mask(name) for name in names}, settings.affinity)
    else:
        own = settings.segmentation.model_copy(update={"precision": precision})
        build = partial(build_deeplab, own.backbone, num_classes + 1, output_stride=own.output_stride)
        train = partial(train_deeplab, dataset, names, dataset.mask, own)
    with TemporaryDirectory() as folder:
        net = train(seed=SEED, folder=Path(folder), device=device)
        loss = float(pd.read_csv(Path(folder) / HISTORY)["loss"].item())
    before = _trained(new_net(build, seed=SEED, device=device))
    return loss, {name: value - before[name] for name, value in _trained(net).items()}


def _trained(net: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().cpu() for name, value in net.named_parameters() if value.requires_grad}


def relative(ours: Mapping[str, Tensor], exact: Mapping[str, Tensor]) -> float:
    """The norm of the difference of all tensors together, relative to the norm of the exact ones; nan if all are 0."""
    difference = torch.cat([(ours[name] - value).double().flatten() for name, value in exact.items()])
    return float(difference.norm() / torch.cat([value.double().flatten() for value in exact.values()]).norm())
