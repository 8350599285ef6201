"""The results that all chapters show under the settings of a preset, by name, each with the runs that compute it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from ribstudy import datasets
from ribstudy.config import load_settings
from ribstudy.stages import ItemStage, Run, Stage, WholeStage
from ribstudy.stages.stage import only_checks, reads_data
from ribstudy.training.files import WEIGHTS
from ribstudy.workflow.job import Job
from ribstudy.workflow.plan import plan_of_book


@dataclass(frozen=True, eq=False)
class PlannedResult:
    """A result that chapters show, or that such a result needs.

    Args:
        stage: its stage.
        runs: the runs that compute it. Their images differ.
    """

    stage: Stage
    runs: tuple[Run, ...]

    @cached_property
    def run_of(self) -> Mapping[str, Run]:
        """A run that computes an item, by item name."""
        return {name: run for run in reversed(self.runs) for name in run.items(self.stage)}

    @property
    def has_pictures(self) -> bool:
        """Whether the images that the computation reads, if any, are at hand."""
        settings = self.runs[0].settings
        return not reads_data(self.stage, settings) or datasets.has_pictures(settings.data)

    @property
    def trainings(self) -> set[str]:
        """The names of the trainings whose weights the computation of an item reads."""
        return set(_trainings(self.stage, self.runs[0]))

    @property
    def choices(self) -> dict[str, list[str]]:
        """The items of other images that the computation of an item reads, such as those that choose a threshold."""
        found: dict[str, list[str]] = {}
        for stage, run in _choices(self.stage, self.runs[0]):
            found.setdefault(result_name(stage, run), []).extend(run.items(stage))
        return found


def planned_jobs(preset: str, overrides: Mapping[str, Any], run: Run) -> list[tuple[Job, Run]]:
    """Every job of the chapters that show a preset, and every job that they need.

    Each with the run that computes it in the store of `run`.
    """
    jobs = [job for group in plan_of_book(preset, overrides).groups.values() for job in group.jobs]
    runs = (replace(run, settings=load_settings(preset, {**overrides, **job.overrides})) for job in jobs)
    return [(job, run.with_images(job.images)) for job, run in zip(jobs, runs, strict=True)]


def planned_results(preset: str, overrides: Mapping[str, Any], run: Run) -> dict[str, PlannedResult]:
    """All results of `planned_jobs` by name (<stage>-<key>), without stages that only check their inputs."""
    found: dict[str, list[tuple[Stage, Run]]] = {}
    for job, its_run in planned_jobs(preset, overrides, run):
        if not only_checks(job.stage):
            found.setdefault(result_name(job.stage, its_run), []).append((job.stage, its_run))
    return {name: PlannedResult(same[0][0], tuple(its_run for _, its_run in same)) for name, same in found.items()}


def result_name(stage: Stage, run: Run) -> str:
    """The name of a result's folder and of its published file."""
    return f"{stage.name}-{stage.key(run.settings)}"


def is_training(stage: Stage) -> bool:
    return isinstance(stage, WholeStage) and WEIGHTS in stage.files


def _trainings(stage: Stage, run: Run) -> Iterator[str]:
    for need in stage.needs(run.settings):
        if is_training(need.stage):
            yield result_name(need.stage, run)
        elif need.images is None:
            yield from _trainings(need.stage, run)


def _choices(stage: Stage, run: Run) -> Iterator[tuple[ItemStage, Run]]:
    for need in stage.needs(run.settings):
        if not isinstance(need.stage, ItemStage):
            continue
        if need.images is not None:
            yield need.stage, run.of(need)
        else:
            yield from _choices(need.stage, run)
