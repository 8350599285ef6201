"""A batch: chapters to run, with settings, seeds and grids. The file batches/NAME.yml describes it. ::

    about: the purpose of the batch and its cost
    preset: study                       # a name, or the path of a .yml file
    data_root: /data/VOC2012            # if the preset needs one; can also be given on the command line
    settings: {rib.iterations: 10}      # replace values of the preset in all runs
    seeds: [0, 1, 2]                    # every run is repeated with each seed
    grids: {tau: [0.2, 0.4, 0.6]}       # one run for each point of the grid, or of each grid in a list
    notebooks: [04_rib]                 # or: all; or notebooks with their own grids: {04_rib: {tau: [0.2]}, 05_masks: {}}
    shards: 8                           # number of jobs that share the images of a stage
    first: {preset: voc12-lite, notebooks: [04_rib]}   # these notebooks show this preset, and a second page shows `preset`

A setting is given by its full name (rib.tau) or as a parameter of the notebook (tau). Everything is checked before the first
run starts.
"""

import ast
import difflib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BeforeValidator, Field, Strict

from ribstudy.config import DEFAULT_PRESET, Settings, load_settings
from ribstudy.runtime.files import digest
from ribstudy.settings import Count, Section, Seed, validate

Grid = dict[str, Annotated[list[Any], Field(min_length=1)]]
READABLE = re.compile(r"[\w.=+-]{1,100}")


class First(Section):
    """Notebooks with two pages: the page of the notebook shows this preset, and a second page shows the batch's own preset."""

    preset: str
    notebooks: Annotated[list[str], Field(min_length=1)]


class Batch(Section):
    """The contents of the file of a batch (see above)."""

    about: str
    preset: str
    data_root: Annotated[Path, Strict(False)] | None = None
    settings: dict[str, Any] = Field(default_factory=dict)
    seeds: Annotated[list[Seed], Field(min_length=1)] | None = None
    grids: Annotated[list[Grid], BeforeValidator(lambda grids: [grids] if isinstance(grids, dict) else grids)] = Field(
        default_factory=lambda: [{}]
    )
    notebooks: Annotated[list[str], Field(min_length=1)] | dict[str, Grid] | Literal["all"] = "all"
    shards: Count = 1
    first: First | None = None

    @property
    def presets(self) -> tuple[str, ...]:
        """The presets of its runs, in the order in which pages show them."""
        return (self.first.preset, self.preset) if self.first else (self.preset,)

    @property
    def second_pages(self) -> dict[str, str]:
        """The notebooks that have a second page, by the name of that page: the notebook's, followed by the data set's."""
        data = load_settings(self.preset).data.name
        return {f"{notebook}_{data}": notebook for notebook in (self.first.notebooks if self.first else ())}

    def pages(self, notebook: str) -> dict[str, str]:
        """The presets that a notebook shows, by the name of the page."""
        second = {page: self.preset for page, shown in self.second_pages.items() if shown == notebook}
        return {notebook: self.first.preset, **second} if self.first and second else {notebook: self.preset}

    def root(self, preset: str) -> dict[str, str]:
        """The folder of the data, as overrides of a preset (`root_of`)."""
        return root_of(preset, self.data_root)


class CommandLine(Section):
    """The values that `--config` of the Snakefile accepts: the batch, and values that replace those in its file."""

    batch: Annotated[str, Field(min_length=1)] = "book"
    preset: Annotated[str, Field(min_length=1)] | None = None
    data_root: Annotated[str, Field(min_length=1)] | None = None
    shards: Count | None = None
    threads: Count | None = None  # per stage


@dataclass(frozen=True)
class BatchRun:
    """One notebook at one point of a grid.

    Args:
        name: name of the executed notebook: the name of the page, followed by the values of the point if there are any.
        notebook: name of the chapter.
        preset: its preset.
        overrides: settings that differ from the preset, by full name.
        parameters: the parameters that papermill passes.
    """

    name: str
    notebook: str
    preset: str
    overrides: dict[str, Any]
    parameters: dict[str, Any]


@dataclass(frozen=True)
class Notebook:
    """The parameters of a notebook.

    Args:
        name: name of the chapter.
        parameters: the names assigned in the cell tagged `parameters`.
        settings: the full name of the setting that a parameter sets, by parameter.
        preset: the preset assigned in that cell; None if the notebook has no such parameter.
    """

    name: str
    parameters: tuple[str, ...]
    settings: dict[str, str]
    preset: str | None

    def setting(self, name: str) -> str:
        """The full name of a setting; ValueError for one that is neither a parameter of the notebook nor a setting."""
        if name in self.settings:
            return self.settings[name]
        if name.partition(".")[0] in Settings.model_fields:
            return name
        known = [*self.settings, *Settings.model_fields]
        near = difflib.get_close_matches(name, known, n=1)
        hint = f", did you mean {near[0]}?" if near else f"; known: {', '.join(known)}"
        raise ValueError(f"{name!r} is neither a parameter of notebook {self.name} nor a setting{hint}")


def root_of(preset: str, data_root: Path | None) -> dict[str, str]:
    """A folder of data as overrides of a preset: none for MiniVOC, which is drawn into a folder of its own."""
    needed = data_root is not None and load_settings(preset).data.name != "minivoc"
    return {"data.root": str(data_root)} if needed else {}


def named(name: str, folder: Path) -> Path:
    """The file of a batch.

    Args:
        name: a name in `folder`, or a path (.yml), relative to the working directory or to the project.
        folder: the project's folder `batches`.
    """
    if Path(name).suffix not in (".yml", ".yaml"):
        return folder / f"{name}.yml"
    return next((path for path in (Path(name), folder.parent / name) if path.exists()), folder / Path(name).name)


def read(path: Path, **given: Any) -> Batch:
    """The batch that a file describes; `given` replaces its values (preset, data_root, shards) unless it is None.

    With a given preset, every notebook has one page. Raises ValueError that names the file and the problem.
    """
    if not path.is_file():
        known = sorted(file.stem for file in path.parent.glob("*.yml"))
        raise ValueError(f"batch {path}: there is no such file" + (f"; known: {', '.join(known)}" if known else ""))
    try:
        values = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise ValueError(f"batch {path} is not YAML: {error}") from None
    if not isinstance(values, dict):
        raise ValueError(f"batch {path} contains no settings")
    given = {name: value for name, value in given.items() if value is not None}
    if "preset" in given:
        given["first"] = None
    return validate(Batch, {**values, **given}, what=f"batch {path}")


def read_notebook(path: Path) -> Notebook:
    """The parameters of a chapter, from its parameters cell and its call of `start`."""
    cells = [cell for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
    sources = ["".join(cell["source"]) for cell in cells]
    tagged = next(s for s, cell in zip(sources, cells, strict=True) if "parameters" in cell["metadata"].get("tags", []))
    assigned = {node.targets[0].id: node.value for node in ast.parse(tagged).body if isinstance(node, ast.Assign)}
    calls = [node for source in sources for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    starts = [call for call in calls if ast.unparse(call.func) == "start"]
    given = {word.arg: word.value for call in starts for word in call.keywords}
    settings = ast.literal_eval(given["settings"]) if "settings" in given else {}
    preset = ast.literal_eval(assigned["preset"]) if "preset" in assigned else None
    return Notebook(path.stem, tuple(assigned), settings, preset)


def expand(batch: Batch, folder: Path, names: Sequence[str]) -> list[BatchRun]:
    """The runs of a batch, in order.

    Args:
        batch: the batch.
        folder: the folder of the book's notebooks.
        names: the names of all notebooks of the book.

    Raises:
        ValueError: an unknown notebook, parameter, setting or preset, a value of a wrong type, two equal runs, or a data_root
            that no run needs.
    """
    if not any(batch.root(preset) for preset in batch.presets) and batch.data_root is not None:
        raise ValueError(f"data_root = {batch.data_root}: all runs are on MiniVOC, which is drawn; leave data_root out")
    chosen = names if batch.notebooks == "all" else batch.notebooks
    if unknown := [name for name in (*chosen, *batch.second_pages.values()) if name not in names]:
        raise ValueError(f"there is no notebook {unknown[0]!r}; known: {', '.join(names)}")
    runs = []
    for name in chosen:
        notebook, own = read_notebook(folder / f"{name}.ipynb"), chosen[name] if isinstance(chosen, dict) else {}
        points = [point for grid in batch.grids for point in _points(notebook, grid, own, batch.seeds)]
        runs += [_run(batch, page, notebook, point) for page in batch.pages(name) for point in points]
    if not runs:
        raise ValueError("the batch has no runs: grids and notebooks must not be empty")
    for number, run in enumerate(runs):
        for earlier in runs[:number]:
            if (run.notebook, run.preset, run.overrides) == (earlier.notebook, earlier.preset, earlier.overrides):
                raise ValueError(
                    f"{earlier.name} and {run.name} are the same run; remove one of them from seeds, grids or notebooks"
                )
    return runs


def _points(notebook: Notebook, grid: Grid, own: Grid, seeds: Iterable[int] | None) -> Iterable[dict[str, Any]]:
    repeated = {"seed": list(seeds)} if seeds is not None else {}
    names = [notebook.setting(name) for name in (*grid, *own, *repeated)]  # a setting can have two names
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"{twice[0]} is varied twice, in seeds, grids or the grid of a notebook; remove one of them")
    varied = {**repeated, **grid, **own}
    return [dict(zip(varied, values, strict=True)) for values in product(*varied.values())]


def _run(batch: Batch, page: str, notebook: Notebook, point: dict[str, Any]) -> BatchRun:
    preset = batch.pages(notebook.name)[page]
    own_preset = notebook.preset not in (None, DEFAULT_PRESET, preset)  # the page on own data draws its own example
    overrides = {notebook.setting(name): value for name, value in {**batch.settings, **point}.items()}
    named = {parameter: overrides[name] for parameter, name in notebook.settings.items() if name in overrides}
    takes_all = "overrides" in notebook.parameters
    if overrides and (own_preset or (not takes_all and len(named) < len(overrides))):
        raise ValueError(
            f"notebook {notebook.name} does not accept all of {', '.join(overrides)} from a batch; remove it from notebooks"
        )
    root = batch.root(preset)
    load_settings(preset, {**overrides, **root})
    parameters = {} if own_preset or "preset" not in notebook.parameters else {"preset": preset}
    if parameters and root and "data_root" in notebook.parameters:
        parameters["data_root"] = root["data.root"]
    if overrides:
        parameters |= {"overrides": overrides} if takes_all else named
    return BatchRun(_name(page, point), notebook.name, preset, overrides, parameters)


def _name(page: str, point: dict[str, Any]) -> str:
    text = "-".join(f"{name}={value}" for name, value in sorted(point.items()))
    return f"{page}-{text if READABLE.fullmatch(text) else digest(point)}" if point else page
