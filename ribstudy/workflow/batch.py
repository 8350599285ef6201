"""A batch: chapters under some settings, seeds and grids, as batches/NAME.yml describes them.

    about: what it is, and what it costs
    preset: mini                        # by name, or the path of a .yml file
    data_root: /data/VOC2012            # if the preset needs one; the command line can give it too
    settings: {rib.iterations: 10}      # of all runs, besides the preset's
    seeds: [0, 1, 2]                    # every run is repeated with each of them
    grids: {tau: [0.2, 0.4, 0.6]}       # one run for each point; of a list of grids, for each point of each
    notebooks: [04_rib]                 # or: all; or each with a grid of its own: {04_rib: {tau: [0.2]}, 05_masks: {}}
    shards: 8                           # jobs that the images of a stage are spread over

Settings are named in full (rib.tau) or as a parameter of the notebook (tau). All is checked before anything is run.
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

from ribstudy.config import Settings, load_settings
from ribstudy.runtime.files import digest
from ribstudy.settings import Count, Section, Seed, validate

Grid = dict[str, Annotated[list[Any], Field(min_length=1)]]
READABLE = re.compile(r"[\w.=+-]{1,100}")


class Batch(Section):
    """What a file says (see above)."""

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


class CommandLine(Section):
    """What `--config` of the Snakefile takes besides: which batch, and what replaces something in its file."""

    batch: Annotated[str, Field(min_length=1)] = "mini"
    preset: Annotated[str, Field(min_length=1)] | None = None
    data_root: Annotated[str, Field(min_length=1)] | None = None
    shards: Count | None = None
    threads: Count | None = None  # of a stage


@dataclass(frozen=True)
class BatchRun:
    """One notebook at one point.

    name: of its output; the notebook's where it has no point. overrides: settings by their full names.
    parameters: for papermill.
    """

    name: str
    notebook: str
    overrides: dict[str, Any]
    parameters: dict[str, Any]


@dataclass(frozen=True)
class Notebook:
    """What a notebook takes.

    parameters: the names in its cell tagged so; settings: full name of the setting by parameter; preset: that it starts from.
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


def named(name: str, folder: Path) -> Path:
    """The file of a batch, by its path, from here or from the project, or by its name in the project's `folder` of batches."""
    if Path(name).suffix not in (".yml", ".yaml"):
        return folder / f"{name}.yml"
    return next((path for path in (Path(name), folder.parent / name) if path.exists()), folder / Path(name).name)


def read(path: Path, **given: Any) -> Batch:
    """The batch of a file, with what the command line gives (preset, data_root, shards) in the place of what it says.

    Raises ValueError that names the file and what is wrong in it.
    """
    if not path.is_file():
        known = sorted(file.stem for file in path.parent.glob("*.yml"))
        raise ValueError(f"batch {path}: there is no such file" + (f"; there are: {', '.join(known)}" if known else ""))
    try:
        values = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise ValueError(f"batch {path} is not YAML: {error}") from None
    if not isinstance(values, dict):
        raise ValueError(f"batch {path} holds no settings")
    return validate(
        Batch, {**values, **{name: value for name, value in given.items() if value is not None}}, what=f"batch {path}"
    )


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
    """The runs of a batch, in order; `names` are those of the book's notebooks, which lie in `folder`.

    Raises ValueError, before anything is run, for an unknown notebook, parameter, setting or preset, a value of a wrong type,
    and two runs that are the same.
    """
    load_settings(batch.preset)
    chosen = names if batch.notebooks == "all" else batch.notebooks
    if unknown := [name for name in chosen if name not in names]:
        raise ValueError(f"there is no notebook {unknown[0]!r}; known: {', '.join(names)}")
    runs = []
    for name in chosen:
        notebook, own = read_notebook(folder / f"{name}.ipynb"), chosen[name] if isinstance(chosen, dict) else {}
        runs += [_run(batch, notebook, point) for grid in batch.grids for point in _points(notebook, grid, own, batch.seeds)]
    if not runs:
        raise ValueError("the batch has no runs: grids and notebooks must not be empty")
    for number, run in enumerate(runs):
        for earlier in runs[:number]:
            if (run.notebook, run.overrides) == (earlier.notebook, earlier.overrides):
                raise ValueError(
                    f"{earlier.name} and {run.name} are the same run; take one of them out of seeds, grids or notebooks"
                )
    return runs


def _points(notebook: Notebook, grid: Grid, own: Grid, seeds: Iterable[int] | None) -> Iterable[dict[str, Any]]:
    repeated = {"seed": list(seeds)} if seeds is not None else {}
    names = [notebook.setting(name) for name in (*grid, *own, *repeated)]  # one setting can have two
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"{twice[0]} is varied twice, in seeds, in grids or of a notebook; once is enough")
    varied = {**repeated, **grid, **own}
    return [dict(zip(varied, values, strict=True)) for values in product(*varied.values())]


def _run(batch: Batch, notebook: Notebook, point: dict[str, Any]) -> BatchRun:
    own_preset = notebook.preset not in (None, "mini", batch.preset)  # the page on own data makes its example by itself
    overrides = {notebook.setting(name): value for name, value in {**batch.settings, **point}.items()}
    named = {parameter: overrides[name] for parameter, name in notebook.settings.items() if name in overrides}
    takes_all = "overrides" in notebook.parameters
    if overrides and (own_preset or (not takes_all and len(named) < len(overrides))):
        raise ValueError(
            f"notebook {notebook.name} does not take all of {', '.join(overrides)} from a batch; leave it out of notebooks"
        )
    root = str(batch.data_root) if batch.data_root else None
    load_settings(batch.preset, {**overrides, **({"data.root": root} if root else {})})
    parameters = {} if own_preset or "preset" not in notebook.parameters else {"preset": batch.preset}
    if parameters and root and "data_root" in notebook.parameters:
        parameters["data_root"] = root
    if overrides:
        parameters |= {"overrides": overrides} if takes_all else named
    return BatchRun(_name(notebook.name, point), notebook.name, overrides, parameters)


def _name(notebook: str, point: dict[str, Any]) -> str:
    text = "-".join(f"{name}={value}" for name, value in sorted(point.items()))
    return f"{notebook}-{text if READABLE.fullmatch(text) else digest(point)}" if point else notebook
