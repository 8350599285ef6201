"""The stages `evaluate-...`, which score the maps of each image once: at every threshold and after every step.

Chapters, and the choice of a threshold, read these scores and not the maps. Only images with a true mask can be scored. The
data are checked again if masks were added or corrected after the classifier was trained.
"""

from collections.abc import Sequence
from functools import partial
from operator import attrgetter

import numpy as np

from ribstudy.evaluation.map_scores import MapScores, score_maps
from ribstudy.evaluation.mask_scores import mask_confusion
from ribstudy.items import MAP_SCORES
from ribstudy.stages.data import DATA
from ribstudy.stages.images import image_names, open_images
from ribstudy.stages.maps import CAM, RIB
from ribstudy.stages.other_methods import ADVCAM, BASELINE
from ribstudy.stages.requirements import Requirement, masks
from ribstudy.stages.stage import ItemStage, ItemWorker, Run, Stage, after
from ribstudy.stages.walk import WALK


def _map_worker(run: Run, names: Sequence[str], *, stage: Stage) -> ItemWorker:
    """Scores the maps of a stage. Distances are measured from the peak of an image's CAM."""
    dataset, stored, cams = open_images(run), run.stored(stage), run.stored(CAM)
    every_step = run.settings.evaluation.every_step

    def work(name: str) -> MapScores:
        truth, num_classes = dataset.mask(name), len(dataset.class_names)
        return score_maps(stored[name], cams[name], truth, num_classes=num_classes, every_step=every_step)

    return work


def _mask_worker(run: Run, names: Sequence[str], *, stage: Stage) -> ItemWorker:
    """Compares the masks of a stage with the true masks."""
    dataset, stored = open_images(run), run.stored(stage)

    def work(name: str) -> dict[str, np.ndarray]:
        return {"confusion": mask_confusion(dataset.mask(name), stored[name], len(dataset.class_names))}

    return work


SELECTIONS = ("choices", "compared", "ablations.images")  # settings that select images to score


def _requirements(run: Run) -> list[Requirement]:
    chosen_by = next((name for name in SELECTIONS if attrgetter(name)(run.settings) == run.images), "images")
    remedy = "select only such images (masked=true), add masks, or leave the scores out"
    return [masks(run, chosen_by, run.images, "a score", remedy)]


def evaluation_of_maps(stage: ItemStage) -> ItemStage:
    """The stage that scores the maps of a stage."""
    return ItemStage(
        name=f"evaluate-{stage.name}",
        help=f"score the maps of the stage {stage.name}",
        reads=("evaluation", "data.masks"),
        needs=after(*{stage.name: stage, "cam": CAM}.values(), DATA),
        items=image_names,
        worker=partial(_map_worker, stage=stage),
        format=MAP_SCORES,
        on_gpu=False,
        requires=_requirements,
        scores=stage,
    )


def evaluation_of_masks(stage: ItemStage) -> ItemStage:
    """The stage that scores the masks of a stage."""
    return ItemStage(
        name=f"evaluate-{stage.name}",
        help=f"score the masks of the stage {stage.name}",
        reads=("data.masks",),
        needs=after(stage, DATA),
        items=image_names,
        worker=partial(_mask_worker, stage=stage),
        on_gpu=False,
        requires=_requirements,
        scores=stage,
    )


EVALUATE_CAM = evaluation_of_maps(CAM)
EVALUATE_RIB = evaluation_of_maps(RIB)
EVALUATE_BASELINE = evaluation_of_maps(BASELINE)
EVALUATE_ADVCAM = evaluation_of_maps(ADVCAM)
EVALUATE_WALK = evaluation_of_maps(WALK)

# By the name of the stage whose maps are scored.
MAP_EVALUATIONS = {
    evaluation.scores.name: evaluation
    for evaluation in (EVALUATE_CAM, EVALUATE_RIB, EVALUATE_BASELINE, EVALUATE_ADVCAM, EVALUATE_WALK)
}
