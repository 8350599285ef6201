"""Which stage results, under which settings, each chapter shows: what `make book` computes before it runs the chapters."""

from dataclasses import dataclass, field
from typing import Any

LEARNING_RATES = (1e-4, 3e-4, 1e-3)  # of RIB, compared on val; the preset's is the best of them


@dataclass(frozen=True)
class Job:
    """One stage under a preset's settings and `overrides`, to be run when the jobs `after` are done."""

    stage: str
    overrides: dict[str, Any] = field(default_factory=dict)
    after: tuple["Job", ...] = ()


TOY = Job("toy")
DATA = Job("data")
CLASSIFIER = Job("classifier", after=(DATA,))


def maps(stage: str, overrides: dict[str, Any] | None = None) -> Job:
    """Maps (stage `cam` or `rib`) of the images of a split, train where `overrides` name no other."""
    return Job(stage, overrides or {}, after=(CLASSIFIER,))


CHAPTERS: dict[str, tuple[Job, ...]] = {
    "01_toy": (TOY,),
    "02_data": (DATA,),
    "03_cam": (CLASSIFIER, maps("cam"), maps("cam", {"infer.split": "val"})),
    "04_rib": (
        maps("cam"),
        maps("rib"),
        maps("rib", {"rib.mode": "paper"}),
        maps("cam", {"infer.split": "val"}),
        *(maps("rib", {"infer.split": "val", "rib.learning_rate": rate}) for rate in LEARNING_RATES),
    ),
}


def all_jobs() -> list[Job]:
    """The jobs of all chapters and what they come after, each once, in an order in which they can be run."""
    jobs: list[Job] = []

    def add(job: Job) -> None:
        for earlier in job.after:
            add(earlier)
        if job not in jobs:
            jobs.append(job)

    for chapter_jobs in CHAPTERS.values():
        for job in chapter_jobs:
            add(job)
    return jobs
