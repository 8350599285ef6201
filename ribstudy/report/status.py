"""The status page: every job of the book and the state of its result, and the spot check of the published results."""

from collections.abc import Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any

from ribstudy.config import Settings
from ribstudy.report.chapter import Chapter
from ribstudy.stages import STAGES, Run, of_images, status
from ribstudy.stages.source import other_code
from ribstudy.store import Store, commit_name
from ribstudy.workflow.jobs import Job
from ribstudy.workflow.planned import planned_jobs
from ribstudy.workflow.spot_check import Check, tolerance_of

OTHER_CODE = "by other code"


def job_rows(chapter: Chapter) -> list[dict[str, Any]]:
    """A row for each job of all chapters, under the settings of `chapter`. Reads records and computes nothing."""
    return [_row(job, run, chapter.settings) for job, run in planned_jobs(chapter.preset, chapter.overrides, chapter.run)]


def _row(job: Job, run: Run, preset: Settings) -> dict[str, Any]:
    changed = [name for name in job.overrides if _differs(name, run.settings, preset)]
    found, result = status(job.stage, run), run.result(job.stage)
    record = result.record() if result.finished else {}
    return {
        "stage": job.stage.name,
        "images": str(job.images) if of_images(job.stage) else "",
        "changed": ", ".join(f"{name} = {job.overrides[name]}" for name in changed),
        "state": found["state"],
        "code": OTHER_CODE if result.finished and other_code(job.stage, result) else "",
        "seconds": round(found["seconds"]),
        "device": record.get("device", ""),
        "machine": record.get("machine", ""),
        "key": found["key"],
        "finished": _minute(record.get("finished", "")),
        "commit": commit_name(record.get("git", {})),
        "published": _minute(record.get("published", {}).get("date", "")),
    }


def _differs(name: str, settings: Settings, others: Settings) -> bool:
    value_of = attrgetter(name.removesuffix(".mode"))  # rib.mode is short for several settings of its section
    return value_of(settings) != value_of(others)


def check_rows(checks: Sequence[Check], store: Store, preset: str) -> list[dict[str, Any]]:
    """A row for each stage with published results of a preset: when and how they were published, and its spot check.

    Args:
        checks: the spot check of the preset.
        store: the store with the published results.
        preset: name or path of the preset.
    """
    entries = [entry for entry in store.published.manifest.values() if Path(preset).stem in entry["presets"]]
    by_stage: dict[str, list[dict]] = {}
    for entry in entries:
        by_stage.setdefault(entry["stage"], []).append(entry)
    return [_check_row(stage, by_stage[stage], checks) for stage in STAGES if stage in by_stage]


def _check_row(stage: str, entries: Sequence[dict], checks: Sequence[Check]) -> dict[str, Any]:
    own = [check for check in checks if check.stage == stage]
    tolerance = tolerance_of(stage)
    return {
        "stage": stage,
        "results": len(entries),
        "MB": round(sum(entry["bytes"] for entry in entries) / 1e6, 2),
        "published": max(entry["published"]["date"][:10] for entry in entries),
        "commit": _unique(entry["published"]["commit"][:10] for entry in entries),
        "machine": _unique(entry["machine"].rpartition(", ")[0] for entry in entries),  # without the system
        "rechecked": len(own),
        "largest deviation": max((check.difference.size for check in own), default=None),
        "tolerance": "none" if tolerance is None else tolerance,
    }


def _unique(texts) -> str:
    return ", ".join(sorted(set(texts)))


def _minute(time: str) -> str:
    return time[:16].replace("T", " ")
