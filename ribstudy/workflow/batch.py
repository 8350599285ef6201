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

A setting is given by its full name (rib.tau) or as a parameter of the notebook (tau). A relative path in the file is looked up
in the folder of the file, and then in the working directory. Everything is checked before the first run starts.
"""

import ast
import contextlib
import difflib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from ribstudy.config import DEFAULT_PRESET, SUFFIXES, Settings, given_settings, load_settings, located
from ribstudy.runtime.files import digest
from ribstudy.runtime.paths import beside, expanded
from ribstudy.runtime.strict_yaml import read_mapping
from ribstudy.settings import Count, GivenPath, Section, Seed, validate

Grid = dict[str, Annotated[list[Any], Field(min_length=1)]]
READABLE = re.compile(r"[\w.=+-]{1,100}")
MAGIC = re.compile(r"^\s*[%!].*", re.MULTILINE)  # a line of a notebook that is a command of IPython


def _located_preset(preset: str) -> str:
    """The name of a preset, or the absolute path of its file."""
    return str(expanded(preset)) if Path(preset).suffix.lower() in SUFFIXES else preset


class First(Section):
    """Notebooks with two pages: the page of the notebook shows this preset, and a second page shows the batch's own preset."""

    preset: str
    notebooks: Annotated[list[str], Field(min_length=1)]


class Batch(Section):
    """The contents of the file of a batch (see above)."""

    about: str
    preset: str
    data_root: GivenPath | None = None
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
    preset: Annotated[str, Field(min_length=1), AfterValidator(_located_preset)] | None = None
    data_root: GivenPath | None = None
    shards: Count | None = None
    threads: Count | None = None  # per stage
    gpus: Literal[0, 1] | None = None  # of a job with networks, on a cluster; 0: they run on its processors


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


def command_line(config: Mapping[str, Any]) -> CommandLine:
    """The values of `--config`. Raises ValueError for an unknown name, a value of a wrong type, and a name without a value."""
    if empty := [name for name, value in config.items() if value in (None, "")]:
        raise ValueError(f"--config: {empty[0]} has no value; give one, or leave it out")
    return validate(CommandLine, dict(config), what="--config")


def without_wildcards(folder: Path) -> Path:
    """The folder of the results, if Snakemake can use it. Raises ValueError if it has braces, which are wildcards there."""
    if set("{}") & set(str(folder)):
        raise ValueError(f"the folder of the results is {folder}, but Snakemake reads braces in a path as wildcards; rename it")
    return folder


def root_of(preset: str, data_root: Path | None) -> dict[str, str]:
    """A folder of data as overrides of a preset: none for MiniVOC, which is drawn into a folder of its own."""
    needed = data_root is not None and load_settings(preset).data.name != "minivoc"
    return {"data.root": str(data_root)} if needed else {}


def named(name: str, folder: Path) -> Path:
    """The file of a batch.

    Args:
        name: a name in `folder`, with or without suffix, or a path (.yml), relative to the working directory or to the project.
        folder: the project's folder `batches`.

    Raises:
        ValueError: there is no such file.
    """
    paths = [folder / f"{name}.yml"]
    if Path(name).suffix.lower() in SUFFIXES:
        paths = [expanded(name), folder.parent / name, *([folder / name] if Path(name).name == name else [])]
    for path in paths:
        if path.is_file():
            return path
    known = ", ".join(sorted(file.stem for file in folder.glob("*.yml")))
    raise ValueError(f"batch {name}: there is no such file; known: {known}, or the path of a .yml file")


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Names the file of a batch in the message of each ValueError of the block."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"batch {path}: {error}") from None


def read(path: Path, **given: Any) -> Batch:
    """The batch that a file describes; `given` replaces its values (preset, data_root, shards) unless it is None.

    With a given preset, every notebook has one page. Raises ValueError that names the file and the problem.
    """
    values = _located(read_mapping(path, f"batch {path}"), path.parent)
    given = {name: value for name, value in given.items() if value is not None}
    if "preset" in given:
        given["first"] = None
    return validate(Batch, {**values, **given}, what=f"batch {path}")


def _located(values: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The values of a batch file in `folder`, with absolute paths for those that are relative to the folder."""
    found = dict(values)
    if isinstance(first := values.get("first"), dict):
        found["first"] = _located(first, folder)
    if isinstance(own := values.get("settings"), dict):
        found["settings"] = own | located(own, folder)
    for name in ("preset", "data_root"):
        value = values.get(name)
        is_path = isinstance(value, str) and (name == "data_root" or Path(value).suffix.lower() in SUFFIXES)
        if is_path:
            with contextlib.suppress(ValueError):  # reported when the batch is checked
                found[name] = str(beside(value, folder))
    return found


def read_notebook(path: Path) -> Notebook:
    """The parameters of a chapter, from its parameters cell and its call of `start`.

    Raises ValueError if the file is not a notebook, or if no cell has the tag `parameters`, as after tools that drop tags.
    """
    try:
        cells = [cell for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
        sources = [MAGIC.sub("pass", "".join(cell["source"])) for cell in cells]
        trees = [ast.parse(source) for source in sources]
    except (ValueError, KeyError, TypeError, SyntaxError) as error:
        raise ValueError(f"{path}: is not a notebook that can be read ({error})") from None
    tagged = [tree for tree, cell in zip(trees, cells, strict=True) if "parameters" in cell["metadata"].get("tags", [])]
    if not tagged:
        raise ValueError(
            f"{path}: no cell has the tag parameters, so papermill would put values before the defaults of the notebook, which "
            "would replace them; give the cell with the defaults this tag"
        )
    assigned = {node.targets[0].id: node.value for node in tagged[0].body if isinstance(node, ast.Assign)}
    calls = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]
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
    overrides = _overrides(batch, notebook, point)
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


def _overrides(batch: Batch, notebook: Notebook, point: dict[str, Any]) -> dict[str, Any]:
    """The settings of a run that differ from the preset, by full name."""
    given = [*batch.settings.items(), *point.items()]
    names = [notebook.setting(name) for name, _ in given]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"{twice[0]} is given twice, in settings, seeds or grids; remove one of them")
    what = f"settings and grids of notebook {notebook.name}"
    return given_settings({name: value for name, (_, value) in zip(names, given, strict=True)}, what)


def _name(page: str, point: dict[str, Any]) -> str:
    text = "-".join(f"{name}={value}" for name, value in sorted(point.items()))
    return f"{page}-{text if READABLE.fullmatch(text) else digest(point)}" if point else page
