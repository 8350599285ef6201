"""GNDRP as tensor operations, and as Python loops over images and classes like the reference code's."""

from collections.abc import Callable

import torch
from torch import Tensor

from ribstudy.bench.measure import BenchError, Plan, ratios, time_in_turn
from ribstudy.bench.records import Measurement
from ribstudy.bench.reference import gndrp_by_loops
from ribstudy.method.pooling import gndrp
from ribstudy.runtime.ranks import threads

TAU = 0.4
SHAPE = (26, 80, 32, 32)  # six views of the image and 20 auxiliary images, COCO's classes, the map of a 512-pixel crop
CLASSES_PER_IMAGE = 1.555  # VOC's mean; the loops skip most of the work for classes without a label
METHODS: dict[str, Callable[[Tensor, Tensor, float], Tensor]] = {
    "loops, labelled maps": gndrp_by_loops,
    "loops, every map": lambda maps, labels, tau: gndrp_map_by_map(maps, labels, tau),
    "study": gndrp,
}


def gndrp_map_by_map(maps: Tensor, labels: Tensor, tau: float) -> Tensor:
    """GNDRP, [N, C, h, w] -> [N, C], in the most obvious way: a loop pools each map, labelled or not."""
    rows = []
    for image, label in zip(maps, labels, strict=True):
        logits = []
        for values, present in zip(image, label, strict=True):
            kept = values.detach() / values.detach().max() < tau if present else torch.ones_like(values)
            logits.append((values * kept).mean())
        rows.append(torch.stack(logits))
    return torch.stack(rows)


def run(plan: Plan) -> dict[str, Measurement]:
    """Seconds of each method on one thread, forward and forward and backward, and the speed-up of the study's."""
    shape = (2, 5, 4, 4) if plan.quick else SHAPE
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(shape, generator=generator).to(plan.device).requires_grad_()
    labels = (torch.rand(shape[:2], generator=generator) < CLASSES_PER_IMAGE / shape[1]).float().to(plan.device)
    _check(maps, labels)
    found = {}
    with threads(1):
        for name, work in (("forward", _forward), ("forward and backward", _forward_and_backward)):
            works = {method: lambda pool=pool, work=work: work(pool, maps, labels) for method, pool in METHODS.items()}
            seconds = time_in_turn(works, repeats=plan.repeats(7), device=plan.device)
            found |= {f"{method}, {name}: seconds": Measurement.of(seconds[method], "s") for method in METHODS}
            for method in (method for method in METHODS if method != "study"):
                found[f"{method}, {name}: speed-up"] = Measurement.of(ratios(seconds[method], seconds["study"]), "times")
    return found


def _forward(pool: Callable, maps: Tensor, labels: Tensor) -> None:
    with torch.no_grad():
        pool(maps, labels, TAU)


def _forward_and_backward(pool: Callable, maps: Tensor, labels: Tensor) -> None:
    maps.grad = None
    (pool(maps, labels, TAU) * labels).sum().backward()


def _check(maps: Tensor, labels: Tensor) -> None:
    logits = [pool(maps, labels, TAU) for pool in METHODS.values()]
    for other in logits[:-1]:
        if not torch.allclose(other, logits[-1], rtol=1e-4, atol=1e-6):
            raise BenchError(f"GNDRP and its loops differ by up to {(other - logits[-1]).abs().max():.2e}")
