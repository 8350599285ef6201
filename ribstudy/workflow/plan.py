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
from ribstudy.stages.stage import Stage, WholeStage, of_images, result_key
from ribstudy.workflow.batch import Batch, BatchRun
from ribstudy.workflow.jobs import CHAPTERS, Job


@dataclass(frozen=True)
class JobGroup:
    """Jobs of one stage that one process computes one after another.

    Args:
        name: name of the file that marks the group as done; equal jobs have equal names in every batch.
        stage: the stage of all jobs.
        jobs: the jobs, in order.
        after: the groups that cannot run at the same time or later, because it needs their results or shares a result with them.
    """

    name: str
    stage: Stage
    jobs: tuple[Job, ...]
    after: tuple[str, ...]

    @property
    def scattered(self) -> bool:
        """Whether several processes can share its images."""
        return of_images(self.stage)

    @property
    def gpus(self) -> int:
        return int(self.stage.on_gpu)

    def command(self, preset: str) -> str:
        """The arguments of `python -m ribstudy`."""
        texts = [{name: json.dumps(value) for name, value in job.overrides.items()} for job in self.jobs]
        common = {name: text for name, text in texts[0].items() if all(other.get(name) == text for other in texts)}
        words = [self.stage.name, "--preset", preset]
        for name, text in common.items():
            words += ["--set", f"{name}={text}"]
        same_images = len({str(job.images) for job in self.jobs}) == 1
        if self.scattered and same_images:
            words += ["--images", str(self.jobs[0].images)]
        if len(self.jobs) > 1:
            for job in self.jobs:
                own = {name: value for name, value in job.overrides.items() if name not in common}
                words += ["--each", json.dumps(own if same_images else {**own, "images": str(job.images)})]
        return shlex.join(words)


IsDone = Callable[[Job, Settings], bool]


def _never_done(job: Job, settings: Settings) -> bool:
    return False


class Plan:
    """The groups of jobs of a batch, and the order in which they can be done.

    The groups do not depend on what is done already, so they keep their names while a batch is at work.

    - `groups`: the groups by name; every group comes after the groups that it needs.
    - `shown`: by name of a run, the jobs whose results its notebook shows, under their full settings.
    - `pending`: by name, the groups that have work to do, each with its jobs that are not done. A job that is done is not pending,
      and neither is what only such jobs need.
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
        self._root = {"data.root": str(batch.data_root)} if batch.data_root else {}
        self._settings = cache(lambda overrides: load_settings(batch.preset, json.loads(overrides)))
        self.shown: dict[str, tuple[Job, ...]] = {}
        self.last = []
        for run in runs:
            if run.notebook not in CHAPTERS:
                self.last.append(run.name)
            jobs = CHAPTERS[run.notebook](self.settings(run.overrides)) if run.notebook in CHAPTERS else {}
            own = {**self._root, **run.overrides}
            self.shown[run.name] = tuple(replace(job, overrides={**own, **job.overrides}) for job in jobs.values())
            self._add(self.shown[run.name])
        self.pending = self._pending(is_done)

    def settings(self, overrides: dict[str, Any]) -> Settings:
        """The batch's preset and data folder, with `overrides`."""
        return self._settings(json.dumps({**self._root, **overrides}))

    def before(self, run: str) -> list[str]:
        """The runs whose notebooks have to be executed before the notebook of `run`."""
        return [name for name in self.runs if name not in self.last] if run in self.last else []

    def settings_of(self, job: Job) -> Settings:
        """The settings of a planned job."""
        return self.settings(dict(job.overrides))

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

    def _pending(self, is_done: IsDone) -> dict[str, tuple[Job, ...]]:
        seen: set[tuple] = set()
        found: dict[str, list[Job]] = {}

        def visit(job: Job) -> None:
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

    def _add(self, jobs: Sequence[Job]) -> tuple[str, ...]:
        """Plans jobs and all jobs that they need; returns the groups that compute their results."""
        by_training: dict[Any, list[Job]] = {}
        for job in jobs:
            by_training.setdefault((job.stage.name, self._trainings(job)), []).append(job)
        return _unique(name for together in by_training.values() for name in self._add_group(together))

    def _add_group(self, jobs: Sequence[Job]) -> tuple[str, ...]:
        """Plans jobs of one stage for one process, without those that an earlier group covers; returns their groups."""
        new: dict[tuple[str, str], Job] = {}
        names = []
        for job in jobs:
            maker = self._maker(job)
            if maker:
                names.append(maker)
            else:
                new[self._key(job), str(job.images)] = job
        if not new:
            return _unique(names)
        kept = tuple(new.values())
        needs = self._add([need for job in kept for need in self._needs(job)])
        # Two processes never work on the same result at the same time, since their images may overlap.
        same = [name for key, _ in new for _, name in self._makers.get(key, [])]
        name = f"{kept[0].stage.name}-{digest([list(key) for key in new])}"
        self.groups[name] = JobGroup(name, kept[0].stage, kept, _unique([*needs, *same]))
        for (key, _), job in new.items():
            self._makers.setdefault(key, []).append((job.images, name))
        return _unique([*names, name])

    def _maker(self, job: Job) -> str | None:
        """The group that already computes all images of a job."""
        made = self._makers.get(self._key(job), [])
        as_a_whole = isinstance(job.stage, WholeStage)
        return next((name for images, name in made if as_a_whole or images.covers(job.images)), None)

    def _planned_maker(self, job: Job) -> str:
        """The group that computes a job of the plan."""
        maker = self._maker(job)
        assert maker is not None, job
        return maker

    def _key(self, job: Job) -> str:
        return result_key(job.stage, self.settings_of(job))

    def _needs(self, job: Job) -> list[Job]:
        """The jobs whose results a job reads, without the overrides that do not affect them."""
        needs = job.stage.needs(self.settings_of(job))
        return [self._pruned(Job(need.stage, need.images or job.images, job.overrides)) for need in needs]

    def _pruned(self, job: Job) -> Job:
        """The job without overrides that do not affect its result. The data keep theirs: a preset may have no folder."""
        overrides, key = dict(job.overrides), self._key(job)
        for section in sorted({name.partition(".")[0] for name in overrides} - {"data"}):
            fewer = {name: value for name, value in overrides.items() if name.partition(".")[0] != section}
            if result_key(job.stage, self.settings(fewer)) == key:
                overrides = fewer
        images = job.images if of_images(job.stage) else ImageSelection()
        return Job(job.stage, images, overrides)

    def _trainings(self, job: Job) -> tuple[str, ...]:
        """The keys of all trainings that a job needs. Jobs with the same trainings share a process."""
        if isinstance(job.stage, WholeStage):
            return (self._key(job),)
        return tuple(sorted({key for need in self._needs(job) for key in self._trainings(need)}))


def plan_of_book(
    preset: str, overrides: Mapping[str, Any] | None = None, *, data_root: Path | None = None, is_done: IsDone = _never_done
) -> Plan:
    """The plan of all chapters under the settings of a preset, with `overrides`."""
    batch = Batch(about="all chapters", preset=preset, data_root=data_root)
    return Plan(batch, [BatchRun(name, name, dict(overrides or {}), {}) for name in CHAPTERS], is_done=is_done)


def _unique(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
