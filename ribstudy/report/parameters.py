"""The parameters of a running chapter: its own defaults and the values that papermill passed, from the executed cells.

The cell with the defaults is headed `# Parameters`, has the tag `parameters`, and explains each of them in a comment. Papermill
inserts a cell with the same head and without comments after it. If the tag is lost, papermill inserts its cell at the top, and
the defaults replace the values that it passed.
"""

import ast
import difflib
import io
import tokenize
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from ribstudy.config import given_settings
from ribstudy.runtime.strict_yaml import as_number, parse_mapping

MARKER = "# Parameters"
REMEDY = "give the cell with the defaults the tag parameters, which a tool has removed"


@dataclass(frozen=True)
class Cell:
    """An executed cell.

    Args:
        names: the names that it assigns.
        values: the values that it assigns, as far as they are written out.
        headed: whether it is headed as a cell of parameters.
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
        comments = [token for token in tokens if token.type == tokenize.COMMENT]
        return cls(tuple(names), _written_values(tree), headed, len(comments) > headed)

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


def check_parameters(chapter: str, history: Sequence[str], variables: Mapping[str, Any], known: Sequence[str]) -> None:
    """Checks the parameters of a chapter before its start.

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
    if unset := [name for name in known if name not in variables and name != "overrides"]:
        raise ValueError(f"{chapter}: the parameter {unset[0]} has no value; run the cell headed {MARKER} first")


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
    what, overrides = f"{chapter}: overrides", variables.get("overrides", {})
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
