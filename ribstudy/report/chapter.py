"""What the chapters share: parameters that are checked before work starts, results that are computed or found, and records.

A chapter opens with a cell tagged `parameters` whose first line is `# Parameters`; papermill puts its own cell, with the same
first line, behind it. `start` reads the names assigned in those cells, so that a mistyped one stops the chapter at once.
"""

import ast
import difflib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd
from IPython import get_ipython
from myst_nb import glue
from pydantic import ConfigDict, TypeAdapter, ValidationError

from ribstudy import datasets
from ribstudy.config import load_settings
from ribstudy.datasets import Dataset
from ribstudy.datasets.settings import DataSettings
from ribstudy.evaluation.metrics import Estimate
from ribstudy.evaluation.scores import StoredUnits, Unit
from ribstudy.report import paper
from ribstudy.report.figures import common as figures
from ribstudy.runtime import ranks as launch
from ribstudy.runtime.files import digest, write_json
from ribstudy.settings import Count
from ribstudy.stages import Run, default_workers, execute
from ribstudy.store import Result

__all__ = ["Chapter", "Count", "note_comparisons", "start"]

MARKER = "# Parameters"


def start(
    name: str, *, settings: Mapping[str, str] = MappingProxyType({}), view: Mapping[str, type] = MappingProxyType({})
) -> "Chapter":
    """Opens a chapter after checking its parameters.

    Args:
        name: the notebook's name without its suffix.
        settings: parameter -> dotted setting, for the parameters that stand for one; None as a value keeps the preset's.
        view: parameter -> type (`Count`: a whole number from 1 on), for those that only say how much is shown or repeated.

    A chapter that has the parameter `overrides` takes any other setting by its dotted name: {"classifier.epochs": 2}.

    Raises:
        ValueError: a parameter that the chapter does not have, a value of a wrong type or out of range, an unknown preset.
    """
    figures.use_style()
    pd.set_option("display.max_colwidth", None)  # a table shows its words in full
    variables = get_ipython().user_ns
    _check_names(_assigned_names(variables["In"]), known=["preset", *settings, "overrides", *view], chapter=name)
    overrides = variables.get("overrides", {})
    _check_value(f"{name}: overrides", overrides, dict[str, Any])
    if chosen := [setting for setting in overrides if setting.startswith("infer.")]:
        raise ValueError(f"{name}: overrides has {chosen[0]}, but which images are shown is the chapter's own choice")
    for parameter, kind in view.items():
        _check_value(f"{name}: {parameter}", variables[parameter], kind)
    given = {setting: variables[parameter] for parameter, setting in settings.items() if variables[parameter] is not None}
    return Chapter(name, variables["preset"], {**overrides, **given})


def _assigned_names(history: list[str]) -> list[str]:
    """Names assigned in the latest parameter cells of `history`: the chapter's own, and behind it what papermill put in."""
    is_parameters = [source.lstrip().startswith(MARKER) for source in history]
    if not any(is_parameters):
        return []
    last = len(history) - 1 - is_parameters[::-1].index(True)
    first = last
    while is_parameters[first - 1]:
        first -= 1
    nodes = [node for source in history[first : last + 1] for node in ast.walk(ast.parse(source))]
    return [node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)]


def _check_value(what: str, value: Any, kind: type) -> None:
    try:
        TypeAdapter(kind, config=ConfigDict(strict=True)).validate_python(value)
    except ValidationError as error:
        raise ValueError(f"{what} = {value!r}: {error.errors()[0]['msg']}") from None


def _check_names(names: list[str], *, known: list[str], chapter: str) -> None:
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f", did you mean {near[0]}?" if near else ""
            raise ValueError(f"{chapter} has no parameter {name}{hint} (it has: {', '.join(known)})")


class Chapter:
    """A chapter at work: its settings, the results it asks for, and the numbers that it reports."""

    def __init__(self, name: str, preset: str, overrides: dict[str, Any]):
        self.name = name
        self.preset = preset
        self.overrides = overrides
        run = Run(load_settings(preset, overrides))
        self.run = replace(run, num_workers=default_workers(run.device))
        self.notes: dict[str, Estimate] = {}
        self.processes = launch.cores_with_memory()  # that score maps, which no accelerator does

    @property
    def settings(self):
        return self.run.settings

    def variant(self, overrides: dict[str, Any]) -> Run:
        """A run with other settings besides, such as {"rib.tau": 0.5}."""
        return replace(self.run, settings=load_settings(self.preset, {**self.overrides, **overrides}))

    def result(self, stage: str, run: Run | None = None) -> Result:
        """A stage's finished result; what is missing is computed first, on all cores."""
        run = run or self.run
        return execute(stage, run, processes=None)

    def units(self, stage: str) -> list[Unit]:
        """The arrays of every unit (image, seed) of a stage, in order, all in memory."""
        return list(self.maps(stage).values())

    def maps(self, stage: str, run: Run | None = None) -> StoredUnits:
        """What a stage such as `cam` or `rib` stored, by image name, read when it is asked for."""
        run = run or self.run
        return StoredUnits(self.result(stage, run), run.units(stage))

    def dataset(self, split: str) -> Dataset:
        return datasets.open_dataset(self.settings.data, split)

    def scored_dataset(self, split: str) -> Dataset:
        """A split whose masks the chapter holds maps against; ValueError where no image of it has one."""
        dataset = self.dataset(split)
        if not dataset.masked_names:
            raise ValueError(
                f"{self.name}: no image of split {split} has a mask, so there is nothing to score. The page on your own data "
                "(book/own_data.ipynb) shows the maps of such images."
            )
        return dataset

    def note(self, name: str, value: float, low: float | None = None, high: float | None = None, n: int | None = None) -> None:
        """Adds a headline number; low and high: its 95 % interval, n: how many independent pieces it rests on."""
        estimate = Estimate(*(None if x is None else float(x) for x in (value, low, high)), None if n is None else int(n))
        self.notes[name] = estimate

    def note_estimate(self, name: str, estimate: Estimate) -> None:
        self.note(name, estimate.value, estimate.low, estimate.high, estimate.n)

    def finish(self) -> Path:
        """Writes the headline numbers to results/records/<chapter>.<preset>.json and makes them known to the text.

        A run with settings or data of its own gets a record of its own, <chapter>.<preset>-<digest of them>.json.
        """
        for name, estimate in self.notes.items():
            for suffix, number in (("", estimate.value), ("_low", estimate.low), ("_high", estimate.high)):
                glue(name + suffix, _plain(number), display=False)
        path = self.run.store.root / "records" / f"{self.name}.{self.settings_name()}.json"
        write_json(path, {name: asdict(estimate) for name, estimate in self.notes.items()})
        return path

    def settings_name(self) -> str:
        """What the records of these settings are called: the preset's name, with a digest of what is not the preset's."""
        own = {name: value for name, value in self.overrides.items() if name != "data.root"}
        data = self.settings.data
        if data.root is not None and not _is_published(data):
            own["data"] = datasets.fingerprint(data)
        return Path(self.preset).stem + (f"-{digest(own)}" if own else "")


def _is_published(data: DataSettings) -> bool:
    """Whether the data are what results are published on: MiniVOC, or VOC and COCO in full, not a part or a stand-in."""
    if data.name in ("voc12", "coco14"):
        counts = paper.values(f"{data.name}_counts").set_index(["row", "column"])["value"]
        return all(len(datasets.open_dataset(data, split)) == counts[split, "images"] for split in datasets.splits(data))
    return data.name == "minivoc"


def _plain(number: float | None) -> int | float:
    """What the text prints: whole numbers without a point, nan where there is no interval."""
    if number is None:
        return float("nan")
    return int(number) if number.is_integer() else number


def note_comparisons(chapter: Chapter, rows: Sequence[dict], means: Sequence[dict]) -> None:
    """Notes CAM, RIB and their difference: means over the seeds, and for every seed under names that end in its number.

    rows: {"seed", "method" ("RIB", "RIB as written")} and what `evaluation.comparisons` gives. means: {"method"} and what
    `evaluation.comparisons_over_seeds` gives.
    """
    for row in [*rows, *means]:
        method = row["method"].removeprefix("RIB").replace(" ", "_")
        numbers = {
            f"miou_rib{method}": row["compared"].second,
            f"miou_difference{method}": row["compared"].difference,
            f"best_difference{method}": row["best"].difference,
        }
        if not method:  # other readings may have fewer seeds, and so another mean of the CAM
            numbers["miou_cam"] = row["compared"].first
        if "labelled" in row:
            labelled = row["labelled"]
            numbers[f"miou_rib{method}_labelled"] = labelled.second
            numbers[f"miou_difference{method}_labelled"] = labelled.difference
            if not method:
                numbers["miou_cam_labelled"] = labelled.first
        for name, estimate in numbers.items():
            chapter.note_estimate(name + (f"_seed{row['seed']}" if "seed" in row else ""), estimate)
