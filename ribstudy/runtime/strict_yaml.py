"""The one reader of settings: of presets, batches, `--set`, `--each` and the parameters of notebooks.

It reads YAML so that no value is taken for another one. A key that is there twice is an error, and values mean what YAML 1.2
says: `1e-4` is a number and `010` is ten, while `yes`, `off`, `1_000` and `12:30` are texts, which no setting takes for a
number or for true.
"""

import codecs
import re
from pathlib import Path
from typing import Any, ClassVar

import yaml

TAG = "tag:yaml.org,2002:"
BOMS = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
# The texts that mean something else than themselves, with the characters they can begin with: the core schema of YAML 1.2.
SCALARS = {
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "bool": (r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    "int": (r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    "float": (
        r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*)([eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
    "merge": (r"<<", ["<"]),
}
EXPONENT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+")  # a number that YAML 1.1 can take for a text
MOST_VALUES = 100_000  # of a text: aliases can make a short one stand for millions
WORDS = {"found character '\\t' that cannot start any token": "a tab; YAML is indented with spaces"}


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: ClassVar[dict] = {}  # none of YAML 1.1

    def compose_mapping_node(self, anchor: str | None) -> yaml.MappingNode:
        """The mapping; an error if a key is there twice or is not a text. Keys that `<<` merges do not count."""
        mapping = super().compose_mapping_node(anchor)
        first: dict[str, int] = {}
        for key, _ in mapping.value:
            if key.tag not in (f"{TAG}str", f"{TAG}merge"):
                raise _problem("a name is expected here, not a number, a list or nothing (quote a name such as '1')", key)
            if key.value in first:
                where = f", first in line {first[key.value]}" if first[key.value] <= key.start_mark.line else ""
                raise _problem(f"{key.value!r} is there twice{where}", key)
            first[key.value] = key.start_mark.line + 1
        return mapping

    def get_single_node(self) -> yaml.Node | None:
        """The document; an error if an alias stands for something that contains it, or all aliases for too many values."""
        document = super().get_single_node()
        if document is not None:
            _num_values(document, {})
        return document

    def construct_int(self, node: yaml.ScalarNode) -> int:
        text = self.construct_scalar(node)
        return int(text, 0) if text[:2] in ("0x", "0o") else int(text)


for _name, (_pattern, _first) in SCALARS.items():
    _Loader.add_implicit_resolver(f"{TAG}{_name}", re.compile(f"(?:{_pattern})$"), _first)
_Loader.add_constructor(f"{TAG}int", _Loader.construct_int)


def _num_values(node: yaml.Node, known: dict[yaml.Node, int | None]) -> int:
    """The number of values in a node. known: the numbers found so far; None: in a node around this one."""
    if node in known:
        if known[node] is None:
            raise _problem("an alias stands for something that contains it", node)
        return known[node]
    known[node] = None
    parts = [] if isinstance(node, yaml.ScalarNode) else node.value
    values = [part[1] for part in parts] if isinstance(node, yaml.MappingNode) else parts
    known[node] = number = 1 + sum(_num_values(value, known) for value in values)
    if number > MOST_VALUES:
        raise _problem(f"there are more than {MOST_VALUES:,} values here, perhaps through aliases (*)", node)
    return number


def _problem(text: str, node: yaml.Node) -> yaml.MarkedYAMLError:
    return yaml.composer.ComposerError(problem=text, problem_mark=node.start_mark)


def parse(text: str, what: str) -> Any:
    """The value of a YAML text. Raises ValueError in one line that begins with `what` and names the line of the problem."""
    try:
        return yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        problem = WORDS.get(error.problem, error.problem)
        problem = f"{error.context}, {problem}" if problem.startswith("but ") else problem
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark and "\n" in text.strip() else ""
        raise ValueError(f"{what}{line}: {problem}") from None
    except yaml.YAMLError as error:
        raise ValueError(f"{what}: {str(error).splitlines()[0]}") from None
    except (ValueError, RecursionError) as error:  # a whole number of thousands of digits, or thousands of open brackets
        raise ValueError(f"{what}: is not YAML that can be read ({error})") from None


def parse_mapping(text: str, what: str) -> dict[str, Any]:
    """The names and values of a YAML text. Raises ValueError as `parse` does, and if the text is anything else."""
    values = parse(text, what)
    if not isinstance(values, dict):
        found = "is empty" if values is None else f"is a {_kind(values)}"
        raise ValueError(f"{what} contains no settings: it {found}, expected names with values")
    return values


def lines_of(text: str) -> list[tuple[str, int]]:
    """The dotted names of all values in a YAML text without errors, each with its line, counted from 0."""

    def walk(mapping: yaml.MappingNode, prefix: str) -> list[tuple[str, int]]:
        found = []
        for key, value in mapping.value:
            name = f"{prefix}{key.value}"
            found.append((name, value.start_mark.line))
            if isinstance(value, yaml.MappingNode):
                found += walk(value, f"{name}.")
        return found

    return walk(yaml.compose(text, _Loader), "")


def parse_value(text: str, what: str) -> Any:
    """The value of a short YAML text, such as one on the command line. A comment is an error: its text would be lost."""
    value = parse(text, what)
    end = yaml.compose(text, _Loader).end_mark.index if text.strip() else 0
    if text[end:].strip() not in ("", "..."):
        raise ValueError(f"{what}: YAML ends at {text[:end].strip()!r} and reads the rest as a comment; quote the value")
    return value


def read_mapping(path: Path, what: str) -> dict[str, Any]:
    """The names and values in a YAML file. Raises ValueError as `parse_mapping` does, and if the file cannot be read."""
    return parse_mapping(read_text(path, what), what)


def read_text(path: Path, what: str) -> str:
    """The text of a file in UTF-8, or in UTF-16 with a byte order mark. Raises ValueError that begins with `what`."""
    if path.is_dir():
        raise ValueError(f"{what}: {path} is a folder, not a file")
    if not path.is_file():
        raise ValueError(f"{what}: there is no file {path}")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{what}: {path} could not be read ({error.strerror})") from None
    encoding = next((encoding for bom, encoding in BOMS.items() if content.startswith(bom)), "utf-8-sig")
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        byte = content[error.start]
        raise ValueError(f"{what}, line {line}: is not text in UTF-8 (byte 0x{byte:02x}); save the file as UTF-8") from None


def as_number(value: Any) -> Any:
    """The value, in which texts such as 1e-4 are numbers: YAML 1.1, which papermill reads, takes them for texts."""
    if isinstance(value, dict):
        return {name: as_number(part) for name, part in value.items()}
    if isinstance(value, list):
        return [as_number(part) for part in value]
    return float(value) if isinstance(value, str) and EXPONENT.fullmatch(value) else value


def _kind(value: Any) -> str:
    return {list: "list", str: "text", bool: "truth value"}.get(type(value), "number")
