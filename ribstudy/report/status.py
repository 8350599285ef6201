"""The status page: every job of the book and the state of its result."""

from operator import attrgetter
from typing import Any

from ribstudy.config import Settings
from ribstudy.report.chapter import Chapter
from ribstudy.stages import of_images, status
from ribstudy.store import commit_name
from ribstudy.workflow.batch import Batch, BatchRun
from ribstudy.workflow.jobs import CHAPTERS, Job
from ribstudy.workflow.plan import Plan


def job_rows(chapter: Chapter) -> list[dict[str, Any]]:
    """A row for each job of all chapters, under the settings of `chapter`. Reads records and computes nothing."""
    batch = Batch(about="all chapters", preset=chapter.preset)
    plan = Plan(batch, [BatchRun(name, name, chapter.overrides, {}) for name in CHAPTERS])
    return [_row(job, chapter) for group in plan.groups.values() for job in group.jobs]


def _row(job: Job, chapter: Chapter) -> dict[str, Any]:
    run = chapter.variant(job.overrides, job.images)
    changed = [name for name in job.overrides if _differs(name, run.settings, chapter.settings)]
    found, result = status(job.stage, run), run.result(job.stage)
    record = result.record() if result.finished else {}
    return {
        "stage": job.stage.name,
        "images": str(job.images) if of_images(job.stage) else "",
        "changed": ", ".join(f"{name} = {job.overrides[name]}" for name in changed),
        "state": found["state"],
        "seconds": round(found["seconds"]),
        "device": record.get("device", ""),
        "key": found["key"],
        "finished": record.get("finished", "")[:16].replace("T", " "),
        "commit": commit_name(record.get("git", {})),
    }


def _differs(name: str, settings: Settings, others: Settings) -> bool:
    value_of = attrgetter(name.removesuffix(".mode"))  # rib.mode is short for several settings of its section
    return value_of(settings) != value_of(others)
