"""The change of EfficientNet-Lite0's maps by options that trade precision for speed, on installed photographs.

The benchmark `adaptation` measures the same for ResNet-50 with random weights.
"""

import numpy as np

from ribstudy.bench.measure import Plan, time_once
from ribstudy.bench.records import Measurement
from ribstudy.bench.variants import catching, deviation
from ribstudy.method.settings import ComputeSettings, RibSettings
from ribstudy.models.cam_net import build_imagenet_cam_net
from ribstudy.report import look

NAMES = ("cat", "coffee")
OPTIONS = {"bf16": ComputeSettings(precision="bf16"), "compiled": ComputeSettings(compile=True)}


def run(plan: Plan) -> dict[str, Measurement]:
    """For each option: deviations of the photographs' maps from fp32, the share of pixels that cross the contour, speed-up."""
    settings = look.LOOK_SETTINGS.model_copy(update={"iterations": 2} if plan.quick else {})
    photos = [look.photographs()[name] for name in NAMES[: 1 if plan.quick else None]]
    net = build_imagenet_cam_net()
    one_step = settings.model_copy(update={"iterations": 1})
    classes = [look.class_index(look.explain(net, photo, settings=one_step).class_name) for photo in photos]
    exact, seconds = _explain_all(ComputeSettings(), photos, classes, settings, plan)
    found = {}
    for option, compute in list(OPTIONS.items())[: 1 if plan.quick else None]:
        outcome = catching(lambda compute=compute: _explain_all(compute, photos, classes, settings, plan))
        if isinstance(outcome, str):
            found |= {f"{option}: {quantity}": Measurement.not_run(outcome) for quantity in ("largest deviation", "speed-up")}
            continue
        maps, option_seconds = outcome
        pairs = list(zip(maps, exact, strict=True))
        largest, mean = zip(*(deviation([m[None]], [e[None]]) for m, e in pairs), strict=True)
        flipped = [float(((m > look.CONTOUR) != (e > look.CONTOUR)).mean()) for m, e in pairs]
        found |= {
            f"{option}: largest deviation": Measurement.of(largest, "share of the map's maximum"),
            f"{option}: mean deviation": Measurement.of(mean, "share of the map's maximum"),
            f"{option}: pixels that change sides": Measurement.of(flipped, "share of the pixels", note=f"of {look.CONTOUR}"),
            f"{option}: speed-up": Measurement.of([a / b for a, b in zip(seconds, option_seconds, strict=True)], "times"),
        }
    return found


def _explain_all(
    compute: ComputeSettings, photos: list[np.ndarray], classes: list[int], settings: RibSettings, plan: Plan
) -> tuple[list[np.ndarray], list[float]]:
    """The summed maps [H, W] of the photographs, in 0..1, and the seconds for each, after a first run that is not timed."""
    net = build_imagenet_cam_net().to(plan.device).compute_with(**compute.model_dump())
    look.explain(net, photos[0], classes[0], settings=settings)
    maps: list[np.ndarray] = []
    seconds = [
        time_once(lambda p=photo, i=index: maps.append(look.explain(net, p, i, settings=settings).rib), plan.device)
        for photo, index in zip(photos, classes, strict=True)
    ]
    return maps, seconds
