"""torchvision's missing operators are declared before any module of ours imports torchvision."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LIBRARIES = {"torchvision", "timm"}  # timm imports torchvision
OPERATORS = "ribstudy.runtime.torchvision_operators"
MODULES = sorted((ROOT / "ribstudy").rglob("*.py"))


def imports(path: Path) -> list[tuple[int, str]]:
    """(line, dotted name) of every import of a file, except those for type checkers."""
    found = []
    waiting = [ast.parse(path.read_text())]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        if isinstance(node, ast.ImportFrom):
            found += [(node.lineno, f"{node.module}.{alias.name}") for alias in node.names]
        waiting += ast.iter_child_nodes(node)
    return sorted(found)


def test_the_operators_are_declared_first():
    found = {path: imports(path) for path in MODULES}
    first = {path: [line for line, name in names if name.split(".")[0] in LIBRARIES] for path, names in found.items()}
    users = {path: min(lines) for path, lines in first.items() if lines}
    assert len(users) >= 5
    for path, line in users.items():
        declared = [at for at, name in found[path] if name == OPERATORS]
        assert declared, f"{path} imports torchvision or timm without {OPERATORS}"
        assert declared[0] < line, f"{path} imports torchvision or timm before {OPERATORS}"


@pytest.mark.parametrize("module", ["ribstudy.datasets.fetch", "ribstudy.report.look", "ribstudy.method.other.gradcam"])
def test_a_module_that_uses_torchvision_can_be_imported_alone(module):
    code = f"import {module}, torchvision"
    process = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
