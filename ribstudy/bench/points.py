"""The FLOP of each point of the frontier, for one image of the usual size of the data."""

from collections.abc import Mapping
from functools import cache

import pandas as pd
import torch

from ribstudy.bench.operations import Workload, count_flop
from ribstudy.bench.parts import parts_of, total_flop
from ribstudy.bench.projections import COCO, VOC
from ribstudy.config import Settings
from ribstudy.models.cam_net import build_cam_net
from ribstudy.report.chapter import Chapter
from ribstudy.report.frontier import Measured, num_classes
from ribstudy.workflow.methods import CAM_NAME

SIZES = {"voc12": VOC.workload, "coco14": COCO.workload}  # the median sizes; MiniVOC's images have one size


def workload_of(settings: Settings) -> Workload:
    """The sizes of an adaptation under these settings. Raises ValueError for data whose usual size is not known."""
    data = settings.data
    if data.name == "minivoc":
        height = width = data.minivoc.image_size
    elif data.name in SIZES:
        height, width = SIZES[data.name].height, SIZES[data.name].width
    else:
        known = ", ".join(("minivoc", *SIZES))
        raise ValueError(f"data.name = {data.name}: the usual size of these images is not known; known: {known}")
    auxiliary = settings.auxiliary
    return Workload(height, width, auxiliary.batch_size, auxiliary.crop_size, backbone=settings.classifier.backbone)


def point_flop(maps: str, settings: Settings, *, classes: float, updates: float | None = None) -> float:
    """FLOP of one image's maps.

    Args:
        maps: the name of the stage that computes them.
        settings: of the point.
        classes: their number in an image; methods other than CAM and RIB compute each class by itself.
        updates: the mean number of updates of RIB; None: as many as without early stops.

    Raises ValueError for a stage without such a count.
    """
    work = workload_of(settings)
    if maps == "rib":
        return total_flop(parts_of(work, settings.rib, bank=settings.auxiliary.bank is not None, updates=updates))
    forward, backward = _to_pixels(work.backbone, work.num_classes, tuple(work.view_sizes(settings.cam.scales)))
    if maps in ("cam", "dilated"):
        return forward
    if maps == "baseline":
        return forward + classes * backward
    if maps == "advcam":
        steps = settings.advcam.iterations
        return classes * (steps * forward + (steps - 1) * backward)
    raise ValueError(f"the operations of the stage {maps} are not counted")


def flop_of_points(chapter: Chapter, found: Mapping[str, Measured]) -> dict[str, float]:
    """`point_flop` of every point by name, with the mean numbers of classes and updates of the reported images."""
    if not found:
        return {}
    classes = num_classes(chapter.stored(CAM_NAME, chapter.settings.seed, "reported"))
    return {
        name: point_flop(of.point.maps.name, chapter.variant(of.point.overrides).settings, classes=classes, updates=of.updates)
        for name, of in found.items()
    }


def flop_by_maps(settings: Settings, table: pd.DataFrame) -> pd.DataFrame:
    """The table `gain_by_maps` of RIB with a column `flop`, of one image."""
    flop = [point_flop("rib", settings, classes=1, updates=updates) for updates in table.get("updates", ())]
    return table.assign(flop=flop)


@cache
def _to_pixels(backbone: str, num_classes: int, sizes: tuple[tuple[int, int], ...]) -> tuple[float, float]:
    """FLOP of a forward pass of the views of all sizes, and of the gradient with respect to their pixels."""
    forward = backward = 0.0
    with torch.device("meta"):
        net = build_cam_net(backbone, num_classes).requires_grad_(False)
        for size in sizes:
            views = torch.empty(2, 3, *size, requires_grad=True)
            here, maps = count_flop(lambda views=views: net.classifier(net.trained(net.frozen(views))))
            back, _ = count_flop(maps.sum().backward)
            forward, backward = forward + here, backward + back
    return forward, backward
