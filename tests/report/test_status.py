"""The status page."""

import pytest

from ribstudy.report.chapter import Chapter
from ribstudy.report.status import job_rows


@pytest.fixture
def rows(monkeypatch, tmp_path):
    monkeypatch.setattr("ribstudy.store.RESULTS", tmp_path / "results")
    found = job_rows(Chapter("status", "mini", {}))
    assert not (tmp_path / "results").exists()  # it computes and writes nothing
    return found


def test_results_that_are_not_there_read_not_run(rows):
    assert {row["state"] for row in rows} == {"not run"}


def test_each_job_says_what_differs_from_the_preset(rows):
    changed = {row["changed"] for row in rows if row["stage"] == "rib"}
    assert "rib.mode = paper" in changed
    assert "seed = 1" in changed
    assert not any("seed = 0" in text for text in changed)  # the preset's own
    assert {row["images"] for row in rows if row["stage"] == "classifier"} == {""}
