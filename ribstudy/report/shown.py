"""The records of all presets that a page about the whole study shows."""

from collections.abc import Mapping
from dataclasses import dataclass

from ribstudy import datasets
from ribstudy.config import preset_name
from ribstudy.evaluation.statistics import Estimate
from ribstudy.report.chapter import Chapter
from ribstudy.report.records import latest_records
from ribstudy.runtime.words import capitalized
from ribstudy.workflow.book import runs_shown_with
from ribstudy.workflow.jobs import CHAPTERS


@dataclass(frozen=True)
class Shown:
    """The records of a preset.

    Args:
        title: its images, in words.
        records: by chapter and by name of the number; chapters without a record are missing.
    """

    title: str
    records: Mapping[str, Mapping[str, Estimate]]

    def of(self, chapter: str) -> Mapping[str, Estimate]:
        """The record of a chapter; {} if it was not run."""
        return self.records.get(chapter, {})


def shown_records(chapter: Chapter) -> list[Shown]:
    """The records of each preset that the page of `chapter` is about (`latest_records`)."""
    shown = []
    for preset, run in runs_shown_with(chapter.preset, chapter.run).items():
        name = chapter.settings_name() if preset == chapter.preset else preset_name(preset)
        title = datasets.title(run.settings.data)
        shown.append(Shown(capitalized(title), latest_records(run.store, name, CHAPTERS)))
    return shown
