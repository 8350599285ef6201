"""Which stage results, under which settings, each chapter shows: what `make book` computes before it runs the chapters.

And the choices in which the reference code and the paper differ or are silent, each one setting.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import pandas as pd
from pandas.io.formats.style import Styler

from ribstudy.config import Settings
from ribstudy.datasets.settings import ImageSelection
from ribstudy.workflow.variants import every_variant, in_words, variants

if TYPE_CHECKING:
    from ribstudy.stages import Run

# Results are reported on the images of train that have masks, whatever images a preset computes maps of.
REPORTED = {"infer.split": "train", "infer.limit": None, "infer.masked": True}
VALIDATION = {**REPORTED, "infer.split": "val"}
# Choices (learning rate, thresholds) are made on these images, none of which is reported.
TUNING = {**VALIDATION, "infer.limit": 10}
PAPER = {"rib.mode": "paper"}

WHOLE_STAGES = ("data", "classifier", "affinity", "segmentation")  # not made of units that several processes could share
SOURCES = {"CAM": "cam", "RIB": "rib"}  # methods whose maps become masks, and the setting `maps` of each
# What a segmentation network is taught by; the true masks, of the images that have one, are the ceiling.
TRUTH = {"segmentation.truth": "dataset", "segmentation.images.masked": True}
TEACHERS = {**{method: {"maps": maps} for method, maps in SOURCES.items()}, "truth": TRUTH}

# Methods that are compared: the stage that makes the maps of each, and its settings. `trained` is what the classifier reads.
_EARLY, _LAST = "frozen", "trained"
METHODS = {
    "CAM": ("cam", {}),
    "Grad-CAM": ("baseline", {"baseline.method": "gradcam", "baseline.layers": [_LAST]}),
    "Grad-CAM, stride 8": ("baseline", {"baseline.method": "gradcam", "baseline.layers": [_EARLY]}),
    "Grad-CAM++": ("baseline", {"baseline.method": "gradcam++", "baseline.layers": [_LAST]}),
    "LayerCAM": ("baseline", {"baseline.method": "layercam", "baseline.layers": [_LAST]}),
    "LayerCAM, two layers": ("baseline", {"baseline.method": "layercam", "baseline.layers": [_EARLY, _LAST]}),
    "AdvCAM": ("advcam", {}),
    "RIB": ("rib", {}),
}
TORCHCAM = {"baseline.method": "cam", "baseline.layers": [_LAST]}  # the CAM once more, by torch-cam


# Chapters of published values, and the preset whose full run each holds against them.
FULL_RUNS = {"10_voc12": "voc12", "11_coco14": "coco14"}

# From maps to masks; the seeds' thresholds are chosen on the tuning images, that of the walk is the preset's.
_SEEDS = {"masks.walk": False, "masks.threshold": None, "masks.tuning": {"split": "val", "limit": 10, "masked": True}}
STEPS = {
    "seeds": {**_SEEDS, "masks.crf": False},
    "seeds + CRF": {**_SEEDS, "masks.crf": True},
    "walk": {"masks.walk": True, "masks.crf": False},
    "walk + CRF": {"masks.walk": True, "masks.crf": True},
}


def images(chosen: ImageSelection) -> dict[str, Any]:
    """The overrides that choose some images."""
    return {f"infer.{name}": value for name, value in chosen.model_dump().items()}


def held_out(settings: Settings) -> dict[str, Any]:
    """The images with masks of val that no threshold was chosen on: segmentation networks are reported on these."""
    tuning = settings.masks.tuning
    return {**VALIDATION, "infer.skip": tuning.limit if tuning and tuning.split == "val" else 0}


def learning_rates(settings: Settings) -> tuple[float, ...]:
    """The learning rates of RIB that are compared: the preset's, and about a third and three times as much."""
    rate = settings.rib.learning_rate
    return (float(f"{0.3 * rate:.2g}"), rate, float(f"{3 * rate:.2g}"))


def deviations_table(settings: Settings) -> Styler:
    """What the reference code does and the paper does not write, a row for each ablation; a dash where the paper is silent."""
    chosen = [variant for variant in every_variant(settings) if variant.deviates]
    rows = [
        {"setting": v.setting, "code": in_words(v.code), "paper": in_words(v.paper), "ablation": in_words(v.value)}
        | {"what it decides": v.about}
        for v in chosen
    ]
    table = pd.DataFrame(rows, index=[v.name for v in chosen])
    return table.style.set_uuid("deviations").set_table_attributes('class="dataframe"')


@dataclass(frozen=True)
class Job:
    """One stage under a preset's settings and `overrides`, to be run when the jobs `after` are done.

    each: the stage is run under each of these besides, one after the other in one process, where starting a process for each
    would take longer than its work.
    """

    stage: str
    overrides: dict[str, Any] = field(default_factory=dict)
    after: tuple["Job", ...] = ()
    each: tuple[dict[str, Any], ...] = ({},)

    def results(self) -> tuple[dict[str, Any], ...]:
        """The overrides of every result that the job makes."""
        return tuple({**self.overrides, **others} for others in self.each)


TOY = Job("toy")


def seeds(settings: Settings) -> range:
    """The seeds of a chapter's repetitions."""
    return range(settings.seed, settings.seed + settings.seeds)


def training_of(overrides: dict[str, Any]) -> dict[str, Any]:
    """The part of some overrides that decides what the classifier learns."""
    return {name: value for name, value in overrides.items() if name == "seed" or name.startswith(("data.", "classifier."))}


def data(overrides: dict[str, Any]) -> Job:
    return Job("data", {name: value for name, value in overrides.items() if name.startswith("data.")})


def classifier(overrides: dict[str, Any]) -> Job:
    return Job("classifier", training_of(overrides), after=(data(overrides),))


def maps(stage: str, overrides: dict[str, Any], *, each: tuple[dict[str, Any], ...] = ({},)) -> Job:
    """What a stage such as `cam` or `rib` makes of some images with the trained classifier; see `Job` for `each`."""
    return Job(stage, overrides, after=(classifier(overrides),), each=each)


def readings(settings: Settings, seed: int) -> dict[str, dict[str, Any]]:
    """The readings of RIB that a repetition is made with: both with the first seed, the reference code's with the others."""
    return {"RIB": {}, "RIB as written": PAPER} if seed == settings.seed else {"RIB": {}}


def rib(settings: Settings) -> tuple[Job, ...]:
    """CAM and RIB on the reported and on the tuning images, for every seed; learning rates for the first."""
    jobs = [maps("rib", TUNING, each=tuple({"rib.learning_rate": rate} for rate in learning_rates(settings)))]
    for seed in seeds(settings):
        changes = readings(settings, seed).values()
        jobs.append(maps("cam", {"seed": seed}, each=(REPORTED, TUNING)))
        jobs.append(
            maps("rib", {"seed": seed}, each=tuple({**of, **changed} for of in (REPORTED, TUNING) for changed in changes))
        )
    return tuple(jobs)


def other_methods(settings: Settings) -> tuple[Job, ...]:
    """Maps by other methods on the images they are compared on and on the tuning images; CAM and RIB as in their chapter."""
    by_torchcam = tuple(overrides for stage, overrides in METHODS.values() if stage == "baseline")
    compared = images(settings.compared)
    explained = ({**of, **method} for of in (compared, TUNING) for method in by_torchcam)
    jobs = [maps("baseline", {}, each=(*explained, {**compared, **TORCHCAM})), maps("advcam", {}, each=(compared, TUNING))]
    return (*jobs, *(maps(stage, {"seed": settings.seed}, each=(REPORTED, TUNING)) for stage in ("cam", "rib")))


def ablation_seeds(settings: Settings) -> range:
    """The seeds that variants are repeated with."""
    return range(settings.seed, settings.seed + settings.ablations.seeds)


def ablations(settings: Settings) -> tuple[Job, ...]:
    """For each seed, in one process, RIB under the preset's choices and under every variant that has adaptations of its own."""
    each = ({}, *(variant.overrides for variant in variants(settings) if not variant.read))
    chosen = images(settings.ablations.images)
    return tuple(maps("rib", {**chosen, "seed": seed}, each=each) for seed in ablation_seeds(settings))


def masks(settings: Settings) -> tuple[Job, ...]:
    """From the maps of each method to the masks of the training images, and what is reported of each step of the way there."""
    learned, taught = images(settings.affinity.images), images(settings.segmentation.images)
    jobs = []
    for source in SOURCES.values():
        chosen = {"maps": source}
        seeds = maps(source, {}, each=(REPORTED, TUNING, learned, taught))
        labels = Job("labels", {**chosen, **learned}, after=(seeds,))
        affinity = Job("affinity", chosen, after=(labels,))
        walk = Job("walk", chosen, after=(affinity, seeds), each=(REPORTED, TUNING, taught))
        scored = tuple({**of, **step} for of in (REPORTED, taught) for step in ({}, *STEPS.values()))
        jobs.append(Job("masks", chosen, after=(walk,), each=scored))
    return tuple(jobs)


def predictions(settings: Settings) -> tuple[Job, ...]:
    """Of the networks that each teacher has taught, with and without the CRF."""
    jobs = []
    for taught in TEACHERS.values():
        trained = Job("segmentation", taught, after=masks(settings) if "maps" in taught else (data({}),))
        scores = Job("scores", {**taught, **held_out(settings)}, after=(trained,))
        crf = tuple({"predictions.crf": crf} for crf in (False, True))
        jobs.append(Job("predictions", scores.overrides, after=(scores,), each=crf))
    return tuple(jobs)


def tied(settings: Settings) -> dict[str, dict[str, Any]]:
    """Images of the class that has a tied background, in the data set without it and in its twin with it; empty: not run."""
    chosen = settings.bottleneck
    if chosen.tied is None or settings.data.name != "minivoc":
        return {}
    of_class = {"infer.split": "train_aug", "infer.limit": chosen.num_tied, "infer.masked": True}
    of_class["infer.class_name"] = chosen.tied.class_name
    return {"as drawn": of_class, "tied": {**of_class, "data.root": None, "data.minivoc.tied": chosen.tied.model_dump()}}


def bottleneck(settings: Settings) -> tuple[Job, ...]:
    """Gradients and logits of some images, maps of the twins with a tied background, and CAM and RIB as in their chapter."""
    jobs = [maps("bottleneck", images(settings.bottleneck.images)), *(maps("rib", twin) for twin in tied(settings).values())]
    jobs += [maps(stage, {"seed": seed}, each=(REPORTED, TUNING)) for seed in seeds(settings) for stage in ("cam", "rib")]
    return tuple(jobs)


def chapters(settings: Settings) -> dict[str, tuple[Job, ...]]:
    """The jobs of each chapter under a preset's settings; a page that is not here shows what the others have left."""
    return {
        "01_toy": (TOY,),
        "02_data": (data({}),),
        "03_cam": (classifier({}), maps("cam", {}, each=(REPORTED, VALIDATION))),
        "04_rib": rib(settings),
        "05_masks": masks(settings),
        "06_segmentation": predictions(settings),
        "07_ablations": ablations(settings),
        "08_other_methods": other_methods(settings),
        "09_bottleneck": bottleneck(settings),
        "own_data": (),  # computes its small example by itself, under a preset of its own
        "costs": (),
    }


def all_jobs(settings: Settings) -> list[Job]:
    """The jobs of all chapters and what they come after, each once, in an order in which they can be run."""
    jobs: list[Job] = []

    def add(job: Job) -> None:
        for earlier in job.after:
            add(earlier)
        if job not in jobs:
            jobs.append(job)

    for chapter_jobs in chapters(settings).values():
        for job in chapter_jobs:
            add(job)
    return jobs


def job_rows(run_with: Callable[[dict[str, Any]], "Run"]) -> list[dict[str, Any]]:
    """A row for each job: what there is of its result, read from the records. `run_with` gives the run with overrides."""
    from ribstudy.stages import status, work_key  # here, since they come with torch, and the names above are needed without

    rows, seen = [], set()
    own = run_with({}).settings
    made = [(job, overrides) for job in all_jobs(own) for overrides in job.results()]
    for job, overrides in made:
        run = run_with(overrides)
        work = work_key(job.stage, run.settings)
        if work in seen:  # the same under another name: the preset's own seed
            continue
        seen.add(work)
        changed = [name for name in overrides if _differs(name, run.settings, own)]
        found = status(job.stage, run)
        result = run.result(job.stage)
        record = result.record() if result.finished else {}
        rows.append(
            {
                "stage": job.stage,
                "changed": ", ".join(f"{name} = {overrides[name]}" for name in changed),
                "state": found["state"],
                "seconds": round(found["seconds"]),
                "device": record.get("device", ""),
                "key": found["key"],
                "finished": record.get("finished", "")[:16].replace("T", " "),
                "commit": commit_name(record.get("git", {})),
            }
        )
    return rows


def _differs(name: str, settings: Settings, others: Settings) -> bool:
    value_of = attrgetter(name.removesuffix(".mode"))  # rib.mode stands for several settings of its section
    return value_of(settings) != value_of(others)


def commit_name(git: dict[str, Any]) -> str:
    """The commit in short, with a star where there were changes that it does not hold."""
    return (git.get("commit") or "")[:10] + ("*" if git.get("dirty") else "")
