"""Which stage results, under which settings, each chapter shows: what `make book` computes before it runs the chapters.

And the choices in which the reference code and the paper differ or are silent, each one setting.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd
from pandas.io.formats.style import Styler

from ribstudy.config import InferSettings, Settings

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


# From maps to masks; the seeds' thresholds are chosen on the tuning images, that of the walk is the preset's.
_SEEDS = {"masks.walk": False, "masks.threshold": None, "masks.tuning": {"split": "val", "limit": 10, "masked": True}}
STEPS = {
    "seeds": {**_SEEDS, "masks.crf": False},
    "seeds + CRF": {**_SEEDS, "masks.crf": True},
    "walk": {"masks.walk": True, "masks.crf": False},
    "walk + CRF": {"masks.walk": True, "masks.crf": True},
}


def images(chosen: InferSettings) -> dict[str, Any]:
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


@dataclass(frozen=True)
class Deviation:
    """A choice that the reference code makes: where the paper writes something else or nothing, or where it is a defect.

    name: of the ablation, which sets `setting` to `other`; code: the reference code's value; paper: what the paper writes, None
    where it is silent.
    """

    name: str
    setting: str
    code: Any
    paper: Any
    other: Any
    about: str


DEVIATIONS = (
    Deviation("region", "rib.denominator", "map", "region", "region", "what the sum over the region is divided by"),
    Deviation("clamp", "rib.margin_mode", "stop", "clamp", "clamp", "the margin ends the loop, or caps each logit"),
    Deviation("last", "rib.include_last", False, True, True, "whether the maps after the last step are summed too"),
    Deviation("no_spread", "rib.spread_ratio", 0.7, None, 1.0, "the share of covered positions that ends the loop; 1: never"),
    Deviation("spread_all", "rib.spread_scales", "first", None, "all", "scales at which the step that ends so adds a map"),
    Deviation("momentum", "rib.momentum", 1e-4, None, 0.9, "in the code, the weight decay lands in the place of the momentum"),
    Deviation("normalized", "rib.aggregation", "raw", "raw", "normalized", "steps with large logits weigh more, or none does"),
    Deviation("empty", "rib.empty_region", "skip", None, "pool", "a map that is negative everywhere: left out, or pooled"),
    Deviation("first_20", "rib.gndrp_classes", 20, None, 20, "classes that GNDRP is for: COCO's other 60 get GAP in the code"),
    Deviation("gap", "rib.pooling", "gndrp", "gndrp", "gap", "the paper's ablation of GNDRP"),
    Deviation("alone", "auxiliary.batch_size", 20, 20, 0, "other images, whose labels the code maximises too, or none"),
)


def deviations_table() -> Styler:
    """The choices as a table, a row for each ablation; where the paper is silent it shows a dash."""
    rows = [
        {"setting": d.setting, "code": str(d.code), "paper": "–" if d.paper is None else str(d.paper), "ablation": str(d.other)}
        | {"what it decides": d.about}
        for d in DEVIATIONS
    ]
    table = pd.DataFrame(rows, index=[d.name for d in DEVIATIONS])
    return table.style.set_uuid("deviations").set_table_attributes('class="dataframe"')


@dataclass(frozen=True)
class Job:
    """One stage under a preset's settings and `overrides`, to be run when the jobs `after` are done."""

    stage: str
    overrides: dict[str, Any] = field(default_factory=dict)
    after: tuple["Job", ...] = ()


TOY = Job("toy")
DATA = Job("data")
CLASSIFIER = Job("classifier", after=(DATA,))


def maps(stage: str, overrides: dict[str, Any]) -> Job:
    """Maps (stage `cam` or `rib`) of some images."""
    return Job(stage, overrides, after=(CLASSIFIER,))


def masks(settings: Settings) -> tuple[Job, ...]:
    """From the maps of each method to the masks of the training images, and what is reported of the way there."""
    jobs = []
    for source in SOURCES.values():
        chosen = {"maps": source}
        learned = images(settings.affinity.images)
        labels = Job("labels", {**chosen, **learned}, after=(maps(source, learned),))
        affinity = Job("affinity", chosen, after=(labels,))
        seeds = [maps(source, overrides) for overrides in (REPORTED, TUNING)]
        jobs += [Job("walk", {**chosen, **job.overrides}, after=(affinity, job)) for job in seeds]
        jobs.append(Job("masks", {**chosen, **images(settings.segmentation.images)}, after=(affinity, *jobs[-2:])))
    return tuple(jobs)


def predictions(settings: Settings) -> tuple[Job, ...]:
    """Of the networks that each teacher has taught, with and without the CRF."""
    jobs = []
    for taught in TEACHERS.values():
        trained = Job("segmentation", taught, after=masks(settings) if "maps" in taught else (DATA,))
        scores = Job("scores", {**taught, **held_out(settings)}, after=(trained,))
        jobs += [Job("predictions", {**scores.overrides, "predictions.crf": crf}, after=(scores,)) for crf in (False, True)]
    return tuple(jobs)


def chapters(settings: Settings) -> dict[str, tuple[Job, ...]]:
    """The jobs of each chapter under a preset's settings; a page that is not here shows all of them."""
    rates = learning_rates(settings)
    return {
        "01_toy": (TOY,),
        "02_data": (DATA,),
        "03_cam": (CLASSIFIER, maps("cam", REPORTED), maps("cam", VALIDATION)),
        "04_rib": (
            maps("cam", REPORTED),
            maps("rib", REPORTED),
            maps("rib", {**REPORTED, **PAPER}),
            maps("cam", TUNING),
            *(maps("rib", {**TUNING, "rib.learning_rate": rate}) for rate in rates),
            maps("rib", {**TUNING, **PAPER}),
        ),
        "05_masks": masks(settings),
        "06_segmentation": predictions(settings),
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
    from ribstudy.stages import status  # here, since the Snakefile needs the names above without loading torch

    rows = []
    for job in all_jobs(run_with({}).settings):
        run = run_with(job.overrides)
        found = status(job.stage, run)
        result = run.result(job.stage)
        record = result.record() if result.finished else {}
        rows.append(
            {
                "stage": job.stage,
                "changed": ", ".join(f"{name} = {value}" for name, value in job.overrides.items()),
                "state": found["state"],
                "seconds": round(found["seconds"]),
                "device": record.get("device", ""),
                "key": found["key"],
                "finished": record.get("finished", "")[:16].replace("T", " "),
                "commit": commit_name(record.get("git", {})),
            }
        )
    return rows


def commit_name(git: dict[str, Any]) -> str:
    """The commit in short, with a star where there were changes that it does not hold."""
    return (git.get("commit") or "")[:10] + ("*" if git.get("dirty") else "")
