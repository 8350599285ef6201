"""Which stage results, under which settings, each chapter shows: what `make book` computes before it runs the chapters."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ribstudy.config import Settings

if TYPE_CHECKING:
    from ribstudy.stages import Run

# Results are reported on the images of train that have masks, whatever images a preset computes maps of.
REPORTED = {"infer.split": "train", "infer.limit": None}
VALIDATION = {"infer.split": "val", "infer.limit": None}
# Choices (learning rate, thresholds) are made on these images, none of which is reported.
TUNING = {"infer.split": "val", "infer.limit": 10}
PAPER = {"rib.mode": "paper"}

WHOLE_STAGES = ("data", "classifier")  # not made of units that several processes could share


def learning_rates(settings: Settings) -> tuple[float, ...]:
    """The learning rates of RIB that are compared: the preset's, and about a third and three times as much."""
    rate = settings.rib.learning_rate
    return (float(f"{0.3 * rate:.2g}"), rate, float(f"{3 * rate:.2g}"))


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


def chapters(settings: Settings) -> dict[str, tuple[Job, ...]]:
    """The jobs of each chapter under a preset's settings."""
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
