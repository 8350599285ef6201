"""The stage `dilated`, a control for RIB, and the stages `coarse-...`: every method's maps, small enough to be kept."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from ribstudy.evaluation.likeness import coarse_maps
from ribstudy.items import MAPS
from ribstudy.method.maps import dilated
from ribstudy.method.stored_maps import StoredMaps
from ribstudy.stages.evaluate import evaluation_of_maps
from ribstudy.stages.images import image_names
from ribstudy.stages.maps import CAM, RIB
from ribstudy.stages.memory import BASE
from ribstudy.stages.other_methods import ADVCAM, BASELINE
from ribstudy.stages.requirements import map_bytes
from ribstudy.stages.stage import ItemStage, ItemWorker, Run, Stage, after


def _dilated_worker(run: Run, names: Sequence[str]) -> ItemWorker:
    cams, width = run.stored(CAM), run.settings.dilation.width

    def work(name: str) -> StoredMaps:
        cam = cams[name]
        steps = tuple(np.stack([dilated(maps, width) for maps in of_scale]) for of_scale in cam.steps)
        return replace(cam, steps=steps, signed=())

    return work


def _coarse_worker(run: Run, names: Sequence[str], *, stage: Stage) -> ItemWorker:
    stored = run.stored(stage)

    def work(name: str) -> dict[str, np.ndarray]:
        return {"maps": coarse_maps(stored[name])}

    return work


def coarse_of(stage: ItemStage) -> ItemStage:
    """The stage that reduces the maps of a stage to a sixteenth of the image's sides, for comparisons with other methods."""
    return ItemStage(
        name=f"coarse-{stage.name}",
        help=f"the maps of the stage {stage.name} at stride 16",
        reads=(),
        needs=after(stage),
        items=image_names,
        worker=partial(_coarse_worker, stage=stage),
        on_gpu=False,
        memory=lambda run: BASE,
    )


DILATED = ItemStage(
    name="dilated",
    help="the class activation maps after a dilation",
    reads=("dilation",),
    needs=after(CAM),
    items=image_names,
    worker=_dilated_worker,
    format=MAPS,
    on_gpu=False,
    memory=lambda run: BASE,
    item_bytes=lambda run: map_bytes(run, run.settings.cam.scales, 2),
)
EVALUATE_DILATED = evaluation_of_maps(DILATED)
# Constants, because the digest of a stage's code starts at one.
COARSE_CAM = coarse_of(CAM)
COARSE_RIB = coarse_of(RIB)
COARSE_BASELINE = coarse_of(BASELINE)
COARSE_ADVCAM = coarse_of(ADVCAM)
COARSE_DILATED = coarse_of(DILATED)
# By the name of the stage whose maps they reduce.
COARSE = {
    CAM.name: COARSE_CAM,
    RIB.name: COARSE_RIB,
    BASELINE.name: COARSE_BASELINE,
    ADVCAM.name: COARSE_ADVCAM,
    DILATED.name: COARSE_DILATED,
}
