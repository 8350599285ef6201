"""The published part of each result: the items and files that chapters show, and those that the spot check needs."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

from ribstudy.config import load_settings, preset_name
from ribstudy.stages import STAGES, ItemStage, Run
from ribstudy.stages.stage import only_checks
from ribstudy.workflow.book import chapters_of
from ribstudy.workflow.job import Job
from ribstudy.workflow.jobs import CHAPTERS
from ribstudy.workflow.left import is_done
from ribstudy.workflow.planned import PlannedResult, is_training, result_name


class PublicationError(ValueError):
    """Results cannot be published. The message has one line for each reason."""


@dataclass(frozen=True)
class Content:
    """The part of a result that is published: names of items and of files."""

    items: set[str] = field(default_factory=set)
    files: set[str] = field(default_factory=set)


def reads_file(chapter: str, preset: str, run: Run) -> Path:
    """The file that lists what a chapter read when it was last run with a preset."""
    return run.store.root / "reads" / f"{chapter}.{preset_name(preset)}.json"


def merged(*parts: Mapping[str, Content]) -> dict[str, Content]:
    """The contents of several descriptions together, by name of the result."""
    contents: dict[str, Content] = {}
    for name, part in chain.from_iterable(part.items() for part in parts):
        content = contents.setdefault(name, Content())
        content.items.update(part.items)
        content.files.update(part.files)
    return contents


def read_by_chapters(
    chapters: Sequence[str], preset: str, run: Run, planned: Mapping[str, PlannedResult]
) -> dict[str, Content]:
    """The items and files that the chapters read when they were last run, by name of the result."""
    files = {chapter: reads_file(chapter, preset, run) for chapter in chapters}
    lacking = [chapter for chapter, file in files.items() if CHAPTERS[chapter](run.settings) and not file.is_file()]
    if lacking:
        raise PublicationError(f"chapters that were not run with the preset {preset}: {', '.join(lacking)}")
    contents: dict[str, Content] = {}
    for chapter, file in files.items():
        for read in json.loads(file.read_text()) if file.is_file() else []:
            name = f"{read['stage']}-{read['key']}"
            if read["stage"] in STAGES and only_checks(STAGES[read["stage"]]):
                continue
            if name not in planned:
                raise PublicationError(f"{chapter} has shown {name}, which today's settings do not need; run it again")
            content = contents.setdefault(name, Content())
            content.items.update(read["items"])
            content.files.update(read["files"])
    return contents


def finished(preset: str, overrides: Mapping[str, Any], run: Run) -> dict[str, Content]:
    """The items and files of the chapters' jobs that are there, by name of the result; only of results that are finished."""
    contents: dict[str, Content] = {}
    for job, own in _shown(preset, overrides, run):
        result = own.result(job.stage)
        if not result.finished:
            continue
        content = contents.setdefault(result_name(job.stage, own), Content())
        if isinstance(job.stage, ItemStage):
            content.items.update(filter(result.has_item, own.items(job.stage)))
        else:
            content.files.update(filter(result.has_file, job.stage.files if job.files is None else job.files))
    return contents


def _shown(preset: str, overrides: Mapping[str, Any], run: Run) -> Iterator[tuple[Job, Run]]:
    """The jobs of the preset's chapters, each with its run, apart from mere checks."""
    for chapter in chapters_of(preset):
        for job in CHAPTERS[chapter](run.settings).values():
            if not only_checks(job.stage):
                own = replace(run, settings=load_settings(preset, {**overrides, **job.overrides}))
                yield job, own.with_images(job.images)


def add_weights(contents: dict[str, Content], planned: Mapping[str, PlannedResult], run: Run) -> set[str]:
    """Adds the trainings under the preset's own settings, without variants and further seeds; returns their names.

    Trainings on which none of the contents depends are left out, as in a publication of some chapters.
    """
    used = {training for name in contents for training in planned[name].trainings} | set(contents)
    weights = {name for name in used if is_training(planned[name].stage) and name == result_name(planned[name].stage, run)}
    for name in weights:
        contents.setdefault(name, Content()).files.update(planned[name].stage.files)
    return weights


def add_weights_for_missing(
    contents: dict[str, Content], planned: Mapping[str, PlannedResult], preset: str, overrides: Mapping[str, Any], run: Run
) -> None:
    """Adds the finished trainings on which results depend that chapters show and that are missing."""
    missing = [
        result_name(job.stage, own)
        for job, own in _shown(preset, overrides, run)
        if not is_done(job, own.settings, store=run.store)
    ]
    for name in sorted(set().union(*(planned[of].trainings for of in missing))):
        training = planned[name]
        if training.runs[0].is_finished(training.stage):
            contents.setdefault(name, Content()).files.update(training.stage.files)


def add_choices(contents: dict[str, Content], planned: Mapping[str, PlannedResult], weights: set[str]) -> None:
    """Adds the items of other images that the spot check needs, such as those that choose a threshold."""
    for result in [planned[name] for name in contents]:
        if isinstance(result.stage, ItemStage) and result.trainings <= weights:
            for name, items in result.choices.items():
                contents.setdefault(name, Content()).items.update(items)
