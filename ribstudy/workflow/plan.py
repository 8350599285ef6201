"""The plan of a batch: every job once, in groups that one process computes, in an order that respects the needs of each.

The Snakefile makes one rule of every group.
"""

import json
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
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
        after: the groups that have to be done before.
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


class Plan:
    """The groups of jobs of a batch, and the order in which they can be done.

    - `groups`: the groups by name; every group comes after the groups that it needs.
    - `shown`: by name of a run, the groups whose results its notebook shows.
    - `last`: the runs whose notebooks are executed after all others, because they show the results of the others.
    """

    def __init__(self, batch: Batch, runs: Sequence[BatchRun]):
        """Raises ValueError if the settings of a run are not valid for one of its jobs."""
        self.runs = {run.name: run for run in runs}
        self.groups: dict[str, JobGroup] = {}
        self._makers: dict[str, list[tuple[ImageSelection, str]]] = {}  # by key of a result: planned images and their group
        self._root = {"data.root": str(batch.data_root)} if batch.data_root else {}
        self._settings = cache(lambda overrides: load_settings(batch.preset, json.loads(overrides)))
        self.shown: dict[str, tuple[str, ...]] = {}
        self.last = []
        for run in runs:
            if run.notebook not in CHAPTERS:
                self.last.append(run.name)
            jobs = CHAPTERS[run.notebook](self.settings(run.overrides)) if run.notebook in CHAPTERS else {}
            own = {**self._root, **run.overrides}
            full = [replace(job, overrides={**own, **job.overrides}) for job in jobs.values()]
            self.shown[run.name] = self._add(full)

    def settings(self, overrides: dict[str, Any]) -> Settings:
        """The batch's preset and data folder, with `overrides`."""
        return self._settings(json.dumps({**self._root, **overrides}))

    def before(self, run: str) -> list[str]:
        """The runs whose notebooks have to be executed before the notebook of `run`."""
        return [name for name in self.runs if name not in self.last] if run in self.last else []

    def needed(self, groups: Iterable[str]) -> list[str]:
        """The given groups and all groups that they need, in order."""
        found: set[str] = set()

        def visit(name: str) -> None:
            if name not in found:
                found.add(name)
                for earlier in self.groups[name].after:
                    visit(earlier)

        for name in groups:
            visit(name)
        return [name for name in self.groups if name in found]

    def _add(self, jobs: Sequence[Job]) -> tuple[str, ...]:
        """Plans the jobs of a chapter and all jobs that they need; returns the groups that compute the chapter's results."""
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

    def _key(self, job: Job) -> str:
        return result_key(job.stage, self.settings(dict(job.overrides)))

    def _needs(self, job: Job) -> list[Job]:
        """The jobs whose results a job reads, without the overrides that do not affect them."""
        needs = job.stage.needs(self.settings(dict(job.overrides)))
        return [self._pruned(Job(need.stage, need.images or job.images, job.overrides)) for need in needs]

    def _pruned(self, job: Job) -> Job:
        """The job without overrides that do not affect its result. Those of the data stay, because a preset may have no folder."""
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


def _unique(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
