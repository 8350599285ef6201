"""What an adaptation costs: operations by count, time and disk by projection, and the records of `python -m ribstudy.bench`.

FLOP are counted by torch's counter: a multiplication and an addition are two, and only convolutions and matrix products count.
It takes the backward pass of grouped convolutions for more than it is; ResNet-50 has none.

Shapes: C classes, K steps, B auxiliary images, h_s x w_s positions of the map at scale s.
"""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from ribstudy.config import Settings
from ribstudy.method.settings import RibSettings
from ribstudy.models.affinity_net import build_affinity_net
from ribstudy.models.cam_net import CamNet, build_cam_net
from ribstudy.models.deeplab import build_deeplab
from ribstudy.models.kernels import use_fast_convolutions
from ribstudy.runtime.files import write_json

STRIDE = 16  # pixels from one position of a map to the next


# --- operations ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Workload:
    """The adaptation of one image: its size in pixels, B auxiliary crops of `crop_side` squared, C classes, K steps."""

    height: int
    width: int
    num_auxiliary: int
    crop_side: int
    num_classes: int = 20
    iterations: int = 10
    backbone: str = "resnet50"

    @property
    def label(self) -> str:
        return f"{self.height} x {self.width} pixels, {self.num_auxiliary} auxiliary crops of {self.crop_side} squared"

    def view_sizes(self, scales: Sequence[float]) -> list[tuple[int, int]]:
        """Height and width of the view at each scale, as `datasets.transforms.views` makes them."""
        return [(max(round(self.height * scale), 1), max(round(self.width * scale), 1)) for scale in scales]


@dataclass(frozen=True)
class DataSetSize:
    """A whole pass: `num_images` times `workload`. classes_per_image: the mean."""

    name: str
    num_images: int
    workload: Workload
    classes_per_image: float


# Median image sizes and the numbers of auxiliary images are those of the reference code's lists and settings. VOC has 1.555
# classes in an image of train_aug (counted); for COCO's train2014 2.9 is quoted in the literature and was not counted here.
VOC = DataSetSize("VOC 2012 train_aug", 10_582, Workload(375, 500, 20, 512), 1.555)
COCO = DataSetSize("COCO 2014 train", 82_783, Workload(480, 640, 15, 512, num_classes=80), 2.9)


@dataclass(frozen=True)
class StepFlop:
    """FLOP of one step: forwards through the frozen and the trained part and backwards, for the own views and the auxiliary
    images. The backward pass is of the scales in the objective only; it ends where the frozen part begins."""

    own_frozen: float
    own_trained: float
    own_backward: float
    auxiliary_frozen: float
    auxiliary_trained: float
    auxiliary_backward: float

    def total(self) -> float:
        return sum(asdict(self).values())


@cache
def count_step(workload: Workload, *, on_cpu: bool = False) -> StepFlop:
    """Counts one step of the workload's backbone on tensors without content, with the scales of `RibSettings`.

    on_cpu: with the convolutions of `use_fast_convolutions`, which fill up odd sizes; ResNet-50 has none of these.
    """
    with torch.device("meta"):
        net = build_cam_net(workload.backbone, workload.num_classes)
        if on_cpu:
            use_fast_convolutions(net, "cpu")
        return count_step_of(net, workload)


def count_step_of(net: CamNet, workload: Workload) -> StepFlop:
    """The same of a network that lies on the device "meta"."""
    settings = RibSettings()
    own_frozen = own_trained = own_backward = 0.0
    for scale, size in zip(settings.scales, workload.view_sizes(settings.scales), strict=True):
        frozen, trained, backward = _count_passes(net, torch.empty(2, 3, *size, device="meta"))
        own_frozen, own_trained = own_frozen + frozen, own_trained + trained
        own_backward += backward if scale in settings.loss_scales else 0
    crops = torch.empty(workload.num_auxiliary, 3, workload.crop_side, workload.crop_side, device="meta")
    return StepFlop(own_frozen, own_trained, own_backward, *(_count_passes(net, crops) if len(crops) else (0.0, 0.0, 0.0)))


def _count_passes(net: CamNet, images: Tensor) -> tuple[float, float, float]:
    """Forward through the frozen part, forward through the trained part, backward. Autocast knows no meta tensors."""
    frozen, features = count_flop(lambda: net.frozen(images).detach())
    trained, maps = count_flop(lambda: net.classifier(net.trained(features)))
    backward, _ = count_flop(maps.sum().backward)
    return frozen, trained, backward


def count_flop(work: Callable[[], Any]) -> tuple[float, Any]:
    """FLOP of what `work` does, and what it returns."""
    with FlopCounterMode(display=False) as counter:
        result = work()
    return float(counter.get_total_flops()), result


def reference_flop(step: StepFlop, iterations: int) -> float:
    """The reference code's schedule: every part in each of the K steps."""
    return iterations * step.total()


def study_flop(step: StepFlop, iterations: int, *, bank: bool = False) -> float:
    """`ribstudy.method.rib`: the own views pass the frozen part once, and there are K - 1 updates, as no map shows the K-th.

    With a bank the auxiliary images have passed the frozen part beforehand.
    """
    update = step.own_backward + step.auxiliary_trained + step.auxiliary_backward + (0 if bank else step.auxiliary_frozen)
    return step.own_frozen + iterations * step.own_trained + (iterations - 1) * update


def savings(step: StepFlop, iterations: int) -> dict[str, float]:
    """What is left out of the reference's schedule, in FLOP of one image: what it is -> how much.

    That the view at scale 0.5 carries no graph saves memory and no FLOP: it is not in the objective, so nothing goes back.
    """
    update = step.own_backward + step.auxiliary_frozen + step.auxiliary_trained + step.auxiliary_backward
    return {
        "frozen features of the own views kept": (iterations - 1) * step.own_frozen,
        "last update left out": update,
        "bank of auxiliary features (an option)": (iterations - 1) * step.auxiliary_frozen,
    }


# --- projections --------------------------------------------------------------------------------------------------------


def hours(num_images: int, flop: float, flop_rate: float) -> float:
    """`num_images` adaptations of `flop` each at `flop_rate` FLOP a second."""
    return num_images * flop / flop_rate / 3600


def maps_bytes(data: DataSetSize) -> float:
    """What the raw maps of all steps and scales of a data set need on disk before compression, in float32.

    images x classes in an image x K x (sum over scales of h_s w_s) x 4, with h_s = ceil(H s / 16).
    """
    sizes = data.workload.view_sizes(RibSettings().scales)
    positions = sum(math.ceil(height / STRIDE) * math.ceil(width / STRIDE) for height, width in sizes)
    return data.num_images * data.classes_per_image * data.workload.iterations * positions * 4


@dataclass(frozen=True)
class StageCost:
    """What a stage of a full run takes: FLOP of its networks (None: it runs none but a CRF, on CPU cores), bytes of its result
    before compression."""

    flop: float | None
    num_bytes: float = 0.0


def full_run(data: DataSetSize, settings: Settings, num_val: int) -> dict[str, StageCost]:
    """Each stage once, of all training images under a preset's settings, and the segmentation network on `num_val` images.

    A full run has most of them twice: for the maps of the CAM and of RIB.
    """
    work, images, training = data.workload, data.num_images, settings.segmentation
    step, classes = count_step(work), work.num_classes
    with torch.device("meta"):
        classifier = sum(_count_passes(build_cam_net(work.backbone, classes), _crops(settings.classifier.crop_size)))
        affinity = build_affinity_net(settings.affinity.backbone)
        deeplab = build_deeplab(training.backbone, classes + 1, output_stride=training.output_stride)
    padded = [max(side, settings.walk.pad_to or 0) for side in (work.height, work.width)]
    views = torch.empty(2, 3, *padded, device="meta")
    learned = training.iterations * training.batch_size
    raw = maps_bytes(data)
    return {
        "classifier": StageCost(images * settings.classifier.epochs * classifier),
        "cam": StageCost(images * (step.own_frozen + step.own_trained), 2 * raw / work.iterations),  # signed ones too
        "rib": StageCost(images * study_flop(step, work.iterations), raw),
        "labels": StageCost(None),
        "affinity": StageCost(
            images * settings.affinity.epochs * _count_training(affinity, _crops(settings.affinity.crop_size))
        ),
        "walk": StageCost(images * count_flop(lambda: affinity(views))[0], images * _walked_bytes(data)),
        "masks": StageCost(None),
        "segmentation": StageCost(
            learned * sum(_count_training(deeplab, _crops(training.crop_size, scale)) for scale in training.loss_scales)
        ),
        "scores": StageCost(num_val * _score_flop(deeplab, work, settings), num_val * _score_bytes(work)),
        "predictions": StageCost(None),
    }


def _crops(side: int, scale: float = 1) -> Tensor:
    """One square image without content."""
    return torch.empty(1, 3, int(side * scale), int(side * scale), device="meta")


def _count_training(net: nn.Module, images: Tensor) -> float:
    """Forward and backward."""
    return count_flop(lambda: net(images).sum().backward())[0]


def _score_flop(deeplab: nn.Module, work: Workload, settings: Settings) -> float:
    """Of one image at all scales."""
    num_views = 2 if settings.scores.mirror else 1
    sizes = work.view_sizes(settings.scores.scales)
    with torch.no_grad():
        return sum(count_flop(lambda: deeplab(torch.empty(num_views, 3, *size, device="meta")))[0] for size in sizes)  # noqa: B023


def _walked_bytes(data: DataSetSize) -> float:
    """Of one image: maps in float32 and a boundary in float16 at stride 4."""
    height, width = (math.ceil(side / 4) for side in (data.workload.height, data.workload.width))
    return height * width * (4 * data.classes_per_image + 2)


def _score_bytes(work: Workload) -> float:
    """Of one image: scores of all classes and the background at stride 8, in float16."""
    return math.ceil(work.height / 8) * math.ceil(work.width / 8) * (work.num_classes + 1) * 2


# --- records ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Measurement:
    """The median of n repeats with the smallest and the largest; without a value `note` says why it was not run."""

    value: float | None
    unit: str = ""
    low: float | None = None
    high: float | None = None
    n: int = 0
    note: str = ""

    @classmethod
    def of(cls, values: Sequence[float], unit: str, *, note: str = "") -> "Measurement":
        return cls(float(np.median(values)), unit, float(min(values)), float(max(values)), len(values), note)

    @classmethod
    def not_run(cls, reason: str) -> "Measurement":
        return cls(None, note=reason)

    def __str__(self) -> str:
        """The median; behind it in brackets smallest and largest where there are several."""
        if self.value is None:
            return f"not run: {self.note}" if self.note else "not run"
        spread = f" ({self.low:.3g} to {self.high:.3g})" if self.n > 1 and self.low != self.high else ""
        return f"{self.value:.3g}{spread}"


NOT_RUN = Measurement(None)


@dataclass(frozen=True)
class Bench:
    """One benchmark on one device: what was measured, by name; with which settings, at which commit, when.

    load: the machine's load average before it began; well above 0, something else ran, and the times are too long.
    """

    measurements: dict[str, Measurement]
    settings: dict[str, Any]
    git: dict[str, Any]
    date: str
    load: float


@dataclass(frozen=True)
class Record:
    """All benchmarks of one device. device: slug (its file's name), name, kind (cpu or cuda), cpu, cores, threads, torch."""

    device: dict[str, Any]
    benches: dict[str, Bench]

    def get(self, bench: str, name: str) -> Measurement:
        """A measurement; NOT_RUN where it is not in the record."""
        return self.benches[bench].measurements.get(name, NOT_RUN) if bench in self.benches else NOT_RUN

    def value(self, bench: str, name: str) -> float:
        """Its value; nan where it was not run."""
        value = self.get(bench, name).value
        return math.nan if value is None else value

    def workload(self) -> Workload:
        """What was adapted in the benchmark `adaptation`."""
        known = {field.name for field in fields(Workload)}
        return Workload(**{name: value for name, value in self.benches["adaptation"].settings.items() if name in known})


def write_record(folder: Path, record: Record) -> Path:
    """Writes <folder>/<slug>.json."""
    path = folder / f"{record.device['slug']}.json"
    write_json(path, asdict(record))
    return path


def read_records(folder: Path) -> list[Record]:
    """All records of a folder in the order of their names; none where there is no folder.

    Raises ValueError that names a file which is no record.
    """
    return [_read_record(path) for path in sorted(folder.glob("*.json"))]


def _read_record(path: Path) -> Record:
    try:
        values = json.loads(path.read_text())
        benches = {
            name: Bench(**{**bench, "measurements": {key: Measurement(**m) for key, m in bench["measurements"].items()}})
            for name, bench in values["benches"].items()
        }
        return Record(values["device"], benches)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{path}: is not a record of python -m ribstudy.bench ({error!r})") from None
