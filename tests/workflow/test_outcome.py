"""The table at the end of a batch, and the failures that it tells of."""

import logging
from types import SimpleNamespace

import pytest

from ribstudy.stages.classifier import CLASSIFIER
from ribstudy.stages.maps import CAM
from ribstudy.workflow.batch import Batch, BatchRun
from ribstudy.workflow.job import Job
from ribstudy.workflow.jobs import CHAPTERS
from ribstudy.workflow.outcome import Failure, Failures, outcome, table
from ribstudy.workflow.plan import Plan
from ribstudy.workflow.waves import waves


@pytest.fixture
def three_classifiers(monkeypatch):
    """The plan of three runs with different classifiers, and of a page without jobs."""
    monkeypatch.setitem(CHAPTERS, "chapter", lambda settings: {"cam": Job(CAM)})
    runs = [BatchRun(f"run{epochs - 1}", "chapter", "study", {"classifier.epochs": epochs}, {}) for epochs in (1, 2, 3)]
    return Plan(Batch(about="a test", preset="study", shards=2), [*runs, BatchRun("status", "status", "study", {}, {})])


def test_the_outcome_of_a_batch(three_classifiers, tmp_path):
    """One run is done, one has two failed parts, one waits for its classifier; the notebook of the page without jobs failed."""
    groups = three_classifiers.groups.values()
    done, logs, notebooks = (tmp_path / name for name in ("done", "logs", "notebooks"))
    for folder in (done, logs, notebooks / "unfinished"):
        folder.mkdir(parents=True)
    classifiers = [group.name for group in groups if group.stage is CLASSIFIER]
    cams = [group.name for group in groups if group.stage is CAM]
    data = next(group.name for group in groups if group.stage.name == "data")
    made = waves(three_classifiers)
    (second,) = [wave.name for wave in made.values() if wave.groups == (cams[1],)]
    for name in (data, classifiers[0], cams[0], classifiers[1]):
        (done / name).touch()
    (done / f"{second}.0-2").write_text(f"{cams[1]}\n")
    failures = {
        f"{second}.1-2": Failure("time limit (asked for 60 minutes)", "slurm/8.log"),
        f"{second}.0-2": Failure("cancelled", "slurm/7.log"),  # and done at the second attempt
        classifiers[2]: Failure("", "classifier.log"),
    }
    (notebooks / "run0.ipynb").touch()
    (notebooks / "unfinished" / "status.ipynb").touch()
    assert outcome(three_classifiers, made, failures, done=done, logs=logs, notebooks=notebooks, since=100) == [
        (classifiers[2], "failed", "classifier.log"),
        (f"{cams[1]}.1-2", "failed", "time limit (asked for 60 minutes); slurm/8.log"),
        (f"{cams[1]}.0-2", "failed", str(logs / f"{cams[1]}.0-2.log")),
        ("run0", "done", str(notebooks / "run0.ipynb")),
        ("run1", "not run", f"needs {cams[1]}"),
        ("run2", "not run", f"needs {classifiers[2]}"),
        ("status", "failed", str(notebooks / "unfinished" / "status.ipynb")),
    ]


def told(event: str, **values) -> logging.LogRecord:
    """A message as Snakemake writes it."""
    return logging.makeLogRecord({"event": SimpleNamespace(name=event), "jobid": 5, "rule_name": "stage", **values})


def test_a_failure_names_the_reason_the_request_and_the_log_that_says_more(tmp_path):
    own, of_slurm = tmp_path / "own.log", tmp_path / "7.log"
    own.write_text("a message of the stage")
    failures = Failures()
    failures.handle(told("JOB_INFO", resources={"mem_mb": 500, "runtime": 9}, threads=2))
    message = "SLURM-job '7' failed, SLURM status is: '{}'."
    error = {"output": ["/done/group"], "log": [str(own), str(of_slurm)]}
    failures.handle(told("JOB_ERROR", rule_msg=message.format("TIMEOUT"), **error))
    assert failures.found == {
        "group": Failure("time limit (asked for 2 cores, 500 MB of memory, 9 minutes)", str(of_slurm)),
    }
    failures.handle(told("JOB_ERROR", rule_msg=message.format("FAILED"), **error))
    assert failures.found == {"group": Failure("", str(own))}
    failures.handle(told("JOB_ERROR", rule_msg=message.format("CANCELLED"), output=["/done/wave"], log=[str(of_slurm)]))
    assert failures.found["wave"].log == str(of_slurm)
    del failures.found["wave"]
    own.write_text("")
    failures.handle(told("JOB_ERROR", rule_msg=message.format("FAILED"), **error))
    assert failures.found == {"group": Failure("", str(of_slurm))}


def test_the_columns_of_the_table_are_aligned():
    assert table([("a", "done", "x"), ("long", "not run", "")]) == "  a     done     x\n  long  not run"
