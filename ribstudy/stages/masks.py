"""The stage `masks`, which turns maps into pseudo masks, and `agreement`, which compares thresholds without true masks."""

from collections.abc import Sequence

import numpy as np

from ribstudy.config import Settings
from ribstudy.evaluation.metrics import DEFAULT_THRESHOLDS
from ribstudy.evaluation.predictions import predicted_mask
from ribstudy.items import ARRAYS
from ribstudy.items import MASKS as MASK_FORMAT
from ribstudy.masks.labelling import refined_mask
from ribstudy.masks.threshold import AGREEMENT_THRESHOLDS, crf_agreement
from ribstudy.stages.evaluate import MAP_EVALUATIONS, evaluation_of_masks
from ribstudy.stages.images import image_names, open_images
from ribstudy.stages.memory import BASE, of_the_seed_crf
from ribstudy.stages.requirements import Requirement, crf_package, masks
from ribstudy.stages.stage import ItemStage, ItemWorker, Need, Run, Stage
from ribstudy.stages.walk import MAPS_OF, WALK


def scored_stage(settings: Settings) -> Stage:
    """The stage whose maps become masks."""
    return WALK if settings.masks.walk else MAPS_OF[settings.maps]


def _maps_and_scores_of_choices(settings: Settings) -> list[Need]:
    stage = scored_stage(settings)
    chosen_here = settings.masks.threshold is None
    return [Need(stage), *([Need(MAP_EVALUATIONS[stage.name], settings.choices)] if chosen_here else [])]


def _read_sections(settings: Settings) -> tuple[str, ...]:
    return ("masks", "crf", "choices") if settings.masks.threshold is None else ("masks", "crf")


def mask_threshold(run: Run) -> float:
    """The threshold in the settings, or the best threshold on the images of `choices`."""
    from ribstudy.evaluation.sweeps import sweep_scores

    given = run.settings.masks.threshold
    if given is not None:
        return given
    scores = run.stored(MAP_EVALUATIONS[scored_stage(run.settings).name], run.settings.choices)
    return float(DEFAULT_THRESHOLDS[sweep_scores(scores).best()])


def _mask_worker(run: Run, names: Sequence[str]) -> ItemWorker:
    settings, threshold, dataset = run.settings, mask_threshold(run), open_images(run)
    stored = run.stored(scored_stage(settings))

    def work(name: str) -> np.ndarray:
        mask = predicted_mask(stored[name], threshold)
        return refined_mask(dataset.image(name), mask, settings.crf) if settings.masks.crf else mask

    return work


def _requirements(run: Run) -> list[Requirement]:
    settings, choices = run.settings.masks, run.settings.choices
    found = [crf_package("masks.crf")] if settings.crf else []
    if settings.threshold is None:
        remedy = "set masks.threshold to a number, such as 0.27, or choose other images in the section choices"
        found.append(masks(run, "masks.threshold = null", choices, "the choice of a threshold", remedy))
    return found


MASKS = ItemStage(
    name="masks",
    help="pseudo masks, as palette images",
    reads=_read_sections,
    needs=_maps_and_scores_of_choices,
    items=image_names,
    worker=_mask_worker,
    format=MASK_FORMAT,
    memory=lambda run: of_the_seed_crf(run) if run.settings.masks.crf else BASE,
    on_gpu=False,
    requires=_requirements,
    version=2,
)


EVALUATE_MASKS = evaluation_of_masks(MASKS)


def _agreement_worker(run: Run, names: Sequence[str]) -> ItemWorker:
    dataset, crf, stored = open_images(run), run.settings.crf.model_dump(), run.stored(scored_stage(run.settings))

    def work(name: str) -> dict[str, np.ndarray]:
        maps = stored[name].normalized()
        return {"agreement": crf_agreement(dataset.image(name), maps, AGREEMENT_THRESHOLDS, **crf)}

    return work


AGREEMENT = ItemStage(
    name="agreement",
    help="how well masks at several thresholds agree with the CRF, which finds a threshold without true masks",
    reads=("crf",),
    needs=lambda settings: [Need(scored_stage(settings))],
    items=image_names,
    worker=_agreement_worker,
    format=ARRAYS,
    memory=of_the_seed_crf,
    on_gpu=False,
    requires=lambda run: [crf_package("agreement")],
)
