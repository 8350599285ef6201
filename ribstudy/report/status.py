"""The status page: every job of the book and the state of its result, and the spot check of the published results."""

from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any

from ribstudy import datasets
from ribstudy.config import Settings, preset_name
from ribstudy.datasets.listed import read_listing
from ribstudy.report.chapter import Chapter
from ribstudy.stages import STAGES, Run, of_images, status
from ribstudy.stages.source import other_code
from ribstudy.store import Store, commit_name
from ribstudy.workflow.book import presets_shown_with, runs_shown_with
from ribstudy.workflow.job import Job
from ribstudy.workflow.planned import planned_jobs
from ribstudy.workflow.spot_check import Check, spot_check, tolerance_of

OTHER_CODE = "by other code"


def job_rows(chapter: Chapter) -> list[dict[str, Any]]:
    """A row for each job of all chapters, under the settings of each preset. Reads records and computes nothing."""
    return [
        {"preset": preset_name(preset), **_row(job, job_run, run.settings)}
        for preset, run in runs_shown_with(chapter.preset, chapter.run).items()
        for job, job_run in planned_jobs(preset, _overrides(chapter, preset), run)
    ]


def _overrides(chapter: Chapter, preset: str) -> dict[str, Any]:
    return chapter.overrides if preset == chapter.preset else {}


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


def spot_checks(chapter: Chapter) -> dict[str, list[Check]]:
    """The spot check of each preset, of one image for each stage."""
    store = chapter.run.store
    shown = presets_shown_with(chapter.preset)
    return {preset: spot_check(preset, _overrides(chapter, preset), store, per_stage=1) for preset in shown}


def unchecked_text(chapter: Chapter) -> str:
    """Which presets have published results that cannot be checked, because their photographs are not at hand; "" if none."""
    datas = {run.settings.data.listed: run.settings.data for run in runs_shown_with(chapter.preset, chapter.run).values()}
    missing = [read_listing(name) for name, data in datas.items() if name and not datasets.has_pictures(data)]
    return " ".join(
        f"**Not computed again:** results on {listing.about}, because its photographs are not at hand. To check them too, "
        f"{listing.remedy}, and run this page again."
        for listing in missing
    )


def check_rows(checks: Mapping[str, Sequence[Check]], store: Store) -> list[dict[str, Any]]:
    """A row for each preset and stage with published results: when and how they were published, and their spot check.

    Args:
        checks: the spot check of each preset, by its name or path.
        store: the store with the published results.
    """
    rows = []
    for preset, of_preset in checks.items():
        name, by_stage = preset_name(preset), {}
        for entry in store.published.manifest.values():
            if name in entry["presets"]:
                by_stage.setdefault(entry["stage"], []).append(entry)
        found = [_check_row(stage, by_stage[stage], of_preset) for stage in STAGES if stage in by_stage]
        rows += [{"preset": name, **row} for row in found]
    return rows


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
