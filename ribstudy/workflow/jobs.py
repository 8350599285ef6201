"""The jobs of each chapter. Both the planner and the running notebook read this one declaration.

The declaration of a chapter is a function that takes the settings and returns the chapter's jobs by name. The notebook asks for
a job by this name (`chapter.stored("CAM", 0, "train")`), so it cannot show a result that is not planned.

Chapters read scores of maps and masks. Maps and masks themselves are read only for the few images that are drawn. Every number
that depends on a training is a mean over several trainings (`seeds`), as far as a chapter does not say otherwise.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ribstudy.config import Settings
from ribstudy.datasets.settings import ImageSelection
from ribstudy.evaluation.ablation import DEFAULT
from ribstudy.stages.bottleneck import BOTTLENECK
from ribstudy.stages.classifier import CLASSIFIER
from ribstudy.stages.classifier import VALIDATION as VALIDATION_LOGITS
from ribstudy.stages.data import DATA
from ribstudy.stages.evaluate import MAP_EVALUATIONS
from ribstudy.stages.maps import CAM, RIB
from ribstudy.stages.masks import AGREEMENT, EVALUATE_MASKS
from ribstudy.stages.other_methods import BASELINE
from ribstudy.stages.segmentation import EVALUATE_PREDICTIONS, SEGMENTATION
from ribstudy.stages.stage import ItemStage
from ribstudy.stages.toy import TOY, TOY_CONDITIONS
from ribstudy.stages.walk import LABELS
from ribstudy.training.files import HISTORY
from ribstudy.workflow.frontier import frontier_jobs
from ribstudy.workflow.job import ONE_SUM, Job, Jobs, first_of
from ribstudy.workflow.methods import AS_WRITTEN, BLURRED, BLURRED_RIB, CAM_NAME, OTHER_METHODS, RIB_NAME, TORCHCAM
from ribstudy.workflow.variants import ITERATIONS, base, variants

# Results are reported on the images of train that have masks.
REPORTED = ImageSelection(split="train", masked=True)
# The first reported images, for what is slow for each image: the rule that runs a CRF at several thresholds.
FIRST = ImageSelection(split="train", limit=10, masked=True)
NUM_FOR_RATES = 60  # images of `choices` on which learning rates are compared; each rate is a run of RIB
NUM_EXPLORED = 6  # images of the explorer, whose page contains them
EXPLORED_TAUS = (0.1, 0.2, 0.4, 0.6, 0.8)
NUM_CHECKED = 3  # images on which two implementations of the CAM are compared, pixel by pixel

BLUR_WIDTHS = (0.5, 1.0, 1.5, 2.0, 3.0)  # compared on `choices`; the preset's `controls.blur` is the best of them
PART_METHODS = (CAM_NAME, BLURRED, RIB_NAME)  # of the chapter on the size of the discriminative part
# The training masks of the segmentation networks. True masks, of the images that have one, give the ceiling.
TRUTH = {"segmentation.truth": "dataset", "segmentation.images.masked": True}

# The steps from maps to masks. The threshold of the seeds is chosen on the images of `choices`, the threshold of the walk as
# the preset says.
_SEEDS = {"masks.walk": False, "masks.threshold": None}
STEPS = {
    "seeds": {**_SEEDS, "masks.crf": False},
    "seeds + CRF": {**_SEEDS, "masks.crf": True},
    "walk": {"masks.walk": True, "masks.crf": False},
    "walk + CRF": {"masks.walk": True, "masks.crf": True},
}

# The page of published values, and the presets whose full runs it compares with them.
FULL_RUNS = {"10_full_runs": ("voc12", "coco14")}


def seeds(settings: Settings) -> range:
    """The seeds of a chapter's repetitions."""
    return range(settings.seed, settings.seed + settings.seeds)


def ablation_seeds(settings: Settings) -> range:
    """The seeds with which the ablations are repeated."""
    return range(settings.seed, settings.seed + settings.ablations.seeds)


def splits(settings: Settings) -> dict[str, ImageSelection]:
    """The images on which results are reported, and the images on which choices are made."""
    return {"train": REPORTED, "val": settings.choices}


def rates(settings: Settings) -> tuple[float, ...]:
    """The learning rates of RIB that are compared; the preset's own if it names none."""
    return settings.controls.rates or (settings.rib.learning_rate,)


def readings(settings: Settings) -> dict[str, dict[str, Any]]:
    """RIB as the reference code does it and, unless a preset leaves it out, as the paper writes it, as settings."""
    return {RIB_NAME: {}, **({AS_WRITTEN: {"rib.mode": "paper"}} if settings.controls.as_written else {})}


def methods(settings: Settings) -> dict[str, tuple[ItemStage, dict[str, Any]]]:
    """The methods that the chapter on RIB compares: the stage that scores the maps of each, and its settings.

    RIB in its `readings`, and the control: the CAM blurred, which costs nothing.
    """
    of_cam, of_rib, controls = MAP_EVALUATIONS["cam"], MAP_EVALUATIONS["rib"], settings.controls
    found = {
        CAM_NAME: (of_cam, {}),
        BLURRED: (of_cam, {"cam.blur": controls.blur}),
        RIB_NAME: (of_rib, {}),
        BLURRED_RIB: (of_rib, {"rib.blur": controls.blur, **ONE_SUM}),
    }
    if as_written := readings(settings).get(AS_WRITTEN):
        found[AS_WRITTEN] = (of_rib, {**as_written, "rib.learning_rate": controls.paper_rate or settings.rib.learning_rate})
    return found


def compared_methods(settings: Settings) -> dict[str, tuple[ItemStage, dict[str, Any]]]:
    """The methods that the chapter on other methods compares: the stage that computes the maps of each, and its settings."""
    blurred = (CAM, {"cam.blur": settings.controls.blur})
    return {CAM_NAME: (CAM, {}), BLURRED: blurred, **OTHER_METHODS, RIB_NAME: (RIB, {})}


def sources(settings: Settings) -> dict[str, dict[str, Any]]:
    """The methods whose maps become masks, as settings."""
    return {CAM_NAME: {"maps": "cam"}, BLURRED: {"maps": "cam", "cam.blur": settings.controls.blur}, RIB_NAME: {"maps": "rib"}}


def teachers(settings: Settings) -> dict[str, dict[str, Any]]:
    """The sources of the training masks of segmentation networks, as settings."""
    return {**{method: sources(settings)[method] for method in (CAM_NAME, RIB_NAME)}, "truth": TRUTH}


def held_out(settings: Settings) -> ImageSelection:
    """The images of val with masks on which no threshold was chosen; segmentation networks are reported on them."""
    chosen_here = settings.masks.threshold is None and settings.choices.split == "val"
    return ImageSelection(split="val", masked=True, skip=(settings.choices.limit or 0) if chosen_here else 0)


def tied_twins(settings: Settings) -> dict[str, dict[str, Any]]:
    """The data set as drawn, and its twin in which a background is tied to a class, as settings; empty if neither is needed."""
    tied = settings.bottleneck.tied
    if tied is None or settings.data.name != "minivoc":
        return {}
    return {"as drawn": {}, "tied": {"data.root": None, "data.minivoc.tied": tied.model_dump()}}


def _toy(settings: Settings) -> Jobs:
    return {"toy": Job(TOY), "conditions": Job(TOY_CONDITIONS)}


def _data(settings: Settings) -> Jobs:
    return {"data": Job(DATA)}


def _cam(settings: Settings) -> Jobs:
    jobs: Jobs = {}
    for seed in seeds(settings):
        own = {"seed": seed}
        shown = (HISTORY, VALIDATION_LOGITS) if seed == settings.seed else (VALIDATION_LOGITS,)
        jobs["classifier", seed] = Job(CLASSIFIER, overrides=own, files=shown)
        for split, images in splits(settings).items():
            jobs[split, seed] = Job(MAP_EVALUATIONS["cam"], images, own)
    return jobs


def _rib(settings: Settings) -> Jobs:
    """Every method on the reported images and on `choices`, for each seed; learning rates and blurs on `choices`."""
    of_cam, of_rib = MAP_EVALUATIONS["cam"], MAP_EVALUATIONS["rib"]
    few, jobs = first_of(settings.choices, NUM_FOR_RATES), {}
    for reading, changes in readings(settings).items():
        for rate in rates(settings):
            jobs["learning rate", reading, rate] = Job(of_rib, few, {**changes, "rib.learning_rate": rate})
    for width in BLUR_WIDTHS:
        jobs["blur", width] = Job(of_cam, settings.choices, {"cam.blur": width})
    for seed in seeds(settings):
        for method, (stage, changes) in methods(settings).items():
            for split, images in splits(settings).items():
                jobs[method, seed, split] = Job(stage, images, {"seed": seed, **changes, **_steps(method, seed, settings)})
    return jobs


def _steps(method: str, seed: int, settings: Settings) -> dict[str, Any]:
    """As settings, whether every step is scored: of RIB for every seed, of its other reading only for the first."""
    return ONE_SUM if method == AS_WRITTEN and seed != settings.seed else {}


def _explorer(settings: Settings) -> Jobs:
    """RIB's maps of a few images for several values of tau, at one scale because the page adds no scales."""
    images, one_scale = first_of(REPORTED, NUM_EXPLORED), {"rib.scales": [1.0], "rib.loss_scales": [1.0]}
    return {tau: Job(RIB, images, {**one_scale, "rib.tau": tau}) for tau in EXPLORED_TAUS}


def _masks(settings: Settings) -> Jobs:
    """Every step from maps to masks for each method and seed. Before a CRF, the scores of maps contain those of masks."""
    jobs: Jobs = {"labels": Job(LABELS, FIRST, {"maps": "rib"})}
    for method, maps in sources(settings).items():
        seeds_of_maps = methods(settings)[method]
        for seed in seeds(settings):
            own = {"seed": seed, **maps}
            for split, images in splits(settings).items():
                stage, changes = seeds_of_maps
                jobs["seeds", method, seed, split] = Job(stage, images, {"seed": seed, **changes})
                jobs["walk", method, seed, split] = Job(MAP_EVALUATIONS["walk"], images, own)
            for kind, walk in (("seeds", False), ("walk", True)):
                jobs["agreement", kind, method, seed] = Job(AGREEMENT, FIRST, {**own, "masks.walk": walk})
            for step, changes in STEPS.items():
                if changes["masks.crf"]:
                    jobs["reported", method, step, seed] = Job(EVALUATE_MASKS, REPORTED, {**own, **changes})
    return jobs


def _segmentation(settings: Settings) -> Jobs:
    """The predictions of a network for each source of training masks and each seed, with and without the CRF.

    Only the losses of the first seed's networks are shown.
    """
    images, jobs = held_out(settings), {}
    for teacher, changes in teachers(settings).items():
        jobs["network", teacher] = Job(SEGMENTATION, overrides=changes, files=(HISTORY,))
        for seed in seeds(settings):
            for crf in (False, True):
                jobs[teacher, crf, seed] = Job(EVALUATE_PREDICTIONS, images, {"seed": seed, **changes, "predictions.crf": crf})
    return jobs


def _ablations(settings: Settings) -> Jobs:
    """RIB under the preset's choices and under every variant, for each seed. The curve over the steps needs two of them."""
    changed = {DEFAULT: {}, **{variant.name: variant.overrides for variant in variants(settings)}}
    of_rib, images, jobs = MAP_EVALUATIONS["rib"], settings.ablations.images, {}
    for seed in ablation_seeds(settings):
        for name, changes in changed.items():
            steps = {} if name in (DEFAULT, ITERATIONS) else ONE_SUM
            jobs[name, seed] = Job(of_rib, images, {**base(settings), **changes, "seed": seed, **steps})
    return jobs


def _other_methods(settings: Settings) -> Jobs:
    """Every method on the compared images and on `choices`, for each seed, and some maps of the plain CAM by torch-cam."""
    few = first_of(settings.compared, NUM_CHECKED)
    jobs: Jobs = {"CAM by torch-cam": Job(BASELINE, few, TORCHCAM)}
    for seed in seeds(settings):
        for method, (stage, changes) in compared_methods(settings).items():
            for images, selected in (("compared", settings.compared), ("val", settings.choices)):
                jobs[method, images, seed] = Job(MAP_EVALUATIONS[stage.name], selected, {"seed": seed, **changes})
    return jobs


def _bottleneck(settings: Settings) -> Jobs:
    """Gradients and logits of some images, RIB on both twins, and CAM and RIB as in the chapter on RIB."""
    jobs: Jobs = {
        "bottleneck": Job(BOTTLENECK, settings.bottleneck.images),
        "RIB on val": Job(MAP_EVALUATIONS["rib"], settings.choices),
    }
    for twin, changes in tied_twins(settings).items():
        of_class = ImageSelection(
            split="train_aug",
            limit=settings.bottleneck.num_tied,
            masked=True,
            class_name=settings.bottleneck.tied.class_name,
        )
        jobs["twin", twin] = Job(MAP_EVALUATIONS["rib"], of_class, changes)
    for seed in seeds(settings):
        for split, images in splits(settings).items():
            for method, maps in ((CAM_NAME, "cam"), (RIB_NAME, "rib")):
                jobs[method, seed, split] = Job(MAP_EVALUATIONS[maps], images, {"seed": seed})
    return jobs


def _power(settings: Settings) -> Jobs:
    """The methods of the chapter on RIB on the images for choices, for each seed."""
    return {(method, seed): job for (method, seed, *images), job in _rib(settings).items() if images == ["val"]}


def part_shares(settings: Settings) -> dict[float, dict[str, Any]]:
    """The compared sizes of MiniVOC's discriminative part, each with its settings; empty if the data have no such part."""
    part = settings.discriminative_part
    if part is None or settings.data.name != "minivoc":
        return {}
    own = settings.data.minivoc.part_share
    return {share: {} if share == own else {"data.root": None, "data.minivoc.part_share": share} for share in part.shares}


def _discriminative_part(settings: Settings) -> Jobs:
    """The classifier, and methods of the chapter on RIB, for every size of the part and every seed.

    The preset's own size has the results of that chapter, so that there is one value of RIB's gain.
    """
    of_rib, part, jobs = _rib(settings), settings.discriminative_part, {}
    for share, changes in part_shares(settings).items():
        for seed in seeds(settings):
            jobs["classifier", share, seed] = Job(CLASSIFIER, overrides={**changes, "seed": seed}, files=(VALIDATION_LOGITS,))
            for split, images in {"train": part.images, "val": part.choices}.items():
                for method in PART_METHODS:
                    job = of_rib[method, seed, split]
                    changed = replace(job, images=images, overrides={**job.overrides, **changes})
                    jobs[share, method, seed, split] = changed if changes else job
    return jobs


def _nothing(settings: Settings) -> Jobs:
    return {}


# Pages that are not listed show the results of the others. The pages on own data and on a photograph compute without jobs.
CHAPTERS: dict[str, Callable[[Settings], Jobs]] = {
    "01_toy": _toy,
    "02_data": _data,
    "03_cam": _cam,
    "04_rib": _rib,
    "explorer": _explorer,
    "05_masks": _masks,
    "06_segmentation": _segmentation,
    "07_ablations": _ablations,
    "08_other_methods": _other_methods,
    "09_bottleneck": _bottleneck,
    "discriminative_part": _discriminative_part,
    "power": _power,
    "own_data": _nothing,
    "your_photograph": _nothing,
    "costs": frontier_jobs,
}
