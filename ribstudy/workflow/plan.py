"""The plan of a batch: every job once, in groups that one process computes, in an order that respects the needs of each.

The Snakefile makes one rule of every group, and asks only for those that are pending.
"""

import json
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from ribstudy.config import Settings, load_settings
from ribstudy.datasets.settings import ImageSelection
from ribstudy.runtime.files import digest
from ribstudy.stages.stage import ItemStage, Stage, WholeStage, of_images, result_key
from ribstudy.workflow.batch import Batch, BatchRun
from ribstudy.workflow.book import chapters_of
from ribstudy.workflow.job import Job
from ribstudy.workflow.jobs import CHAPTERS


@dataclass(frozen=True)
class PlannedJob(Job):
    """A job, with the preset from which its overrides differ."""

    preset: str = ""


@dataclass(frozen=True)
class JobGroup:
    """Jobs that one process computes one after another.

    Args:
        name: name of the file that marks the group as done; equal jobs have equal names in every batch.
        stage: the stage of the command.
        jobs: the jobs, in order. Those of other stages come first; the command computes them because its own jobs need them.
        after: the groups that have to be done before, because it needs their results or works on the same result.
    """

    name: str
    stage: Stage
    jobs: tuple[PlannedJob, ...]
    after: tuple[str, ...]

    @property
    def scattered(self) -> bool:
        """Whether several processes can share its images."""
        return of_images(self.stage)

    @property
    def gpus(self) -> int:
        return int(any(job.stage.on_gpu for job in self.jobs))

    @property
    def command(self) -> str:
        """The arguments of `python -m ribstudy`."""
        jobs = [job for job in self.jobs if job.stage is self.stage]
        texts = [{name: _yaml(value) for name, value in job.overrides.items()} for job in jobs]
        common = {name: text for name, text in texts[0].items() if all(other.get(name) == text for other in texts)}
        words = [self.stage.name, "--preset", jobs[0].preset]
        for name, text in common.items():
            words += ["--set", f"{name}={text}"]
        same_images = len({str(job.images) for job in jobs}) == 1
        if self.scattered and same_images:
            words += ["--images", str(jobs[0].images)]
        if len(jobs) > 1:
            for job in jobs:
                own = {name: value for name, value in job.overrides.items() if name not in common}
                words += ["--each", _yaml(own if same_images else {**own, "images": str(job.images)})]
        return shlex.join(words)


IsDone = Callable[[Job, Settings], bool]


def _never_done(job: Job, settings: Settings) -> bool:
    return False


class Plan:
    """The groups of jobs of a batch, and the order in which they can be done.

    The groups do not depend on the state of the results, so they keep their names while a batch is at work.

    - `groups`: the groups by name; every group comes after the groups that it needs.
    - `shown`: by name of a run, the jobs whose results its notebook shows, under their full settings.
    - `pending`: by name, the groups that have work to do, each with its jobs that are not done. If a job is done, neither the
      job is pending nor the jobs that only it needs.
    - `last`: the runs whose notebooks are executed after all others, because they show the results of the others.
    """

    def __init__(self, batch: Batch, runs: Sequence[BatchRun], *, is_done: IsDone = _never_done):
        """Raises ValueError if the settings of a run are not valid for one of its jobs.

        Args:
            batch: the batch.
            runs: its notebooks, each with its settings.
            is_done: whether the result of a job is finished, for the job's settings.
        """
        self.runs = {run.name: run for run in runs}
        self.groups: dict[str, JobGroup] = {}
        self._makers: dict[str, list[tuple[ImageSelection, str]]] = {}  # by key of a result: planned images and their group
        self._settings = cache(lambda preset, overrides: load_settings(preset, json.loads(overrides)))
        self._keys: dict[tuple[str, str, str], str] = {}  # of results, by the stage, the preset and the overrides
        self.shown: dict[str, tuple[PlannedJob, ...]] = {}
        self.last = []
        for run in runs:
            if run.notebook not in CHAPTERS:
                self.last.append(run.name)
            own = {**batch.root(run.preset), **run.overrides}
            jobs = CHAPTERS[run.notebook](load_settings(run.preset, own)) if run.notebook in CHAPTERS else {}
            self.shown[run.name] = tuple(
                PlannedJob(job.stage, job.images, {**own, **job.overrides}, job.files, run.preset) for job in jobs.values()
            )
            self._add(self.shown[run.name])
        if batch.shards == 1:  # the processes of several shards cannot share what each of them needs
            self._join_chains()
        self.pending = self._pending(is_done)

    def settings_of(self, job: PlannedJob) -> Settings:
        """The settings of a planned job."""
        return self._settings(job.preset, json.dumps(dict(job.overrides)))

    def before(self, run: str) -> list[str]:
        """The runs whose notebooks have to be executed before the notebook of `run`."""
        return [name for name in self.runs if name not in self.last] if run in self.last else []

    def waits(self, group: str) -> list[str]:
        """The pending groups that have to be done before this group."""
        return [name for name in self.groups[group].after if name in self.pending]

    def missing(self, run: str) -> list[str]:
        """The pending groups that the notebook of a run waits for, and all that those wait for, in order."""
        found: set[str] = set()

        def visit(name: str) -> None:
            if name in self.pending and name not in found:
                found.add(name)
                for earlier in self.groups[name].after:
                    visit(earlier)

        for job in self.shown[run]:
            visit(self._planned_maker(job))
        return [name for name in self.groups if name in found]

    def _pending(self, is_done: IsDone) -> dict[str, tuple[PlannedJob, ...]]:
        seen: set[tuple] = set()
        found: dict[str, list[PlannedJob]] = {}

        def visit(job: PlannedJob) -> None:
            identity = (self._key(job), str(job.images), job.files)
            if identity in seen:
                return
            seen.add(identity)
            if not is_done(job, self.settings_of(job)):
                found.setdefault(self._planned_maker(job), []).append(job)
                for need in self._needs(job):
                    visit(need)

        for jobs in self.shown.values():
            for job in jobs:
                visit(job)
        return {name: tuple(found[name]) for name in self.groups if name in found}

    def _add(self, jobs: Sequence[PlannedJob]) -> None:
        """Plans the jobs of a chapter and all jobs that they need, in groups of one stage and the same trained networks."""
        new: dict[tuple[str, str], list[PlannedJob]] = {}
        for job in self._not_planned(jobs):
            new.setdefault((job.stage.name, *self._trainings(job)), []).append(job)
        named = {
            f"{together[0].stage.name}-{digest([self._place(job) for job in together])}": together for together in new.values()
        }
        # Two processes never work on the same result at the same time, since their images may overlap.
        same = {name: [made for job in together for _, made in self._made(job)] for name, together in named.items()}
        for name, together in named.items():
            for job in together:
                self._makers.setdefault(self._key(job), []).append((job.images, name))
        after = {name: _unique([*self._makers_of_needs(together), *same[name]]) for name, together in named.items()}

        def add(name: str) -> None:
            if name not in self.groups:
                for earlier in after[name]:
                    add(earlier)
                self.groups[name] = JobGroup(name, named[name][0].stage, tuple(named[name]), after[name])

        for name in named:
            add(name)

    def _not_planned(self, jobs: Iterable[PlannedJob]) -> list[PlannedJob]:
        """The jobs and all that they need, each once, without those that are planned or that another of them covers."""
        found: dict[tuple[str, str], PlannedJob] = {}

        def visit(job: PlannedJob) -> None:
            if self._maker(job) is None and self._place(job) not in found:
                found[self._place(job)] = job
                for need in self._needs(job):
                    visit(need)

        for job in jobs:
            visit(job)
        by_key: dict[str, list[PlannedJob]] = {}
        for (key, _), job in found.items():
            by_key.setdefault(key, []).append(job)
        covered = {self._place(job) for same in by_key.values() for job in same for other in same if _covers(other, job, same)}
        return [job for place, job in found.items() if place not in covered]

    def _makers_of_needs(self, jobs: Iterable[PlannedJob]) -> list[str]:
        return [self._planned_maker(need) for job in jobs for need in self._needs(job)]

    def _join_chains(self) -> None:
        """Joins each group of items that only one other group waits for with that group, because starting a process takes time.

        The results that a notebook shows stay in groups of their own, and so do trainings.
        """
        shown = {self._planned_maker(job) for jobs in self.shown.values() for job in jobs}
        waiting: dict[str, list[str]] = {}
        for name, group in self.groups.items():
            for earlier in group.after:
                waiting.setdefault(earlier, []).append(name)
        into: dict[str, str] = {}
        for name, group in reversed(self.groups.items()):
            (last, *others) = waiting.get(name, [""])
            if last and not others and name not in shown and _can_join(group, self.groups[last]):
                into[name] = into.get(last, last)
        joined: dict[str, list[JobGroup]] = {name: [] for name in self.groups if name not in into}
        for name, group in self.groups.items():
            joined[into.get(name, name)].append(group)
        self.groups = {name: _joined(name, groups, into) for name, groups in joined.items()}
        self._makers = {key: [(images, into.get(name, name)) for images, name in made] for key, made in self._makers.items()}

    def _maker(self, job: PlannedJob) -> str | None:
        """The group that already computes all images of a job."""
        as_a_whole = isinstance(job.stage, WholeStage)
        return next((name for images, name in self._made(job) if as_a_whole or images.covers(job.images)), None)

    def _made(self, job: PlannedJob) -> list[tuple[ImageSelection, str]]:
        """The planned images of a job's result, each with the group that computes them."""
        return self._makers.get(self._key(job), [])

    def _place(self, job: PlannedJob) -> tuple[str, str]:
        return self._key(job), str(job.images) if isinstance(job.stage, ItemStage) else ""

    def _planned_maker(self, job: PlannedJob) -> str:
        """The group that computes a job of the plan."""
        maker = self._maker(job)
        assert maker is not None, job
        return maker

    def _key(self, job: PlannedJob) -> str:
        place = (job.stage.name, job.preset, json.dumps(dict(job.overrides), sort_keys=True))
        if place not in self._keys:
            self._keys[place] = result_key(job.stage, self.settings_of(job))
        return self._keys[place]

    def _needs(self, job: PlannedJob) -> list[PlannedJob]:
        """The jobs whose results a job reads, without the overrides that do not affect them."""
        needs = job.stage.needs(self.settings_of(job))
        return [
            self._pruned(PlannedJob(need.stage, need.images or job.images, job.overrides, preset=job.preset)) for need in needs
        ]

    def _pruned(self, job: PlannedJob) -> PlannedJob:
        """The job without overrides that do not affect its result. The data keep theirs: a preset may have no folder."""
        overrides, key = dict(job.overrides), self._key(job)
        for section in sorted({name.partition(".")[0] for name in overrides} - {"data"}):
            fewer = {name: value for name, value in overrides.items() if name.partition(".")[0] != section}
            if result_key(job.stage, self.settings_of(replace(job, overrides=fewer))) == key:
                overrides = fewer
        images = job.images if of_images(job.stage) else ImageSelection()
        return PlannedJob(job.stage, images, overrides, preset=job.preset)

    def _trainings(self, job: PlannedJob) -> tuple[str, ...]:
        """The keys of all trainings that a job needs. Jobs with the same trainings share a process."""
        if isinstance(job.stage, WholeStage):
            return (self._key(job),)
        return tuple(sorted({key for need in self._needs(job) for key in self._trainings(need)}))


def plan_of_book(
    preset: str, overrides: Mapping[str, Any] | None = None, *, data_root: Path | None = None, is_done: IsDone = _never_done
) -> Plan:
    """The plan of all chapters that show a preset, under its settings with `overrides`."""
    batch = Batch(about="all chapters", preset=preset, data_root=data_root)
    runs = [BatchRun(chapter, chapter, preset, dict(overrides or {}), {}) for chapter in chapters_of(preset)]
    return Plan(batch, runs, is_done=is_done)


def _yaml(value: Any) -> str:
    """The value as text of the command line. Signs of any script stay what they are, which YAML reads otherwise than JSON."""
    return json.dumps(value, ensure_ascii=False)


def _covers(job: PlannedJob, other: PlannedJob, order: Sequence[PlannedJob]) -> bool:
    """Whether a job makes another one of the same result unnecessary; of two that cover each other, the first stays."""
    if job is other or not job.images.covers(other.images):
        return False
    return not other.images.covers(job.images) or order.index(job) < order.index(other)


def _can_join(group: JobGroup, other: JobGroup) -> bool:
    """Whether a group of items can be computed by the process of another group, whose jobs need it."""
    return isinstance(group.stage, ItemStage) and group.stage is not other.stage


def _joined(name: str, groups: Sequence[JobGroup], into: Mapping[str, str]) -> JobGroup:
    """One group of several, the last of which gives the command."""
    jobs = tuple(job for group in groups for job in group.jobs)
    after = _unique(into.get(earlier, earlier) for group in groups for earlier in group.after)
    return JobGroup(name, groups[-1].stage, jobs, tuple(earlier for earlier in after if earlier != name))


def _unique(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
