"""Checks how the modules of ribstudy import each other: `python -m tools.lint_imports`.

There are three rules. No module imports itself through other modules. A package imports only packages before it in `LAYERS`. No
function imports a module of ribstudy, except in the layers of `LATE`. Imports under `if TYPE_CHECKING:` never run and are
allowed.
"""

import ast
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "ribstudy"
# The order of the work: first tools that any study could use, then data, networks and the paper's method, then its maps'
# masks and scores, then how runs are stored and planned, and last the report and the command line. A reader who follows an
# import always moves towards the simpler module.
LAYERS = (
    "_version",
    "presets",
    "runtime",
    "settings",
    "datasets",
    "models",
    "method",
    "masks",
    "evaluation",
    "training",
    "toy",
    "items",
    "published",
    "store",
    "config",
    "stages",
    "workflow",
    "report",
    "bench",
    "cli",
    "__main__",
)

# Layers that import some modules only when they work, because torch, pandas and scipy take seconds to import: the package
# exports the method, the command line loads what its command needs, and every command and plan reads the declarations of all
# stages, but few compute one. The other two rules hold for these imports too.
LATE = (PACKAGE, "cli", "stages")

When = Literal["module", "function", "typing"]


@dataclass(frozen=True)
class Import:
    """One module of ribstudy imports another: in which line, and when the import runs."""

    importer: str
    imported: str
    line: int
    when: When


def problems_of(sources: Mapping[str, str]) -> list[str]:
    """The problems of all modules together, one line each.

    sources: dotted name of each module -> its text. A package has the name of its folder.
    """
    imports = [found for module in sources for found in imports_of(module, sources)]
    run = [found for found in imports if found.when != "typing"]
    return [*_late_imports(run), *_broken_layers(run), *_cycles(run)]


def imports_of(module: str, sources: Mapping[str, str]) -> list[Import]:
    """All imports of modules of ribstudy in one module."""
    return [
        Import(module, imported, node.lineno, when)
        for node, when in _import_nodes(ast.parse(sources[module]).body, "module")
        for imported in _imported(node, module, sources)
    ]


def _import_nodes(nodes: Sequence[ast.AST], when: When) -> Iterator[tuple[ast.Import | ast.ImportFrom, When]]:
    """The import statements below some nodes, and when each runs."""
    for node in nodes:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node, when
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from _import_nodes(list(ast.iter_child_nodes(node)), "function" if when == "module" else when)
        elif isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            yield from _import_nodes(node.body, "typing")
            yield from _import_nodes(node.orelse, when)
        else:
            yield from _import_nodes(list(ast.iter_child_nodes(node)), when)


def _imported(node: ast.Import | ast.ImportFrom, module: str, sources: Mapping[str, str]) -> list[str]:
    """The modules of ribstudy that one statement imports: of `from a import b` it is `a.b` if that is a module, else `a`."""
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    else:
        base = node.module or ""
        if node.level:
            is_package = any(name.startswith(f"{module}.") for name in sources)
            parents = module.split(".")[: len(module.split(".")) - node.level + is_package]
            base = ".".join([*parents, *([node.module] if node.module else [])])
        inner = [f"{base}.{alias.name}" for alias in node.names]
        names = list(dict.fromkeys(name if name in sources else base for name in inner))
    return [name for name in names if name.split(".")[0] == PACKAGE]


def _late_imports(imports: Sequence[Import]) -> list[str]:
    """Imports inside functions, except in the layers of `LATE`. An import in another place would hide what a module needs."""
    return [
        f"{_place(found)}: imports {found.imported} inside a function: import it at the top of the module"
        for found in imports
        if found.when == "function" and layer_of(found.importer) not in LATE
    ]


def _broken_layers(imports: Sequence[Import]) -> list[str]:
    problems = []
    for found in imports:
        lower, upper = layer_of(found.imported), layer_of(found.importer)
        for module, layer in ((found.importer, upper), (found.imported, lower)):
            if layer not in (PACKAGE, *LAYERS):
                problems.append(f"{module}: {layer} is not in LAYERS of tools/lint_imports.py: add it")
        if upper != lower and not _is_above(lower, upper):
            problems.append(f"{_place(found)}: {upper} imports {found.imported}, but {lower} comes after {upper} in LAYERS")
    return list(dict.fromkeys(problems))


def layer_of(module: str) -> str:
    """The package, or the module of the top folder, that a module belongs to."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else PACKAGE


def _is_above(lower: str, upper: str) -> bool:
    """Whether `upper` may import `lower`; layers that are not in the list are reported elsewhere."""
    order = (*LAYERS, PACKAGE)
    return lower not in order or upper not in order or order.index(lower) < order.index(upper)


def _cycles(imports: Sequence[Import]) -> list[str]:
    """One line for each group of modules that all import each other, directly or through others: its shortest cycle."""
    graph: dict[str, list[str]] = {}
    for found in imports:
        graph.setdefault(found.importer, []).append(found.imported)
    cycles = {module: cycle for module in sorted(graph) if (cycle := _path(graph, module, module))}
    problems = []
    while cycles:
        shortest = min(cycles.values(), key=len)
        group = [module for module in cycles if _path(graph, module, shortest[0]) and _path(graph, shortest[0], module)]
        others = len(set(group) - set(shortest))
        more = f" (more in this group: {others})" if others else ""
        problems.append(f"{_file(shortest[0])}:1: a cycle of imports: {' -> '.join(shortest)}{more}")
        cycles = {module: cycle for module, cycle in cycles.items() if module not in group}
    return problems


def _path(graph: Mapping[str, Sequence[str]], start: str, end: str) -> list[str]:
    """The shortest chain of imports, `start` and `end` included; an empty list if there is none."""
    paths, seen = [[start]], set()
    while paths:
        longer = []
        for path in paths:
            for module in graph.get(path[-1], ()):
                if module == end:
                    return [*path, end]
                if module not in seen:
                    seen.add(module)
                    longer.append([*path, module])
        paths = longer
    return []


def _place(found: Import) -> str:
    return f"{_file(found.importer)}:{found.line}"


def _file(module: str) -> str:
    path = module.replace(".", "/")
    return f"{path}/__init__.py" if (ROOT / path).is_dir() else f"{path}.py"


def read_sources(root: Path = ROOT) -> dict[str, str]:
    """Dotted name -> text of every module of ribstudy."""
    sources = {}
    for path in sorted((root / PACKAGE).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        sources[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path.read_text()
    return sources


def all_problems(root: Path = ROOT) -> list[str]:
    """The problems of all modules of ribstudy."""
    return problems_of(read_sources(root))


def main() -> int:
    problems = all_problems()
    print("\n".join(problems) or "imports: no problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
