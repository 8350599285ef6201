"""The missing results of a plan, and how long it will take to compute them.

A job is done if its results are finished, in the folder of results or published. Then neither the job has to be computed, nor
the results that only this job needs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan

from ribstudy import datasets
from ribstudy.config import Settings
from ribstudy.evaluation.statistics import NOT_KNOWN
from ribstudy.published import PublishedError
from ribstudy.runtime import ranks
from ribstudy.stages.stage import ItemStage, Run, Stage, WholeStage, only_checks, reads_data
from ribstudy.store import Result, Store
from ribstudy.workflow.costs import seconds_per_item
from ribstudy.workflow.job import Job
from ribstudy.workflow.plan import Plan


@dataclass(frozen=True)
class Left:
    """The work that is left of a stage.

    Args:
        stage: the stage.
        results: number of results that lack something.
        items: number of missing items; a training counts as one. None if the data are missing.
        seconds: measured seconds for each item on one core or accelerator; None if nothing was measured.
    """

    stage: Stage
    results: int
    items: int | None
    seconds: float | None

    @property
    def total(self) -> float | None:
        """The expected seconds on one core or accelerator; None if they are not known."""
        return None if self.items is None or self.seconds is None else self.items * self.seconds


def is_done(job: Job, settings: Settings, *, store: Store | None = None) -> bool:
    """Whether everything that a chapter reads of a job is finished, here or published. False if the data are missing.

    Args:
        job: the job.
        settings: its settings.
        store: the results; None: the project's.

    Raises PublishedError if a published file is not the one that was published.
    """
    run = _run(job, settings, store)
    try:
        result = run.result(job.stage)
        if not result.finished:
            return False
        if job.files:
            return all(map(result.has_file, job.files))
        if reads_data(job.stage, settings):  # the images may have to be drawn, for which everything waits
            datasets.prepare(settings.data, processes=ranks.cores())
        return run.is_finished(job.stage)
    except PublishedError:
        raise
    except (ValueError, OSError):  # the job's own process will give the reason
        return False


def origin(job: Job, settings: Settings, *, store: Store | None = None) -> list[str]:
    """Identifies the result of a job that a chapter reads: its key, and the digest of the file in which it is published.

    The digest is empty for a result that is, or has to be, computed here.
    """
    result = _result(job, _run(job, settings, store))
    if result is None:
        return [job.stage.name, "", ""]
    published = result.bundle if not result.computed_here and is_done(job, settings, store=store) else None
    return [result.folder.name, str(job.images), published.record["sha256"] if published else ""]


def left(plan: Plan, *, store: Store | None = None) -> list[Left]:
    """The work that is left of a plan, stage by stage, in the order of the work."""
    pending: dict[str, list[tuple[Job, Run]]] = {}
    planned: dict[str, dict[str, Result]] = {}
    for name, group in plan.groups.items():
        for job in group.jobs:
            result = _result(job, _run(job, plan.settings_of(job), store))
            if result is not None:
                planned.setdefault(group.stage.name, {})[result.folder.name] = result
        for job in plan.pending.get(name, ()):
            if not only_checks(job.stage):
                pending.setdefault(job.stage.name, []).append((job, _run(job, plan.settings_of(job), store)))
    return [_left(jobs, [*planned.get(stage, {}).values()]) for stage, jobs in pending.items()]


def _left(jobs: Sequence[tuple[Job, Run]], results: Sequence[Result]) -> Left:
    """The work that is left of one stage. Its measured times are those of `results`."""
    stage = jobs[0][0].stage
    missing: dict[str, set[str]] = {}
    for job, run in jobs:
        result = _result(job, run)
        if result is None:
            return Left(stage, len(jobs), None, _seconds(stage, results))
        names = run.items(stage) if isinstance(stage, ItemStage) else [stage.name]
        missing.setdefault(result.folder.name, set()).update(result.missing_items(names))
    return Left(stage, len(missing), sum(map(len, missing.values())), _seconds(stage, results))


def _seconds(stage: Stage, results: Sequence[Result]) -> float | None:
    """The mean seconds of an item in the sessions of results: of those in the folder of results, or else of published ones.

    None if no session has finished an item. A training, with all its sessions, counts as one item.
    """
    here = [result for result in results if result.folder.is_dir()]
    for chosen in (here, results):
        sessions = [session for result in chosen for session in _sessions(stage, result)]
        if not isnan(seconds := seconds_per_item(sessions)):
            return seconds
    return None


def _sessions(stage: Stage, result: Result) -> list[dict]:
    """The sessions of a result. All sessions of a finished training count as one."""
    if not isinstance(stage, WholeStage):
        return result.sessions()
    return [{"items": 1, "seconds": sum(session["seconds"] for session in result.sessions())}] if result.finished else []


def left_rows(found: Sequence[Left], *, cores: int, device: str) -> list[tuple[str, ...]]:
    """The rows of a table with a head and a sum: stage, results, items, seconds for each item, minutes on all cores.

    On an accelerator, the stages that use it take turns.
    """
    rows = [("stage", "results left", "items left", "seconds per item", "minutes")]
    minutes = [_minutes(part, 1 if part.stage.on_gpu and device != "cpu" else cores) for part in found]
    for part, value in zip(found, minutes, strict=True):
        items = NOT_KNOWN if part.items is None else str(part.items)
        rows.append((part.stage.name, str(part.results), items, _text(part.seconds, 1), _text(value, 0)))
    known = [value for value in minutes if value is not None]
    more = "at least " if len(known) < len(minutes) else ""
    items = sum(part.items or 0 for part in found)
    total = f"{more}{sum(known):.0f}" if known else NOT_KNOWN
    return [*rows, ("all", str(sum(part.results for part in found)), str(items), "", total)]


def _minutes(part: Left, cores: int) -> float | None:
    return None if part.total is None else part.total / cores / 60


def _text(value: float | None, digits: int) -> str:
    return NOT_KNOWN if value is None else f"{value:.{digits}f}"


def _run(job: Job, settings: Settings, store: Store | None) -> Run:
    return Run(settings, images=job.images, store=store or Store())


def _result(job: Job, run: Run) -> Result | None:
    """The result of a job; None if the data are missing, which are part of its key."""
    try:
        return run.result(job.stage)
    except (ValueError, OSError):
        return None
