"""Costs of whole data sets, projected from one image: time, disk space, and the stages of a full run."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ribstudy.bench.operations import Workload, count_flop, count_passes, count_step, study_flop
from ribstudy.config import Settings
from ribstudy.method.settings import RibSettings
from ribstudy.models.affinity_net import build_affinity_net
from ribstudy.models.cam_net import build_cam_net
from ribstudy.models.deeplab import build_deeplab

STRIDE = 16  # pixels from one position of a map to the next


@dataclass(frozen=True)
class DataSetSize:
    """The images of a data set, each taken to be of the size of `workload`. classes_per_image: the mean."""

    name: str
    num_images: int
    workload: Workload
    classes_per_image: float


# Median image sizes and the numbers of auxiliary images come from the lists and settings of the reference code. The images of
# VOC's train_aug have 1.555 classes on average (counted); the 2.9 of COCO's train2014 is quoted from the literature.
VOC = DataSetSize("VOC 2012 train_aug", 10_582, Workload(375, 500, 20, 512), 1.555)
COCO = DataSetSize("COCO 2014 train", 82_783, Workload(480, 640, 15, 512, num_classes=80), 2.9)


def hours(num_images: int, flop: float, flop_rate: float) -> float:
    """Hours for `num_images` adaptations of `flop` FLOP each, at `flop_rate` FLOP per second."""
    return num_images * flop / flop_rate / 3600


def maps_bytes(data: DataSetSize) -> float:
    """Bytes on disk of the raw maps of all steps and scales of a data set, in float32 and before compression.

    images x classes per image x K x (sum over scales of h_s w_s) x 4, with h_s = ceil(H s / 16).
    """
    sizes = data.workload.view_sizes(RibSettings().scales)
    positions = sum(math.ceil(height / STRIDE) * math.ceil(width / STRIDE) for height, width in sizes)
    return data.num_images * data.classes_per_image * data.workload.iterations * positions * 4


@dataclass(frozen=True)
class StageCost:
    """The cost of one stage: FLOP of its networks and bytes of its result before compression.

    flop: None for a stage without a network, which runs a CRF on CPU cores.
    """

    flop: float | None
    num_bytes: float = 0.0


def full_run(data: DataSetSize, settings: Settings, num_val: int) -> dict[str, StageCost]:
    """The cost of each stage, run once: on all training images, and the segmentation network on `num_val` images.

    A full run executes most of the stages twice, once for the maps of the CAM and once for the maps of RIB.
    """
    work, images, step = data.workload, data.num_images, count_step(data.workload)
    raw = maps_bytes(data)
    return {
        "classifier": StageCost(images * settings.classifier.epochs * _classifier_flop(work, settings)),
        "cam": StageCost(images * (step.own_frozen + step.own_trained), 2 * raw / work.iterations),  # signed ones too
        "rib": StageCost(images * study_flop(step, work.iterations), raw),
        "labels": StageCost(None),
        **_affinity_costs(data, settings),
        "masks": StageCost(None),
        **_segmentation_costs(work, settings, num_val),
        "predictions": StageCost(None),
    }


def _classifier_flop(work: Workload, settings: Settings) -> float:
    """FLOP of one training image: forward and backward."""
    with torch.device("meta"):
        net = build_cam_net(work.backbone, work.num_classes)
        return sum(count_passes(net, _crop(settings.classifier.crop_size)))


def _affinity_costs(data: DataSetSize, settings: Settings) -> dict[str, StageCost]:
    """The training of the affinity network, and the random walk with it."""
    with torch.device("meta"):
        affinity = build_affinity_net(settings.affinity.backbone)
    training = _training_flop(affinity, _crop(settings.affinity.crop_size))
    padded = [max(side, settings.walk.pad_to or 0) for side in (data.workload.height, data.workload.width)]
    views = torch.empty(2, 3, *padded, device="meta")
    return {
        "affinity": StageCost(data.num_images * settings.affinity.epochs * training),
        "walk": StageCost(data.num_images * count_flop(lambda: affinity(views))[0], data.num_images * _walked_bytes(data)),
    }


def _segmentation_costs(work: Workload, settings: Settings, num_val: int) -> dict[str, StageCost]:
    """The training of the segmentation network, and its class scores for `num_val` images."""
    training = settings.segmentation
    with torch.device("meta"):
        deeplab = build_deeplab(training.backbone, work.num_classes + 1, output_stride=training.output_stride)
    per_image = sum(_training_flop(deeplab, _crop(training.crop_size, scale)) for scale in training.loss_scales)
    return {
        "segmentation": StageCost(training.iterations * training.batch_size * per_image),
        "scores": StageCost(num_val * _score_flop(deeplab, work, settings), num_val * _score_bytes(work)),
    }


def _crop(side: int, scale: float = 1) -> Tensor:
    """One square image without content."""
    return torch.empty(1, 3, int(side * scale), int(side * scale), device="meta")


def _training_flop(net: nn.Module, images: Tensor) -> float:
    """FLOP of a forward and a backward pass."""
    return count_flop(lambda: net(images).sum().backward())[0]


def _score_flop(deeplab: nn.Module, work: Workload, settings: Settings) -> float:
    """FLOP of the class scores of one image at all scales."""
    num_views = 2 if settings.scores.mirror else 1
    sizes = work.view_sizes(settings.scores.scales)
    with torch.no_grad():
        return sum(count_flop(lambda: deeplab(torch.empty(num_views, 3, *size, device="meta")))[0] for size in sizes)  # noqa: B023


def _walked_bytes(data: DataSetSize) -> float:
    """Bytes of one image: maps in float32 and a boundary in float16, both at stride 4."""
    height, width = (math.ceil(side / 4) for side in (data.workload.height, data.workload.width))
    return height * width * (4 * data.classes_per_image + 2)


def _score_bytes(work: Workload) -> float:
    """Bytes of one image: scores of all classes and the background at stride 8, in float16."""
    return math.ceil(work.height / 8) * math.ceil(work.width / 8) * (work.num_classes + 1) * 2
