"""A slice of the study: the paper's networks and sizes with random weights, on a few synthetic images in the format of VOC.

It shows that every stage from the classifier to the predictions runs on this device, and how fast, with its loaders. It shows
nothing about the method. Stages go through `ribstudy.stages.execute`, so that a slice that was killed resumes where it stopped.
"""

import logging
import shutil
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from ribstudy.bench.measure import Plan, peak_memory
from ribstudy.bench.parity import MODES, PRECISIONS
from ribstudy.bench.records import Measurement
from ribstudy.bench.variants import catching
from ribstudy.config import load_settings
from ribstudy.datasets import synthetic
from ribstudy.datasets.settings import ImageSelection
from ribstudy.datasets.synthetic_drawing import VOC_SIZES, Sizes
from ribstudy.runtime import paths
from ribstudy.stages import STAGES, ItemStage, Run, Stage, execute
from ribstudy.store import Result, Store
from ribstudy.training.files import HISTORY

log = logging.getLogger(__name__)

QUANTITIES = ("images a second", "memory")


@dataclass(frozen=True)
class Size:
    """The numbers of synthetic images, their sizes, and the settings that differ from the preset voc12."""

    num_train_aug: int
    num_adapted: int
    num_val: int
    sizes: Sizes
    changes: dict[str, Any] = field(default_factory=dict)


# Random weights need a smaller rate than the paper's; the stopping rules are off, so that all steps of RIB are taken and timed.
CHANGES = {
    "classifier.epochs": 1,
    "classifier.learning_rate": 1e-3,
    "rib.margin": 1e12,
    "rib.spread_ratio": 1.0,
    "maps": "cam",  # so that the later stages need few images with RIB, which takes most of the time
    "affinity.epochs": 1,
    "segmentation.iterations": 8,
    "segmentation.interval": 8,
    **{f"{training}.weights": None for training in ("classifier", "affinity", "segmentation")},
}
FULL = Size(64, 12, 4, VOC_SIZES)
TINY = Size(
    num_train_aug=8,
    num_adapted=1,
    num_val=1,
    sizes={(96, 64): 1},
    changes={
        **{f"{training}.backbone": "tf_efficientnet_lite0" for training in ("classifier", "affinity", "segmentation")},
        **{f"{training}.batch_size": 2 for training in ("classifier", "affinity", "segmentation", "auxiliary")},
        **{f"{training}.crop_size": 80 for training in ("classifier", "affinity", "segmentation", "auxiliary")},
        **{f"{training}.long_side": [80, 96] for training in ("classifier", "auxiliary")},
        "rib.iterations": 2,
        "segmentation.iterations": 2,
        "walk.pad_to": None,
    },
)


@dataclass(frozen=True)
class Timed:
    """A stage of the slice: its name in the record, the images it is computed for, and the settings that differ."""

    name: str
    stage: str
    split: str = "train_aug"
    limit: int | None = None
    changes: dict[str, Any] = field(default_factory=dict)


def timed_stages(size: Size) -> list[Timed]:
    """The stages in the order in which they are computed. RIB is computed in all modes and precisions of the parity checks."""
    adaptations = [
        Timed(f"rib, {mode}, {precision}", "rib", "train", size.num_adapted, {**settings, "compute.precision": precision})
        for mode, changes in MODES.items()
        for settings in [{f"rib.{name}": value for name, value in changes.items()}]
        for precision in PRECISIONS
    ]
    spread = [Timed(name, name) for name in ("labels", "affinity", "walk", "masks", "segmentation")]
    scored = [Timed(name, name, "val") for name in ("scores", "predictions", "evaluate-predictions")]
    return [Timed("classifier", "classifier"), Timed("cam", "cam"), *adaptations, *spread, *scored]


def settings(plan: Plan) -> dict[str, Any]:
    """The numbers of images, and the settings that differ from the preset voc12."""
    size = _size(plan)
    numbers = {name: getattr(size, name) for name in ("num_train_aug", "num_adapted", "num_val")}
    return {"preset": "voc12", **numbers, "changes": {**CHANGES, **size.changes}}


def run(plan: Plan) -> dict[str, Measurement]:
    """For each stage "<stage>: images a second" in one process, and ": memory", the peak of this process in bytes.

    The time includes the loaders, and their start. A stage that cannot run has the reason, and so have the stages that need it.
    The folder of the results is removed at the end.
    """
    size, folder = _size(plan), paths.RESULTS / "gpu-check"
    data = folder / "VOC2012"
    if not data.is_dir():
        numbers = {"num_train": size.num_adapted, "num_train_aug": size.num_train_aug, "num_val": size.num_val}
        synthetic.write_voc(data, **numbers, sizes=size.sizes)
    found: dict[str, Measurement] = {}
    for timed in timed_stages(size):
        outcome = catching(partial(_measured, timed, _run_of(timed, size, data, folder, plan)))
        if isinstance(outcome, str):
            log.warning("%s: not run: %s", timed.name, outcome)
            outcome = [Measurement.not_run(outcome)] * len(QUANTITIES)
        found |= {f"{timed.name}: {quantity}": value for quantity, value in zip(QUANTITIES, outcome, strict=True)}
    shutil.rmtree(folder)
    return found


def _size(plan: Plan) -> Size:
    return TINY if plan.quick else FULL


def _run_of(timed: Timed, size: Size, data: Path, folder: Path, plan: Plan) -> Run:
    changes = {**CHANGES, **size.changes, **timed.changes, "data.root": str(data)}
    store = Store(folder / "results", published=folder / "published")
    images = ImageSelection(split=timed.split, limit=timed.limit)
    return Run(load_settings("voc12", changes), images, store, given_device=plan.device)


def _measured(timed: Timed, run: Run) -> list[Measurement]:
    """The measurements of `QUANTITIES`."""
    stage = STAGES[timed.stage]
    if run.device != "cpu":
        torch.cuda.reset_peak_memory_stats(run.device)
    result = execute(stage, run, processes=1 if stage.on_gpu or run.device == "cpu" else None)
    number = _num_images(stage, run, result)
    seconds = max(0.01, sum(session["seconds"] for session in result.sessions()))  # they are rounded to hundredths
    rate = Measurement(number / seconds, "images/s", n=1, note=f"{number} images")
    return [rate, Measurement(peak_memory(run.device), "bytes", n=1)]


def _num_images(stage: Stage, run: Run, result: Result) -> int:
    """The number of items of a result; of a training the images of all its steps."""
    if isinstance(stage, ItemStage):
        return len(result.item_names())
    with result.open(HISTORY) as file:
        return int(pd.read_csv(file)["step"].iloc[-1]) * getattr(run.settings, stage.name).batch_size
