"""The table at the end of a batch."""

import os

import pytest

from ribstudy.stages.classifier import CLASSIFIER
from ribstudy.stages.maps import CAM
from ribstudy.workflow.batch import Batch, BatchRun
from ribstudy.workflow.jobs import CHAPTERS, Job
from ribstudy.workflow.outcome import outcome, table
from ribstudy.workflow.plan import Plan


@pytest.fixture
def three_classifiers(monkeypatch):
    """The plan of three runs with different classifiers, and of a page without jobs."""
    monkeypatch.setitem(CHAPTERS, "chapter", lambda settings: {"cam": Job(CAM)})
    runs = [BatchRun(f"run{epochs - 1}", "chapter", "study", {"classifier.epochs": epochs}, {}) for epochs in (1, 2, 3)]
    return Plan(Batch(about="a test", preset="study"), [*runs, BatchRun("status", "status", "study", {}, {})])


def test_the_outcome_of_a_batch(three_classifiers, tmp_path):
    """One run is done, one has a failed shard, one waits for its classifier; the notebook of the page without jobs failed."""
    groups = three_classifiers.groups.values()
    done, logs, notebooks = (tmp_path / name for name in ("done", "logs", "notebooks"))
    for folder in (done, logs, notebooks / "unfinished"):
        folder.mkdir(parents=True)
    classifiers = [group.name for group in groups if group.stage is CLASSIFIER]
    cams = [group.name for group in groups if group.stage is CAM]
    data = next(group.name for group in groups if group.stage.name == "data")
    for name in (data, classifiers[0], cams[0], classifiers[1], f"{cams[1]}.0-2"):
        (done / name).touch()
    for name in (classifiers[0], f"{cams[1]}.0-2", f"{cams[1]}.1-2", classifiers[2]):
        (logs / f"{name}.log").write_text("a message")
    os.utime(logs / f"{classifiers[2]}.log", (50, 50))  # from an earlier batch
    (notebooks / "run0.ipynb").touch()
    (notebooks / "unfinished" / "status.ipynb").touch()
    assert outcome(three_classifiers, done=done, logs=logs, notebooks=notebooks, since=100) == [
        (f"{cams[1]}.1-2", "failed", str(logs / f"{cams[1]}.1-2.log")),
        ("run0", "done", str(notebooks / "run0.ipynb")),
        ("run1", "not run", f"needs {cams[1]}"),
        ("run2", "not run", f"needs {classifiers[2]}"),
        ("status", "failed", str(notebooks / "unfinished" / "status.ipynb")),
    ]


def test_the_columns_of_the_table_are_aligned():
    assert table([("a", "done", "x"), ("long", "not run", "")]) == "  a     done     x\n  long  not run"
