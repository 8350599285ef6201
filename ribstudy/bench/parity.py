"""Parity: the same computations on this device and on the CPU, and how much their results may differ.

The CPU in float32 is exact here. Every difference has a tolerance for each precision. On a machine without a GPU, the CPU is
compared with itself, which shows what bf16 changes and that the checks run.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ribstudy import datasets
from ribstudy.bench.measure import Plan
from ribstudy.bench.one_step import PRECISIONS as PRECISIONS_OF_TRAININGS
from ribstudy.bench.one_step import Step, first_step, relative, step_settings
from ribstudy.bench.operations import Workload
from ribstudy.bench.records import Bench, Measurement
from ribstudy.bench.variants import CLASSES, Adaptation, Variant, catching, deviation
from ribstudy.config import Settings
from ribstudy.datasets import synthetic
from ribstudy.datasets.transforms import normalize
from ribstudy.masks.deeplab import predict_logits, probabilities_at
from ribstudy.masks.labelling import mask_of
from ribstudy.masks.random_walk import walk_maps
from ribstudy.method.maps import aggregate, seed_maps
from ribstudy.method.rib import adapt
from ribstudy.method.settings import RibSettings
from ribstudy.models.affinity_net import boundary, build_affinity_net
from ribstudy.models.deeplab import build_deeplab
from ribstudy.training.fit import new_net

# The modes of RIB by name, as settings of `RibSettings`. The slice of the study times these. RIB as the paper writes it takes
# as long as the exact mode.
MODES: dict[str, dict[str, Any]] = {
    "exact": {},
    "fast": {"mode": "fast"},
}
COMPARED_MODES = {**MODES, "as written": {"mode": "paper"}}
PRECISIONS = ("fp32", "tf32", "bf16")
THRESHOLDS = (0.35, 0.17)  # of the masks that the CRF of the affinity labels starts from, as in the preset voc12

# The largest allowed difference, by quantity and precision. A value is rounded to 2^-24 of itself in fp32, 2^-11 in tf32 and
# 2^-8 in bf16, and the layers of a network add up such errors. On a CPU, other kernels change maps by 1e-6, and bf16 by 1e-2
# (benchmark `adaptation`). Gradients, and the difference of two maps, are less exact. A wrong kernel changes either by about 1.
TOLERANCES: dict[str, dict[str, float]] = {
    "maps": {"fp32": 1e-4, "tf32": 2e-2, "bf16": 5e-2},
    "effect of the steps": {"fp32": 1e-3, "tf32": 1e-1, "bf16": 3e-1},
    "CRF input, labels": {"fp32": 1e-3, "tf32": 1e-2, "bf16": 3e-2},
    "second run": dict.fromkeys(PRECISIONS, 0.0),
    "CRF input, probabilities": {"fp32": 1e-4},
    "boundary": {"fp32": 1e-4},
    "walk": {"fp32": 1e-3},
    "loss": {"fp32": 1e-4, "bf16": 2e-2},
    "change of the weights": {"fp32": 1e-2, "bf16": 3e-1},
}


@dataclass(frozen=True)
class Check:
    """A difference between this device and the CPU. value: None if it could not be computed, for the reason in `note`."""

    name: str
    value: float | None
    tolerance: float
    note: str = ""

    @property
    def passed(self) -> bool:
        return self.value is not None and self.value <= self.tolerance

    def __str__(self) -> str:
        if self.value is None:
            return f"{self.name}: not run: {self.note}"
        relation = "at most" if self.passed else "more than"
        return f"{self.name}: differs by {self.value:.2g}, {relation} {self.tolerance:.2g}"


def checks_of(bench: Bench) -> list[Check]:
    """The checks in a measured `run`."""
    tolerances = bench.settings["tolerances"]
    return [Check(name, found.value, tolerances[name], found.note) for name, found in bench.measurements.items()]


def settings(plan: Plan) -> dict[str, Any]:
    """The sizes of the computations, and the tolerance of each check by name."""
    return {**asdict(_workload(plan)), "tolerances": {name: TOLERANCES[of][precision] for name, of, precision in _names()}}


def run(plan: Plan) -> dict[str, Measurement]:
    """The differences by the names of the checks. One that cannot be computed has the reason, and the others are still made."""
    with TemporaryDirectory() as folder:
        root = Path(folder) / "VOC2012"
        batch, size = _workload(plan).num_auxiliary, (96, 64) if plan.quick else (200, 150)
        synthetic.write_voc(root, num_train=batch, num_train_aug=batch, num_val=1, sizes={size: 1})
        found = {
            **_of_adaptations(plan, Path(folder)),
            **_of_networks(plan, root),
            **_of_trainings(plan, root),
        }
    return {name: found[name] for name, _, _ in _names()}


def _names() -> list[tuple[str, str, str]]:
    """(name, quantity, precision) of every check."""
    rows = [
        (f"RIB, {mode}", quantity, precision)
        for mode in COMPARED_MODES
        for precision in PRECISIONS
        for quantity in ("maps", "effect of the steps", "CRF input, labels", "second run")
    ]
    rows += [("DeepLab", "CRF input, probabilities", "fp32"), ("affinity", "boundary", "fp32"), ("affinity", "walk", "fp32")]
    for training, precisions in PRECISIONS_OF_TRAININGS.items():
        rows += [(f"step of {training}", of, p) for p in precisions for of in ("loss", "change of the weights")]
    return [(f"{what}, {precision}: {quantity}", quantity, precision) for what, quantity, precision in rows]


def _workload(plan: Plan) -> Workload:
    """Small enough for a CPU, with sides that strides do not divide. Maps of fewer positions can be negative everywhere."""
    return Workload(60, 90, 2, 32, iterations=3) if plan.quick else Workload(150, 200, 4, 160)


def _measured(name: str, quantities: tuple[str, ...], work: Callable[[], Mapping[str, float]]) -> dict[str, Measurement]:
    """The differences that `work` returns, by the names of the checks; if it raises an error, the reason for each."""
    found = catching(work)
    if isinstance(found, str):
        return {f"{name}: {quantity}": Measurement.not_run(found) for quantity in quantities}
    return {f"{name}: {quantity}": Measurement(value, "difference", n=1) for quantity, value in found.items()}


# RIB


def _of_adaptations(plan: Plan, folder: Path) -> dict[str, Measurement]:
    workload, found = _workload(plan), {}
    quantities = ("maps", "effect of the steps", "CRF input, labels", "second run")
    for mode, changes in COMPARED_MODES.items():
        steps = partial(adapted_maps, changes, workload, folder=folder)
        exact = steps("fp32", device="cpu")
        for precision in PRECISIONS:
            work = partial(_differences_of_runs, partial(steps, precision, device=plan.device), exact, workload)
            found |= _measured(f"RIB, {mode}, {precision}", quantities, work)
    return found


def _differences_of_runs(run: Callable[[], list[Tensor]], exact: list[Tensor], workload: Workload) -> dict[str, float]:
    """The differences of a run's maps from the exact ones, and the largest difference of a second run's from them."""
    first, second = run(), run()
    repeated = max(float((ours - theirs).abs().max()) for ours, theirs in zip(second, first, strict=True))
    return {**differences_of_maps(first, exact, (workload.height, workload.width)), "second run": repeated}


def adapted_maps(mode: Mapping[str, Any], workload: Workload, precision: str, *, device: str, folder: Path) -> list[Tensor]:
    """The maps of every step of an adaptation, per scale [K, n, h, w] on the CPU; weights and inputs have fixed seeds."""
    made = Adaptation(Variant(precision, precision=precision), workload, device, folder)
    limits = {"margin": 1e12, "spread_ratio": 1.0}  # so that all steps are taken
    rib = RibSettings(**{**mode, **limits, "iterations": workload.iterations})
    found = adapt(made.net, made.views, made.labels, made.batches, rib)
    return [torch.stack(maps)[:, list(CLASSES)].cpu() for maps in found.iterates]


def differences_of_maps(ours: list[Tensor], exact: list[Tensor], size: tuple[int, int]) -> dict[str, float]:
    """How the maps of two adaptations differ, per scale [K, n, h, w] of an image of `size`.

    "maps": the largest difference of the summed maps, as a share of each map's maximum. "effect of the steps": the norm of the
    difference of the last map minus the first, relative to this change. "CRF input, labels": the share of pixels with another
    label in the masks that the CRF refines.
    """
    sums, exact_sums = ([aggregate(maps) for maps in each] for each in (ours, exact))
    masks, exact_masks = (_masks(maps, size) for maps in (sums, exact_sums))
    return {
        "maps": deviation([maps.numpy() for maps in sums], [maps.numpy() for maps in exact_sums])[0],
        "effect of the steps": relative(_effect(ours), _effect(exact)),
        "CRF input, labels": float((masks != exact_masks).mean()),
    }


def _effect(steps: list[Tensor]) -> dict[str, Tensor]:
    return {str(scale): maps[-1] - maps[0] for scale, maps in enumerate(steps)}


def _masks(maps: list[Tensor], size: tuple[int, int]) -> np.ndarray:
    scores = seed_maps(maps, size).numpy()
    return np.stack([mask_of(scores, np.arange(len(scores)), threshold) for threshold in THRESHOLDS])


# The other networks


def _of_networks(plan: Plan, root: Path) -> dict[str, Measurement]:
    of = _step_settings(plan, root)
    dataset = datasets.open_dataset(of.data, "val")
    picture = dataset.image(dataset.names[0])

    def deeplab() -> dict[str, float]:
        ours, exact = (crf_probabilities(picture, of, device) for device in (plan.device, "cpu"))
        return {"CRF input, probabilities": float((ours - exact).abs().max())}

    def affinity() -> dict[str, float]:
        ours, exact = (walked(picture, of, device) for device in (plan.device, "cpu"))
        return {name: float((ours[name] - exact[name]).abs().max() / exact[name].max()) for name in exact}

    return {
        **_measured("DeepLab, fp32", ("CRF input, probabilities",), deeplab),
        **_measured("affinity, fp32", ("boundary", "walk"), affinity),
    }


def crf_probabilities(picture: np.ndarray, of: Settings, device: str) -> Tensor:
    """The probabilities [C, H, W] that the CRF of the predictions starts from, by a DeepLab with random weights."""
    own, scores = of.segmentation, of.scores
    net = new_net(partial(build_deeplab, own.backbone, output_stride=own.output_stride), seed=0, device=device)
    net = net.to(device).eval()
    logits = predict_logits(net, picture, scales=scores.scales, flip=scores.mirror, fusion=scores.fusion)
    return probabilities_at(logits, picture.shape[:2])


def walked(picture: np.ndarray, of: Settings, device: str) -> dict[str, Tensor]:
    """The boundary [h, w] by an affinity network with random weights, and the walk of random maps [2, h, w] over it."""
    net = new_net(partial(build_affinity_net, of.affinity.backbone), seed=0, device=device).to(device).eval()
    edges = boundary(net, normalize(picture, net.normalization).to(device), pad_to=None)
    maps = torch.rand(2, *edges.shape, generator=torch.Generator().manual_seed(0)).to(device)
    return {"boundary": edges.cpu(), "walk": walk_maps(maps, edges, **of.walk.model_dump(exclude={"pad_to"})).cpu()}


# Trainings


def _step_settings(plan: Plan, root: Path) -> Settings:
    backbones = {"classifier": "resnet50", "affinity": "resnet50", "segmentation": "resnet101"}
    if plan.quick:  # to write the checkpoints of a ResNet takes longer than a tiny step
        backbones = dict.fromkeys(backbones, plan.workload.backbone)
    crop = 80 if plan.quick else 160
    return step_settings(root, batch_size=_workload(plan).num_auxiliary, crop_size=crop, backbones=backbones)


def _of_trainings(plan: Plan, root: Path) -> dict[str, Measurement]:
    of, found = _step_settings(plan, root), {}
    for training, precisions in PRECISIONS_OF_TRAININGS.items():
        exact = first_step(training, of, precision="fp32", device="cpu")
        for precision in precisions:
            step = partial(first_step, training, of, precision=precision, device=plan.device)
            work = partial(_differences_of_steps, step, exact)
            found |= _measured(f"step of {training}, {precision}", ("loss", "change of the weights"), work)
    return found


def _differences_of_steps(step: Callable[[], Step], exact: Step) -> dict[str, float]:
    loss, change = step()
    return {"loss": abs(loss - exact[0]) / abs(exact[0]), "change of the weights": relative(change, exact[1])}
