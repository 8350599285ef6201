"""Messages of a notebook to the person who runs it. A kernel without a front end stands for papermill and for JupyterLab."""

from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from IPython.core.events import EventManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from ribstudy.report.notebook import Interrupted, ParameterWatch, origin, saved_since, text_of_other_code
from ribstudy.report.parameters import NotStarted

OWN = '# Parameters\npreset = "study"  # settings\ntau = {}  # a share'


@pytest.fixture
def watched(tmp_path):
    """The history of a notebook, and the warnings before each cell that is executed."""
    history, events, warnings = ["", OWN.format(None), "chapter = start(...)"], None, []
    events = EventManager(None, {"pre_run_cell": lambda info: None})

    def run(cell: str) -> list[str]:
        history.append(cell)
        warnings.clear()
        events.trigger("pre_run_cell", SimpleNamespace(raw_cell=cell))
        return list(warnings)

    for _ in range(2):  # the second start replaces the watch of the first one
        used, warn = {"preset": "study", "tau": None}, warnings.append
        ParameterWatch(history, len(history), used, lambda: saved_since(tmp_path / "a.ipynb", 0), warn).begin(events)
    return run


def test_later_cells_warn_of_parameters_that_are_not_in_use(watched):
    assert watched("figures.draw()") == []
    assert watched(OWN.format(0.5)) == []
    (warning,) = watched("figures.draw()")
    assert warning.startswith("tau = 0.5 is not in use: the chapter was started with tau = None. Run the parameters")
    assert watched("chapter = start(...)") == []
    assert watched(OWN.format(None)) == watched("figures.draw()") == []


def saved(path: Path, *sources: str) -> None:
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources]), path)


def test_later_cells_warn_of_a_changed_cell_that_was_saved_but_not_run(watched, tmp_path):
    saved(tmp_path / "a.ipynb", OWN.format(None), "figures.draw()")
    assert watched("figures.draw()") == []
    saved(tmp_path / "a.ipynb", OWN.format(0.5), "figures.draw()")
    (warning,) = watched("figures.draw()")
    assert warning.startswith("tau = 0.5 is not in use: the chapter was started with tau = None.")


def test_a_file_counts_only_if_it_was_saved_after_the_start(tmp_path):
    path = tmp_path / "a.ipynb"
    saved(path, "a = 1")
    assert saved_since(path, path.stat().st_mtime) == []
    assert saved_since(path, path.stat().st_mtime - 1) == ["a = 1"]
    path.write_text('{"cells": [')
    assert saved_since(path, 0) == saved_since(tmp_path / "none.ipynb", 0) == saved_since(None, 0) == []


RECORD = {"finished": "2026-11-30T00:52:56+00:00", "git": {"commit": "55bc4b3dfe7dfe144ea8", "dirty": True}}


def result(record: dict, *, here: bool):
    project = Path(__file__).resolve().parents[2]
    folder, file = project / "results" / "runs" / "cam-0123", project / "published" / "cam-0123.zip"
    return SimpleNamespace(record=lambda: record, computed_here=here, folder=folder, place=folder if here else file)


def test_a_line_says_where_a_result_is_from():
    assert origin("cam", result(RECORD, here=False)) == (
        "cam: found in published/cam-0123.zip, computed on 2026-11-30 by commit 55bc4b3dfe*"
    )
    no_commit = {**RECORD, "git": {"commit": None, "dirty": None}}
    assert origin("cam", result(no_commit, here=True)) == (
        "cam: found in results/runs/cam-0123, computed on 2026-11-30 by code that is in no commit"
    )


def test_an_editor_learns_how_to_compute_a_result_of_other_code_anew(monkeypatch):
    page = text_of_other_code(result(RECORD, here=True))
    assert page.startswith("**Computed by other code:** some results of this page")
    monkeypatch.setattr("ribstudy.report.notebook.is_live", lambda: True)
    assert text_of_other_code(result(RECORD, here=True)).endswith("delete `results/runs/cam-0123`.")
    assert "55bc4b3dfe*" in text_of_other_code(result(RECORD, here=False))
    assert "RIBSTUDY_PUBLISHED" in text_of_other_code(result(RECORD, here=False))


@pytest.mark.parametrize(
    ("error", "lines"),
    [
        (Interrupted.at("cam", Path("/kept")), ["cam: interrupted; what is finished is kept in /kept", "Run the cell again"]),
        (NotStarted("tau = 5: too large"), ["not started: tau = 5: too large"]),
    ],
)
def test_ipython_shows_the_lines_of_an_error_and_no_traceback(error, lines):
    from IPython.core.interactiveshell import InteractiveShell

    shown = []
    shell = InteractiveShell()
    shell._showtraceback = lambda kind, value, traceback: shown.append(traceback)
    shell.user_ns["error"] = error
    shell.run_cell("raise error")
    assert [line[: len(expected)] for line, expected in zip(shown[0], lines, strict=True)] == lines


def test_an_interrupt_of_any_cell_takes_two_lines_and_stops_the_cells_after_it():
    cells = ["from IPython import get_ipython", "from ribstudy.report.notebook import shorten_interrupts"]
    cells += ["shorten_interrupts(get_ipython())", "raise KeyboardInterrupt", "1 / 0"]
    notebook = nbformat.v4.new_notebook(cells=list(map(nbformat.v4.new_code_cell, cells)))
    with pytest.raises(CellExecutionError, match="interrupted; what stages"):
        NotebookClient(notebook, kernel_name="python3").execute()
    (shown,) = notebook.cells[3].outputs
    assert shown.traceback == ["interrupted; what stages have finished is kept", "Run the cell again to compute the rest."]
    assert notebook.cells[4].outputs == []


def test_messages_and_warnings_are_plain_lines_and_live_only_under_a_server(tmp_path):
    code = """
import logging, sys, warnings
from ribstudy.report.notebook import show_messages
from ribstudy.runtime.progress import in_notebook, is_live, track
show_messages()
show_messages()
logging.getLogger("ribstudy.stages.execution").info("cam: computing 1 of 2")
warnings.warn("a warning")
print(in_notebook(), is_live(), list(track(range(3), "cam")))
"""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    resources = {"metadata": {"path": tmp_path}}
    NotebookClient(notebook, kernel_name="python3", startup_timeout=600, resources=resources).execute()
    outputs = notebook.cells[0].outputs
    text = "".join(output.text for output in outputs)
    assert {output.name for output in outputs} == {"stdout"}
    assert text.count("cam: computing 1 of 2") == 1
    assert "UserWarning: a warning" in text
    assert text.endswith("True False [0, 1, 2]\n")
