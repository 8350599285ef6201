"""The cost of an adaptation by part: how often each part is computed under some settings, its FLOP and its seconds.

`make bench` measures the seconds of each part once, at the sizes of the benchmark `adaptation`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from ribstudy.bench.loading import Photographs
from ribstudy.bench.measure import Plan, time_once
from ribstudy.bench.operations import StepFlop, Workload, count_flop
from ribstudy.bench.records import Measurement
from ribstudy.bench.variants import Adaptation, Variant
from ribstudy.datasets.transforms import crop_batch, views
from ribstudy.method.adapted import adapted
from ribstudy.method.rib import num_updates
from ribstudy.method.settings import RibSettings
from ribstudy.models.backbones import IMAGENET_STATISTICS
from ribstudy.models.cam_net import CamNet, build_cam_net

AUXILIARY = "auxiliary images"
DECODED, AUXILIARY_DECODED, SET_BACK = "image decoded and resized", f"{AUXILIARY} decoded and cropped", "weights set back"


@dataclass(frozen=True)
class Part:
    """A part of an adaptation. count: how often it is computed for one image; flop: of one time."""

    name: str
    count: float
    flop: float = 0.0

    @property
    def total(self) -> float:
        """The FLOP of all times."""
        return self.count * self.flop


def parts_of(workload: Workload, rib: RibSettings, *, bank: bool = False, updates: float | None = None) -> list[Part]:
    """The parts of an adaptation without early stops.

    Args:
        workload: the sizes; its number of iterations does not count, but that of `rib`.
        bank: the features of the auxiliary images after the frozen layers were computed beforehand.
        updates: the number of updates, such as the mean of images whose loop ended early; None: all.
    """
    counts = partial(_counted, workload.backbone, workload.num_classes, rib.trained, rib.batch_norm)
    return _parts(counts, workload, rib, bank=bank, updates=updates)


def parts_of_net(net: CamNet, workload: Workload, rib: RibSettings) -> list[Part]:
    """Like `parts_of`, for a network on the device "meta"."""
    with adapted(net, rib):
        return _parts(partial(_count, net), workload, rib, bank=False, updates=None)


Counts = Callable[[tuple[int, ...]], tuple[float, float, float, float]]  # from the shape of images, see `_count`


def _parts(counts: Counts, workload: Workload, rib: RibSettings, *, bank: bool, updates: float | None) -> list[Part]:
    updates, found = num_updates(rib) if updates is None else updates, []
    for scale, size in zip(rib.scales, workload.view_sizes(rib.scales), strict=True):
        found += _of_views(counts((2, 3, *size)), f"scale {scale:g}", rib, updates, seen=scale in rib.loss_scales)
    if rib.auxiliary and workload.num_auxiliary:
        frozen, trained, _, backward = counts((workload.num_auxiliary, 3, workload.crop_side, workload.crop_side))
        found += [
            Part(f"frozen layers, {AUXILIARY}", 0 if bank else updates, frozen),
            Part(f"trained layers, {AUXILIARY}", updates, trained),
            Part(f"backward, {AUXILIARY}", updates * _backward_passes(rib), backward),
            Part(AUXILIARY_DECODED, 0 if bank else updates),
        ]
    return [*found, Part(DECODED, 1), Part(SET_BACK, 1)]


def total_flop(parts: list[Part]) -> float:
    return sum(part.total for part in parts)


def grouped_flop(parts: list[Part]) -> dict[str, float]:
    """The FLOP of all times by the fields of `operations.StepFlop`."""
    kinds = {"frozen": "frozen", "trained": "trained", "classifier": "trained", "backward": "backward"}
    found = {field.name: 0.0 for field in fields(StepFlop)}
    for part in parts:
        if part.flop:
            whose = "auxiliary" if part.name.endswith(AUXILIARY) else "own"
            found[f"{whose}_{kinds[part.name.replace(',', '').split()[0]]}"] += part.total
    return found


def _of_views(
    counts: tuple[float, float, float, float], name: str, rib: RibSettings, updates: float, *, seen: bool
) -> Iterator[Part]:
    """The parts of the image's own views at one scale; seen: by the loss."""
    frozen, trained, classifier, backward = counts
    maps = updates + 1
    if rib.path == "line":  # a forward-mode pass computes the maps, and for their change about two passes more
        maps = 3 + seen
    yield Part(f"frozen layers, {name}", 1, frozen)
    if rib.trained == "classifier" and rib.path != "line":  # its input is kept
        yield Part(f"trained layers, {name}", 1, trained)
        yield Part(f"classifier, {name}", maps - 1, classifier)
    else:
        yield Part(f"trained layers, {name}", maps, trained)
    if seen:
        yield Part(f"backward, {name}", updates * _backward_passes(rib), backward)


def _backward_passes(rib: RibSettings) -> int:
    """The number of backward passes of a step: a control has the gradient of another loss too."""
    return 2 if rib.direction in ("gap", "bce") else 1


@cache
def _counted(backbone: str, num_classes: int, trained: str, batch_norm: str, shape: tuple[int, ...]) -> tuple[float, ...]:
    with torch.device("meta"):
        net = build_cam_net(backbone, num_classes)
    with adapted(net, RibSettings(trained=trained, batch_norm=batch_norm)):
        return _count(net, shape)


def _count(net: CamNet, shape: tuple[int, ...]) -> tuple[float, float, float, float]:
    """FLOP of images of this shape through the frozen layers, the others and the classifier alone, and backward."""
    images = torch.empty(*shape, device="meta")
    frozen, features = count_flop(lambda: net.frozen(images).detach())
    below, inputs = count_flop(lambda: net.trained(features))
    classifier, maps = count_flop(lambda: net.classifier(inputs))
    backward, _ = count_flop(maps.sum().backward)
    return frozen, below + classifier, classifier, backward


def run(plan: Plan) -> dict[str, Measurement]:
    """Seconds of each part once, on one thread of a CPU or on the accelerator."""
    threads = torch.get_num_threads()
    if plan.on_cpu:
        torch.set_num_threads(1)
    try:
        with TemporaryDirectory() as folder:
            works = {**_passes(plan), **_loading(plan, Path(folder))}
            repeats = range(1 + plan.repeats(5))
            seconds = {name: [_prepare_and_time(work, plan) for _ in repeats][1:] for name, work in works.items()}
    finally:
        torch.set_num_threads(threads)
    return {name: Measurement.of(of_part, "s") for name, of_part in seconds.items()}


Prepared = Callable[[], Callable[[], object]]  # makes ready, without being timed, and returns the work that is timed


def _prepare_and_time(work: Prepared, plan: Plan) -> float:
    """Seconds of the work that `work` returns."""
    return time_once(work(), plan.device)


def _passes(plan: Plan) -> dict[str, Prepared]:
    """The passes of each scale and of a batch of auxiliary images, forward and backward."""
    adaptation = Adaptation(Variant("study"), plan.workload, plan.device, Path())
    net, settings = adaptation.net, RibSettings()
    images = {f"scale {scale:g}": view for scale, view in zip(settings.scales, adaptation.views, strict=True)}
    images[AUXILIARY] = adaptation.batches[0][0]
    works: dict[str, Prepared] = {}
    for name, batch in images.items():
        features = net.features(batch)
        works[f"frozen layers, {name}"] = lambda batch=batch: partial(net.features, batch)
        works[f"trained layers, {name}"] = lambda features=features: torch.no_grad()(partial(net.maps, features))
        works[f"backward, {name}"] = lambda features=features: net.maps(features).sum().backward
    return works | {SET_BACK: lambda: partial(_set_back, net, settings)}


def _set_back(net: CamNet, settings: RibSettings) -> None:
    with adapted(net, settings):
        pass


def _loading(plan: Plan, folder: Path) -> dict[str, Prepared]:
    """Decoding and resizing of an image at all scales, and of a batch of auxiliary images."""
    work, scales = plan.workload, RibSettings().scales
    dataset = Photographs(folder, (work.height, work.width), number=max(work.num_auxiliary, 1))
    rngs = [np.random.default_rng(place) for place in range(work.num_auxiliary)]
    crop = {"long_side": (work.crop_side * 5 // 8, work.crop_side * 5 // 4), "crop_size": work.crop_side}
    chosen = np.arange(work.num_auxiliary)
    return {
        DECODED: lambda: lambda: views(dataset.image("0"), scales, IMAGENET_STATISTICS),
        AUXILIARY_DECODED: lambda: partial(crop_batch, dataset, chosen, rngs, **crop, normalization=IMAGENET_STATISTICS),
    }
