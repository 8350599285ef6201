"""The parameters of a running chapter: its own defaults and the values that papermill passed, from the executed cells.

The cell with the defaults is headed `# Parameters`, has the tag `parameters`, and explains each of them in a comment. Papermill
inserts a cell with the same head and without comments after it. If the tag is lost, papermill inserts its cell at the top, and
the defaults replace the values that it passed. A cell that lost its head is still known by what it does: it assigns the preset,
and nothing but values that are written out.
"""

import ast
import contextlib
import difflib
import io
import tokenize
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from ribstudy.config import SUFFIXES, given_settings, preset_names
from ribstudy.runtime import paths
from ribstudy.runtime.paths import expanded
from ribstudy.runtime.strict_yaml import as_number, parse_mapping

MARKER = "# Parameters"
PRESET, OVERRIDES = "preset", "overrides"  # the parameter that every chapter has, and the one that may be left out
REMEDY = "give the cell with the defaults the tag parameters, which a tool has removed"


class NotStarted(ValueError):
    """A chapter cannot be started as it was asked to. A notebook shows the message alone, without a traceback."""

    def _render_traceback_(self) -> list[str]:
        """The lines that IPython shows in place of the traceback."""
        return [f"not started: {self}"]


@dataclass(frozen=True)
class Cell:
    """An executed cell.

    Args:
        names: the names that it assigns.
        values: the values that it assigns, as far as they are written out.
        headed: whether it is a cell of parameters: it has their head, or it has lost it and assigns the preset and other
            values that are written out, with comments.
        commented: whether it has comments besides this head.
    """

    names: tuple[str, ...]
    values: Mapping[str, Any]
    headed: bool
    commented: bool

    @classmethod
    def of(cls, source: str) -> "Cell":
        """The cell with this source; one without names if this is not plain Python, such as a command of IPython."""
        headed = source.lstrip().startswith(MARKER)
        try:
            tree = ast.parse(source)
            tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
        except (SyntaxError, ValueError, tokenize.TokenError):
            return cls((), {}, headed, False)
        names = [node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)]
        values = _written_values(tree)
        commented = sum(token.type == tokenize.COMMENT for token in tokens) > headed
        has_defaults = commented and PRESET in values and len(values) == len(tree.body)
        return cls(tuple(names), values, headed or has_defaults, commented)

    @property
    def may_be_injected(self) -> bool:
        """Whether papermill can have inserted it."""
        return self.headed and not self.commented


def _written_values(tree: ast.Module) -> dict[str, Any]:
    values = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            try:
                values[node.targets[0].id] = ast.literal_eval(node.value)
            except ValueError:
                continue
    return values


def parameters_in_force(
    chapter: str, history: Sequence[str], variables: Mapping[str, Any], known: Sequence[str]
) -> dict[str, Any]:
    """Checks the parameters of a chapter before its start, and returns their values by name.

    A value whose line was deleted is not in force, although the kernel still has it.

    Args:
        chapter: its name.
        history: the sources of the executed cells, the first of which is empty, as IPython keeps them.
        variables: the present values.
        known: the names of its parameters.

    Raises:
        ValueError: a name that is not a parameter, a value that papermill passed and a later cell has replaced, or a parameter
            that no cell has set.
    """
    cells = [Cell.of(source) for source in history]
    for name in _assigned_names(cells):
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f", did you mean {near[0]}?" if near else ""
            raise ValueError(f"{chapter} has no parameter {name}{hint} (it has: {', '.join(known)})")
    for place, cell in enumerate(cells):
        if cell.may_be_injected:
            _require_kept(chapter, cells, place, variables)
    assigned = _names_in_force(cells)
    if unset := [name for name in known if not (name in assigned and name in variables) and name != OVERRIDES]:
        raise ValueError(f"{chapter}: the parameter {unset[0]} has no value; run the cell headed {MARKER} with a line for it")
    return {name: variables[name] for name in known if name in assigned}


def _names_in_force(cells: Sequence[Cell]) -> set[str]:
    """The names that the last cell with defaults assigns, and the cells of parameters after it."""
    own = [place for place, cell in enumerate(cells) if cell.headed and cell.commented]
    return {name for cell in cells[own[-1] if own else 0 :] if cell.headed for name in cell.names}


def values_not_in_use(history: Sequence[str], used: Mapping[str, Any]) -> dict[str, Any]:
    """The values of parameters that the cells of `history` assign otherwise than they are used, by name."""
    values = {name: value for cell in map(Cell.of, history) if cell.headed for name, value in cell.values.items()}
    return {name: value for name, value in values.items() if name not in used or used[name] != value}


def _assigned_names(cells: Sequence[Cell]) -> list[str]:
    """The names assigned in the last cells of parameters, without other cells between them, and in one at the very top."""
    headed = [place for place, cell in enumerate(cells) if cell.headed]
    if not headed:
        return []
    first = headed[-1]
    while cells[first - 1].headed:
        first -= 1
    chosen = cells[first : headed[-1] + 1]
    at_the_top = cells[1:2] if len(cells) > 1 and cells[1].may_be_injected else []
    return [name for cell in (*at_the_top, *chosen) for name in cell.names]


def _require_kept(chapter: str, cells: Sequence[Cell], place: int, variables: Mapping[str, Any]) -> None:
    """Raises ValueError if a later cell has replaced a value of an injected cell by another one that is written out in it."""
    injected = cells[place]
    before = {name for cell in cells[:place] if cell.headed for name in cell.names}
    for name, value in injected.values.items():
        if name not in variables or (type(variables[name]) is type(value) and variables[name] == value):
            continue
        for later in cells[place + 1 :]:
            executed_again = later.headed and (name in before or (later.may_be_injected and later.names == injected.names))
            if name in later.values and later.values[name] != value and not executed_again:
                now = later.values[name]
                raise ValueError(
                    f"{chapter}: papermill passed {name} = {value!r}, but a later cell set it to {now!r}; {REMEDY}"
                )


def check_nothing_came_late(chapter: str, history: Sequence[str]) -> None:
    """Raises ValueError if papermill passed values in the cells of `history`, which came after the start of the chapter."""
    for cell in map(Cell.of, history):
        if cell.may_be_injected and cell.values:
            names = ", ".join(cell.values)
            raise ValueError(f"{chapter}: {names} came after the start of the chapter, which did not use it; {REMEDY}")


def check_value(what: str, value: Any, kind: type) -> None:
    """Raises ValueError if a value is not of a type, or out of its range."""
    try:
        TypeAdapter(kind, config=ConfigDict(strict=True)).validate_python(value)
    except ValidationError as error:
        raise ValueError(f"{what} = {value!r}: {error.errors()[0]['msg']}") from None


def read_overrides(chapter: str, parameters: Mapping[str, str], variables: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that the parameters of a chapter change, by dotted name.

    Args:
        chapter: its name.
        parameters: the dotted name of the setting that a parameter sets, by parameter. One that is None sets nothing.
        variables: the values of the parameters, and perhaps of `overrides`: a dictionary, or its text in YAML.

    Raises:
        ValueError: `overrides` is of another type, or a setting is given twice.
    """
    what, overrides = f"{chapter}: overrides", variables.get(OVERRIDES, {})
    if isinstance(overrides, str):
        overrides = parse_mapping(overrides, what)
    check_value(what, overrides, dict[str, Any])
    found = given_settings(as_number(overrides), what)
    for parameter, setting in parameters.items():
        value = variables[parameter]
        if value is not None:
            if setting in found:
                raise ValueError(f"{chapter}: {setting} is given twice, as {parameter} and in overrides; remove one of them")
            found |= given_settings({setting: as_number(value)}, f"{chapter}: {parameter}")
    return found


@contextlib.contextmanager
def naming_what_was_typed(chapter: str, parameters: Mapping[str, str], given: Iterable[str]) -> Iterator[None]:
    """Lets an error about one of the `given` settings name the parameter that set it, as it was typed, and not the preset."""
    try:
        yield
    except ValueError as error:
        for setting in given:
            _, found, problem = str(error).partition(f" {setting} = ")
            if found:
                typed = next((name for name, its in parameters.items() if its == setting), f"{OVERRIDES}: {setting}")
                raise ValueError(f"{chapter}: {typed} = {problem}") from None
        raise


def found_preset(preset: str) -> str:
    """A preset whose path, if it is one, is absolute: next to the notebook, where papermill was called, or in the project.

    Raises ValueError that names the folders in which there is no such file.
    """
    if not isinstance(preset, str) or preset in preset_names() or Path(preset).suffix.lower() not in SUFFIXES:
        return preset
    folders = list(dict.fromkeys([Path.cwd(), paths.PROJECT / "book", paths.PROJECT]))
    candidates = [expanded(preset, folder) for folder in folders]
    found = next((path for path in candidates if path.is_file()), None)
    if found is None:
        places = sorted({str(path.parent) for path in candidates})
        raise ValueError(f"preset = {preset!r}: there is no such file in {', '.join(places)}")
    return str(found)
