"""The commands of the page "How to run" work as they are written, and saving in JupyterLab leaves git clean."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from ribstudy.cli.main import main

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "book" / "how_to_run.md").read_text()
BLOCKS = re.findall(r"```bash\n(.*?)```", TEXT, re.DOTALL)
TESTED = [block for block in BLOCKS if block.startswith("# tested\n")]
COMMAND = re.compile(r"^(?:make|papermill|snakemake|jupyter|python -m ribstudy)\b.*$", re.MULTILINE)


def run(script: str, folder: Path, **more: str) -> subprocess.CompletedProcess:
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PRESET": str(ROOT / "tests" / "smallest.yml"),
        "OUT": str(folder / "out"),
        "RIBSTUDY_RESULTS": str(folder / "results"),
        "RIBSTUDY_DATA": str(folder / "data"),
        "RIBSTUDY_PUBLISHED": str(folder / "published"),
        "OMP_NUM_THREADS": "1",
        **more,
    }
    return subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("block", TESTED, ids=[f"block{index}" for index in range(len(TESTED))])
def test_command_of_the_page_runs(block, tmp_path):
    (tmp_path / "out").mkdir()
    done = run(block, tmp_path)
    assert done.returncode == 0, f"{block}\n{(done.stdout + done.stderr)[-3000:]}"


def test_most_kinds_of_commands_are_tested():
    programs = {line.split()[0] for block in TESTED for line in COMMAND.findall(block)}
    assert {"papermill", "python", "snakemake", "make"} <= programs


@pytest.mark.parametrize(
    "line", sorted({line for block in BLOCKS for line in COMMAND.findall(block) if line.startswith("python -m ribstudy")})
)
def test_every_command_of_the_study_is_one_that_exists(line):
    """The arguments are accepted. The command itself may need data that the tests do not have."""
    arguments = shlex.split(line, comments=True)[3:]
    with pytest.raises(SystemExit) as stopped:
        main([*arguments, "--help"])
    assert stopped.value.code == 0


@pytest.mark.parametrize("target", sorted(set(re.findall(r"`?make ([a-z][a-z-]+)", TEXT))))
def test_every_target_of_make_is_there(target):
    assert f"\n{target}:" in (ROOT / "Makefile").read_text()


def test_saving_an_executed_chapter_leaves_git_clean(tmp_path):
    """`make setup` installs the filter; JupyterLab writes outputs, counts, identifiers and its own metadata into the file."""
    clone = tmp_path / "clone"
    clone.mkdir()
    shutil.copy(ROOT / "book" / "02_data.ipynb", clone / "chapter.ipynb")
    shutil.copy(ROOT / ".gitattributes", clone)
    git = "git -c user.name=a -c user.email=a@example.org"
    (recipe,) = re.findall(r"git config (filter\.notebook\.clean) '(.*)'\n", (ROOT / "Makefile").read_text())
    command = recipe[1].replace('"$(CURDIR)/$(BIN)/python"', f"PYTHONPATH={shlex.quote(str(ROOT))} {sys.executable} -P")
    first = run(
        f"cd {clone} && git init -q && git config {recipe[0]} {shlex.quote(command)} && git add . && {git} commit -qm first",
        tmp_path,
    )
    assert first.returncode == 0, first.stderr
    notebook = nbformat.read(clone / "chapter.ipynb", as_version=4)
    for cell in notebook.cells:
        cell.id = f"new-{cell.id}"
        cell.metadata |= {"editable": True, "slideshow": {"slide_type": ""}}
        if cell.cell_type == "code":
            cell.execution_count = 7
            cell.outputs = [nbformat.v4.new_output("stream", text="done\n")]
            cell.metadata |= {
                "execution": {"iopub.execute_input": "2026-01-01T00:00:00Z"},
                "tags": cell.metadata.get("tags", []),
            }
    notebook.metadata["widgets"] = {"application/vnd.jupyter.widget-state+json": {"state": {}, "version_major": 2}}
    notebook.metadata["kernelspec"]["display_name"] = "Python 3 (ipykernel)"
    notebook.metadata["language_info"] |= {"version": "3.11.7", "pygments_lexer": "ipython3"}
    nbformat.write(notebook, clone / "chapter.ipynb")
    assert run(f"cd {clone} && git diff --quiet && git add . && git diff --cached --quiet", tmp_path).returncode == 0
    assert run(f"cd {clone} && git status --porcelain", tmp_path).stdout == ""
    notebook.cells[0].source += " A word more."
    nbformat.write(notebook, clone / "chapter.ipynb")
    assert "A word more" in run(f"cd {clone} && git diff", tmp_path).stdout
