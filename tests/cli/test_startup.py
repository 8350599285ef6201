"""The command line imports libraries that take seconds to import only when it computes something."""

import subprocess
import sys
from pathlib import Path

import pytest
from helpers.tiny_study import options_of

ROOT = Path(__file__).resolve().parents[2]
SLOW = {"torch", "torchvision", "timm", "accelerate", "pandas", "scipy", "skimage", "sklearn", "matplotlib", "torchcam"}


def slow_imports(code: str) -> set[str]:
    """The slow libraries that a new process has imported after running some code, which may end with SystemExit."""
    program = f"import sys\ntry:\n    {code}\nfinally:\n    print('imported', *{{m.split('.')[0] for m in sys.modules}})"
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    last = run.stdout.splitlines()[-1].split() if run.stdout else []
    assert run.returncode == 0, run.stderr
    assert last[0] == "imported"
    return SLOW & set(last)


@pytest.mark.parametrize("module", ["ribstudy", "ribstudy.stages", "ribstudy.cli.main", "ribstudy.workflow.plan"])
def test_a_module_imports_nothing_slow(module):
    assert slow_imports(f"import {module}") == set()


@pytest.mark.parametrize("arguments", [["--help"], ["rib", "--help"]])
def test_help_imports_nothing_slow(arguments):
    assert slow_imports(f"from ribstudy.cli.main import main; main({arguments})") == set()


@pytest.mark.parametrize("command", ["status", "data", "classifier"])
def test_a_command_with_nothing_to_compute_imports_nothing_slow(data_root, trained, command):
    arguments = [command, *options_of(data_root, trained)]
    assert slow_imports(f"from ribstudy.cli.main import main; assert main({arguments}) == 0") == set()


def test_a_module_that_computes_imports_something_slow():
    """Otherwise the tests above would look for the wrong names."""
    assert "torch" in slow_imports("import ribstudy.method.rib")
