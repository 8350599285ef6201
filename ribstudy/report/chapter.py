"""The start and the end of a chapter: it checks the parameters, loads or computes results, and writes its record.

A chapter begins with a cell tagged `parameters` whose first line is `# Parameters`. `start` checks the values that this cell
and papermill assign (`parameters.py`), so a mistyped name stops the chapter at once.
"""

import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from functools import partial
from types import MappingProxyType
from typing import Any, BinaryIO

import pandas as pd
from IPython import get_ipython
from IPython.display import Markdown, display
from myst_nb import glue

from ribstudy import datasets
from ribstudy.config import Settings, load_settings, preset_name
from ribstudy.datasets import Dataset
from ribstudy.datasets.listed import read_listing
from ribstudy.datasets.settings import DataSettings, ImageSelection
from ribstudy.evaluation.statistics import Estimate
from ribstudy.report import paper
from ribstudy.report.figures import common as figures
from ribstudy.report.notebook import (
    Interrupted,
    ParameterWatch,
    open_file,
    origin,
    saved_since,
    shorten_interrupts,
    shortened,
    show_messages,
    text_of_other_code,
)
from ribstudy.report.objects import properties, register
from ribstudy.report.parameters import (
    OVERRIDES,
    PRESET,
    NotStarted,
    check_nothing_came_late,
    check_value,
    found_preset,
    naming_what_was_typed,
    parameters_in_force,
    read_overrides,
)
from ribstudy.report.records import Recorded
from ribstudy.runtime.files import digest, write_json
from ribstudy.runtime.progress import is_live
from ribstudy.settings import Count
from ribstudy.stages import Run, Stage, execute
from ribstudy.stages.preflight import require
from ribstudy.stages.source import other_code
from ribstudy.store import StoredItems
from ribstudy.workflow.job import Job
from ribstudy.workflow.jobs import CHAPTERS
from ribstudy.workflow.preflight import unfinished_work

__all__ = ["Chapter", "Count", "start"]


def start(
    name: str, *, settings: Mapping[str, str] = MappingProxyType({}), view: Mapping[str, type] = MappingProxyType({})
) -> "Chapter":
    """Starts a chapter after checking its parameters.

    If the chapter has a parameter `overrides`, it accepts any other setting by its dotted name: {"classifier.epochs": 2}.

    Args:
        name: name of the notebook without its suffix.
        settings: the dotted name of the setting that a parameter sets, by parameter. A parameter that is None keeps the value
            of the preset.
        view: the type (`Count`: a positive whole number) of each parameter that only affects how much is shown.

    Raises:
        NotStarted: a parameter that the chapter does not have, a value of a wrong type or out of range, an unknown preset, a
            value that papermill passed and a later cell has replaced, or something that a job of the chapter requires and that
            is missing (`stages/preflight.py`).
    """
    show_messages()
    figures.use_style()
    pd.set_option("display.max_colwidth", None)  # tables show their texts in full
    shell = get_ipython()
    shorten_interrupts(shell)
    register(shell.display_formatter.formatters)
    try:
        chapter, used = _started(name, settings, view, shell.user_ns)
    except ValueError as error:
        raise NotStarted(str(error)) from None
    history, saved = shell.user_ns["In"], partial(saved_since, open_file(), time.time())
    ParameterWatch(history, len(history), used, saved).begin(shell.events)
    if text := picture_text(chapter.settings.data):
        display(Markdown(text))
    return chapter


def _started(
    name: str, settings: Mapping[str, str], view: Mapping[str, type], variables: Mapping[str, Any]
) -> tuple["Chapter", dict[str, Any]]:
    """The chapter, and the values of its parameters."""
    history = variables["In"]
    values = parameters_in_force(name, history, variables, [PRESET, *settings, OVERRIDES, *view])
    for parameter, kind in view.items():
        check_value(f"{name}: {parameter}", values[parameter], kind)
    preset, overrides = found_preset(values[PRESET]), read_overrides(name, settings, values)
    typed = {parameter: setting for parameter, setting in settings.items() if values[parameter] is not None}
    with naming_what_was_typed(name, typed, overrides):
        chapter = Chapter(name, preset, overrides, started=len(history))
    require(unfinished_work((job, chapter.variant(job.overrides, job.images)) for job in chapter.jobs.values()))
    return chapter, values


def picture_text(data: DataSettings) -> str:
    """Whether a page shows the photographs of listed images, and how to bring them; "" for other data."""
    if data.listed is None:
        return ""
    listing = read_listing(data.listed)
    if datasets.has_pictures(data):
        return f"**Images:** {listing.about}. Their photographs are at hand, and the figures show them."
    return (
        f"**Images:** {listing.about}. Their photographs do not come with the book, so the figures show maps and masks on "
        f"grey. To see the photographs, {listing.remedy.replace('--data-root', '`--data-root`')}, and run the page again."
    )


class Chapter:
    """A running chapter: its settings, its jobs, the numbers it reports, and the results it read.

    Args:
        name: name of the notebook.
        preset: name or path of the preset.
        overrides: settings that differ from the preset, by dotted name.
        started: the number of cells that were executed before the start; None outside of a notebook.
    """

    def __init__(self, name: str, preset: str, overrides: dict[str, Any], *, started: int | None = None):
        self.name = name
        self.preset = preset
        self.overrides = overrides
        self.run = Run(load_settings(preset, overrides))
        self.jobs: dict[Any, Job] = CHAPTERS[name](self.settings) if name in CHAPTERS else {}
        self.notes: dict[str, Estimate] = {}
        self.said: dict[str, str] = {}
        self._started = started
        self._reads: dict[tuple[str, str], tuple[set[str], set[str]]] = {}  # items and files by stage and key
        self._said: set[str] = set()  # messages

    @property
    def settings(self) -> Settings:
        return self.run.settings

    def variant(self, overrides: Mapping[str, Any], images: ImageSelection | None = None) -> Run:
        """The chapter's run with other settings, such as {"rib.tau": 0.5}, and optionally with other images."""
        settings = load_settings(self.preset, {**self.overrides, **overrides})
        return replace(self.run, settings=settings).with_images(images)

    def run_of(self, *name: Any) -> Run:
        """The run of one of the chapter's jobs (`workflow/jobs.py`): `chapter.run_of("CAM", 0, "train")`."""
        job = self._job(name)
        return self.variant(job.overrides, job.images)

    def stored(self, *name: Any) -> StoredItems:
        """Computes what is missing of one of the chapter's jobs, perhaps for hours, and returns its items by image name.

        The items are scores, as a rule. Unlike this method, `Run.stored` only reads. See `computed`.
        """
        return self.computed(self._job(name).stage, self.run_of(*name))

    def items(self, *name: Any, images: Iterable[str]) -> StoredItems:
        """The maps or masks of a few images of a job: the items of the stage that the job scores, or of its own stage.

        Only these are computed if they are missing. `images` are names of images of the job.
        """
        return self.computed(self._job(name).scored, replace(self.run_of(*name), only=tuple(images)))

    def computed(self, stage: Stage, run: Run) -> StoredItems:
        """The items of a stage, by image name. Missing ones are computed first, on all cores; each is read when accessed."""
        names = run.items(stage)
        if names:
            self._compute(stage, run, finished=run.is_finished(stage))
        self.add_read(stage, run, items=names)
        return run.stored(stage)

    def open(self, *name: Any, file: str) -> BinaryIO:
        """Opens a file of a job that is a training, such as its history. The training is run first if the file is missing.

        Raises KeyError if the job does not declare the file.
        """
        job, run = self._job(name), self.run_of(*name)
        if file not in (job.files or ()):
            raise KeyError(f"chapter {self.name}: job {name} declares no file {file!r}; it has: {', '.join(job.files or ())}")
        result = run.result(job.stage)
        self._compute(job.stage, run, finished=result.finished and result.has_file(file))
        self.add_read(job.stage, run, files=[file])
        return result.open(file)

    def _compute(self, stage: Stage, run: Run, *, finished: bool) -> None:
        """Computes the missing part of a result, or tells an editor the source of a finished one when it is first read."""
        result = run.result(stage)
        if finished and not result.outgrown:
            if is_live() and (stage.name, stage.key(run.settings)) not in self._reads:
                print(origin(stage.name, result))
            return
        try:
            execute(stage, run, processes=None)
        except KeyboardInterrupt:
            raise Interrupted.at(stage.name, result.folder) from None

    def sessions(self, *name: Any) -> list[dict]:
        """The logs of the processes that computed the maps or masks of a job (`Result.sessions`), here or as published."""
        job, run = self._job(name), self.run_of(*name)
        self.add_read(job.scored, run)
        return run.result(job.scored).sessions()

    def add_read(self, stage: Stage, run: Run, *, items: Iterable[str] = (), files: Iterable[str] = ()) -> None:
        """Adds a result to those that the page needs. Without items and files, only its record is needed.

        A message tells the reader about results of other code than today's, and an editor the way to compute each again.
        """
        name, result = (stage.name, stage.key(run.settings)), run.result(stage)
        if name not in self._reads and result.finished and other_code(stage, result):
            self._say_once(text_of_other_code(result))
        of_items, of_files = self._reads.setdefault(name, (set(), set()))
        of_items.update(items)
        of_files.update(files)

    def _say_once(self, text: str) -> None:
        if text not in self._said:
            display(Markdown(text))
        self._said.add(text)

    def _repr_html_(self) -> str:
        """The preset, the settings in use that differ from it, and how many of the results of the chapter are finished."""
        runs = {key: self.run_of(*(key if isinstance(key, tuple) else (key,))) for key in self.jobs}
        finished = sum(run.is_finished(self.jobs[key].stage) for key, run in runs.items())
        changed = ", ".join(f"{name} = {value!r}" for name, value in self.overrides.items())
        return properties(
            {
                "chapter": self.name,
                "preset": preset_name(self.preset),
                "other settings": changed or "none",
                "results": f"{finished} of {len(runs)} are finished",
                "folder": shortened(self.run.store.root),
                "numbers so far": str(len(self.notes)),
            }
        )

    def _job(self, name: tuple) -> Job:
        key = name[0] if len(name) == 1 else name
        if key not in self.jobs:
            raise KeyError(f"chapter {self.name} declares no job {key!r}; it has: {', '.join(map(repr, self.jobs))}")
        return self.jobs[key]

    def dataset(self, split: str) -> Dataset:
        return datasets.open_dataset(self.settings.data, split)

    def scored_dataset(self, split: str) -> Dataset:
        """A split with masks to score maps with. Raises ValueError if none of its images has a mask."""
        dataset = self.dataset(split)
        if not dataset.masked_names:
            raise ValueError(
                f"{self.name}: no image of split {split} has a mask, so there is nothing to score. The page on your own data "
                "(book/own_data.ipynb) shows the maps of such images."
            )
        return dataset

    def note(self, name: str, value: float, low: float | None = None, high: float | None = None, n: int | None = None) -> None:
        """Adds a headline number; low and high: its 95 % interval, n: the number of independent observations."""
        self.note_estimate(name, Estimate(value, low, high, n))

    def note_estimate(self, name: str, estimate: Estimate) -> None:
        """Adds a headline number. Numbers of NumPy become Python's, which a record can contain."""
        numbers = {key: None if number is None else float(number) for key, number in vars(estimate).items()}
        self.notes[name] = Estimate(**numbers | {"n": None if estimate.n is None else int(estimate.n)})

    def say(self, name: str, value: str | float | Markdown) -> None:
        """Makes a sentence, or a number that needs no record, available to the text of the page by its name."""
        text = value.data if isinstance(value, Markdown) else value
        self.said[name] = f"{text:.4g}" if isinstance(text, float) else str(text)
        _give_to_page(name, value)

    def finish(self) -> Recorded:
        """Writes the headline numbers to results/records/<chapter>.<preset>.json and makes them available to the text.

        The cell that calls it shows them, and the sentences of `say`, as tables, because an editor such as JupyterLab does not
        put them into the text.

        If the settings or the data differ from the preset's, the record is <chapter>.<preset>-<digest>.json. The results that
        the chapter read are listed in results/reads/, in a file of the same name: they are what has to be published.

        Raises ValueError if papermill passed values that came too late to be used.
        """
        if self._started is not None:
            check_nothing_came_late(self.name, get_ipython().user_ns["In"][self._started :])
        for name, estimate in self.notes.items():
            numbers = {"": estimate.value, "_low": estimate.low, "_high": estimate.high, "_detectable": estimate.detectable}
            for suffix, number in numbers.items():
                _give_to_page(name + suffix, _plain(number))
        root, file = self.run.store.root, f"{self.name}.{self.settings_name()}.json"
        write_json(root / "reads" / file, self.reads())
        write_json(root / "records" / file, {name: asdict(estimate) for name, estimate in self.notes.items()})
        return Recorded(self.notes, self.said, root / "records" / file)

    def reads(self) -> list[dict]:
        """The results that the chapter has read so far: stage, key, names of items and names of files, sorted."""
        return [
            {"stage": stage, "key": key, "items": sorted(items), "files": sorted(files)}
            for (stage, key), (items, files) in sorted(self._reads.items())
        ]

    def settings_name(self) -> str:
        """The name of the settings in file names: the preset's name, with a digest of all differences from the preset."""
        own = {name: value for name, value in self.overrides.items() if name != "data.root"}
        data = self.settings.data
        if data.root is not None and not _is_published(data):
            own["data"] = datasets.fingerprint(data)
        return preset_name(self.preset) + (f"-{digest(own)}" if own else "")


def _is_published(data: DataSettings) -> bool:
    """Whether the book publishes results on these data: MiniVOC, listed images, or complete VOC or COCO."""
    if data.listed is not None:
        return True
    if data.name in ("voc12", "coco14"):
        counts = paper.values(f"{data.name}_counts").set_index(["row", "column"])["value"]
        return all(len(datasets.open_dataset(data, split)) == counts[split, "images"] for split in datasets.splits(data))
    return data.name == "minivoc"


def _give_to_page(name: str, value: Any) -> None:
    """Adds an output that the text of the page can take by its name.

    An editor has no use for it, and JupyterLab shows only the first 50 outputs of a cell, also if most of them are invisible.
    """
    if not is_live():
        glue(name, value, display=False)


def _plain(number: float | None) -> int | float:
    """The number as the text prints it: whole numbers without a decimal point, nan for a missing bound."""
    if number is None:
        return float("nan")
    return int(number) if number.is_integer() else number
