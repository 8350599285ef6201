"""The code that a definition reaches: the definitions of its package that it names, those that these name, and so on.

Nothing is executed: names are looked up in the syntax trees of the modules. Names that are made at run time (`getattr`) are not
followed. A local variable with the name of a definition counts as that definition. The files are read once per process.
"""

import ast
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
# Parts of a syntax tree that change no result, and arguments of calls that do not: texts for people, checks before the work.
SILENT_PARTS = ("ctx", "annotation", "returns", "simple", "kind", "type_comment", "type_params")
SILENT_ARGUMENTS = ("help", "description", "requires", "item_bytes", "memory")
# Methods of a source of data that prepare, identify or check its files, and read no image. The key identifies their outcome.
SILENT_METHODS = ("prepare", "fingerprint", "mask_fingerprint", "lists", "check")


def reach(
    package: Path, start: str, *, outside: Collection[str] = (), partly: Collection[str] = (), arguments: Collection[str] = ()
) -> dict[str, str]:
    """The text of each definition (function, class as a whole, or constant) that `start` reaches, by dotted name.

    The texts say which computation it is. They leave out comments, docstrings, annotations, formatting, texts for help,
    messages of errors, conditions that only raise one, and methods that prepare or check data. They depend neither on the
    modules in which definitions are nor on the version of Python.

    Args:
        package: folder of the package.
        start: dotted name of a definition.
        outside: modules, packages with all their modules, and definitions, which do not belong to it.
        partly: definitions that do not belong to it, only the code that these `arguments` of their calls reach.
    """
    excluded = tuple(f"{name}." for name in outside)
    texts: dict[str, str] = {}
    pending = [start]
    while pending:
        for module, name in _definitions(package, pending.pop()):
            dotted = f"{module}.{name}"
            if dotted in texts or f"{dotted}.".startswith(excluded):
                continue
            texts[dotted], found = _read(package, module, name, tuple(arguments) if dotted in partly else None)
            pending += found
    return {name: text for name, text in texts.items() if name not in partly}


@dataclass(frozen=True, eq=False)
class Module:
    """The top level of a module.

    Args:
        definitions: the statements that bind each name, imports aside.
        names: the full dotted name of each name, defined or imported.
    """

    definitions: Mapping[str, list[ast.stmt]]
    names: Mapping[str, str]


@cache
def _module(package: Path, name: str) -> Module | None:
    """The module with a dotted name; None if the package does not contain it."""
    path = package.parent.joinpath(*name.split("."))
    files = (path / "__init__.py", path.parent / f"{path.name}.py") if name.split(".")[0] == package.name else ()
    found = next(filter(Path.is_file, files), None)
    if found is None:
        return None
    definitions: dict[str, list[ast.stmt]] = {}
    names: dict[str, str] = {}
    for statement in ast.parse(found.read_text(encoding="utf-8")).body:
        names |= {} if isinstance(statement, SCOPES) else _imports(statement)
        for bound in _bound(statement):
            definitions.setdefault(bound, []).append(statement)
    return Module(definitions, names | {bound: f"{name}.{bound}" for bound in definitions})


@cache
def resolve(package: Path, name: str) -> str:
    """The dotted name of something where it is defined: modules that only import it are skipped."""
    parent, _, last = name.rpartition(".")
    if not parent or _module(package, name):
        return name
    parent = resolve(package, parent)
    module, here = _module(package, parent), f"{parent}.{last}"
    meant = module.names.get(last, here) if module else here
    return here if meant == here else resolve(package, meant)


@cache
def _split(package: Path, name: str) -> tuple[str, str]:
    """A resolved name as its module, "" outside the package, and the rest."""
    module, rest = name, ""
    while module and not _module(package, module):
        module, _, last = module.rpartition(".")
        rest = f"{last}.{rest}" if rest else last
    return module, rest


def _definitions(package: Path, name: str) -> list[tuple[str, str]]:
    """The definition that a resolved name begins with; if it names only a module, all definitions of the module."""
    module, rest = _split(package, name)
    known = _module(package, module).definitions if module else {}
    first = rest.split(".")[0]
    return [(module, each) for each in ([first] if first in known else known)]


@cache
def _read(package: Path, module: str, name: str, arguments: tuple[str, ...] | None) -> tuple[str, frozenset[str]]:
    """The text of a definition, or of some arguments of its calls, and the resolved names in it."""
    found: set[str] = set()
    of_module = _module(package, module)
    read: list[ast.AST] = list(of_module.definitions[name])
    if arguments is not None:
        nodes = (node for statement in read for node in ast.walk(statement))
        read = [node for node in nodes if isinstance(node, ast.keyword) and node.arg in arguments]
    return _text(read, of_module.names, package, found), frozenset(found)


def _text(node: object, names: Mapping[str, str], package: Path, found: set[str]) -> str:
    """A syntax tree as text, in which `names` are resolved and added to `found`.

    `ast.dump` and `ast.unparse` write different texts in different versions of Python.
    """
    if isinstance(node, list):
        return f"[{','.join(_text(each, names, package, found) for each in node if not _is_silent(each))}]"
    if not isinstance(node, ast.AST):
        return ascii(node)
    first, *rest = _chain(node) or [""]
    if first in names:
        name = resolve(package, ".".join([names[first], *rest]))
        found.add(name)
        module, inside = _split(package, name)
        return inside or module
    if isinstance(node, ast.AnnAssign):
        node = ast.Assign([node.target], node.value)
    if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
        node = ast.Raise(node.exc.func)
    if isinstance(node, SCOPES):
        names = {**names, **_imports(node)}
    parts = [f"{part}={_text(value, names, package, found)}" for part, value in _parts(node) if value not in (None, [])]
    return f"{type(node).__name__}({','.join(parts)})"


def _parts(node: ast.AST) -> Iterator[tuple[str, object]]:
    """The parts of a node that matter. Annotations do so only by their presence in a class, where they make data fields."""
    if isinstance(node, ast.ClassDef):
        yield "fields", [each.target for each in node.body if isinstance(each, ast.AnnAssign)]
    yield from ((part, value) for part, value in ast.iter_fields(node) if part not in SILENT_PARTS)


def _is_silent(node: object) -> bool:
    """Whether a statement or argument changes no result.

    Imports do not, because names are written in full. A refusal does not, because then there is no result.
    """
    if isinstance(node, ast.keyword):
        return node.arg in SILENT_ARGUMENTS
    if isinstance(node, ast.FunctionDef):
        return node.name in SILENT_METHODS
    if isinstance(node, ast.AnnAssign):
        return node.value is None
    if isinstance(node, ast.If) and len(node.body) == 1 and isinstance(node.body[0], ast.Raise) and not node.orelse:
        return not any(isinstance(each, ast.NamedExpr) for each in ast.walk(node.test))  # a name may be used later
    is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    return is_docstring or isinstance(node, ast.Import | ast.ImportFrom | ast.Pass)


def _chain(node: ast.AST) -> list[str]:
    """["a", "b", "c"] for a.b.c; empty for anything but a name and its attributes."""
    if isinstance(node, ast.Name):
        return [node.id]
    start = _chain(node.value) if isinstance(node, ast.Attribute) else []
    return [*start, node.attr] if start else []


def _imports(tree: ast.AST) -> dict[str, str]:
    """The full dotted name of each name that the import statements in a tree bind."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            heads = {alias: alias.name.split(".")[0] for alias in node.names}  # `import a.b` binds a, `import a.b as c` a.b
            names |= {alias.asname or head: alias.name if alias.asname else head for alias, head in heads.items()}
    return names


def _bound(statement: ast.stmt) -> dict[str, None]:
    """The names that a top-level statement binds, imports aside."""
    nodes = [statement] if isinstance(statement, SCOPES) else list(ast.walk(statement))
    names = [node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)]
    return dict.fromkeys([*names, *(node.name for node in nodes if isinstance(node, SCOPES))])
