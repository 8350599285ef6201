"""The notebook "your photograph" runs with the packages that its buttons bring, and Binder gets all that the book needs."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
CELLS = [
    "".join(cell["source"])
    for cell in json.loads((ROOT / "book" / "your_photograph.ipynb").read_text())["cells"]
    if cell["cell_type"] == "code"
]
BY_THE_SERVICE = "ipython"  # Colab and Binder run notebooks, so they have it
# Runs the cells in one namespace, with the folder in the first argument in place of the installed packages.
RUN = """
import json, sys
sys.path[:] = [path for path in sys.path if "-packages" not in path] + sys.argv[1:2]
names = {}
for cell in json.load(sys.stdin):
    exec(cell, names)
print(sorted(explanation.method for _, explanation in names["look"].explanations(["cat"], methods=["cam"])))
"""


def needed(name: str, seen: set[str]) -> Iterator[metadata.Distribution]:
    """The distribution and all that it needs here, without extras."""
    if (name := canonicalize_name(name)) in seen:
        return
    seen.add(name)
    distribution = metadata.distribution(name)
    yield distribution
    for requirement in map(Requirement, distribution.requires or []):
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            with contextlib.suppress(metadata.PackageNotFoundError):  # CUDA, which torch's build for CPUs does not have
                yield from needed(requirement.name, seen)


@pytest.fixture(scope="module")
def packages(tmp_path_factory) -> Path:
    """A folder of links to the packages that `pip install ribstudy` brings, and to the study itself."""
    folder = tmp_path_factory.mktemp("packages")
    for distribution in [*needed("ribstudy", set()), *needed(BY_THE_SERVICE, set())]:
        for file in distribution.files or []:
            top = Path(file.parts[0])
            if file.parts[0] not in ("..", "__pycache__") and not (folder / top).exists():
                (folder / top).symlink_to(distribution.locate_file(top))
    (folder / "ribstudy").unlink(missing_ok=True)
    (folder / "ribstudy").symlink_to(ROOT / "ribstudy")
    return folder


def run(packages: Path, cells: list[str], folder: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, "-I", "-S", "-c", RUN, str(packages)]
    return subprocess.run(command, cwd=folder, input=json.dumps(cells), capture_output=True, text=True)


def test_the_notebook_runs_with_the_packages_of_its_buttons(packages, tmp_path):
    assert not (packages / "myst_nb").exists()
    assert not (packages / "papermill").exists()
    quick = 'methods, report = ["cam"], "my report.html"'  # instead of the adaptation, which the tests of the book run
    parameters = next(place for place, cell in enumerate(CELLS) if cell.startswith("# Parameters"))
    done = run(packages, [*CELLS[: parameters + 1], quick, *CELLS[parameters + 1 :]], tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines()[-1] == "['CAM']"
    assert "Egyptian cat" in (tmp_path / "my report.html").read_text()


def test_the_first_cell_installs_the_study_where_it_is_missing(monkeypatch):
    calls = []
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("builtins.input", lambda prompt: " https://github.com/owner/name ")
    monkeypatch.setattr("subprocess.run", lambda command, check: calls.append((command[1:], check)))
    exec(CELLS[0], {})
    assert calls == [(["-m", "pip", "install", "--quiet", "ribstudy @ git+https://github.com/owner/name"], True)]


def test_binder_installs_the_study_and_the_book_at_the_locked_versions():
    lines = (ROOT / "binder" / "requirements.txt").read_text().splitlines()
    assert "--editable .[book]" in lines
    constraints = next(line.split()[1] for line in lines if line.startswith("--constraint"))
    assert (ROOT / "binder" / constraints).resolve() == ROOT / "requirements.lock"
    conda = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    assert f"python={(ROOT / 'binder' / 'runtime.txt').read_text().strip().removeprefix('python-')}" in conda
