"""The status page."""

import pytest
from helpers.shown_study import IMAGES
from helpers.two_presets import show_two_presets

from ribstudy.report.chapter import Chapter
from ribstudy.report.status import OTHER_CODE, check_rows, job_rows, unchecked_text
from ribstudy.runtime.machine import machine_name
from ribstudy.workflow.book import runs_shown_with
from ribstudy.workflow.spot_check import Check, Difference


@pytest.fixture
def rows(monkeypatch, tmp_path):
    monkeypatch.setattr("ribstudy.runtime.paths.RESULTS", tmp_path / "results")
    monkeypatch.setattr("ribstudy.runtime.paths.PUBLISHED", tmp_path / "published")
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


def rows_of(chapter):
    return {(row["stage"], row["images"]): row for row in job_rows(chapter)}


def test_published_results_say_when_they_were_published(study):
    key = ("evaluate-rib", str(IMAGES))
    here = rows_of(study.chapter())[key]
    study.forget_results()
    row = rows_of(study.chapter())[key]
    assert (here["state"], row["state"]) == ("finished (2/2)", "published (2/2)")
    assert row["published"] == study.store.published.manifest[f"evaluate-rib-{row['key']}"]["published"]["date"][:16].replace(
        "T", " "
    )
    assert row["machine"] == here["machine"] == machine_name()
    assert row["code"] == here["code"] == ""


def test_results_of_other_code_are_marked(study):
    key = ("evaluate-rib", str(IMAGES))
    name = f"evaluate-rib-{rows_of(study.chapter())[key]['key']}"
    (study.store.root / "runs" / name / "codes.txt").write_text("0123456789ab\n")
    rows = rows_of(study.chapter())
    assert {stage for (stage, _), row in rows.items() if row["code"] == OTHER_CODE} == {"evaluate-rib"}


def test_the_spot_check_has_a_row_for_each_published_stage(study):
    equal, different = Difference(0), Difference(0.01, "true", "1", "2")
    checks = [Check("rib", "abc", str(n), of, 0.02, 1.0) for n, of in enumerate((equal, different))]
    rows = {row["stage"]: row for row in check_rows({study.preset: checks}, study.store)}
    assert set(rows) == {"classifier", "rib", "evaluate-cam", "evaluate-rib", "evaluate-masks"}
    found = {name: rows["rib"][name] for name in ("results", "commit", "rechecked", "largest deviation", "tolerance")}
    assert found == {"results": 1, "commit": "c0ffee", "rechecked": 2, "largest deviation": 0.01, "tolerance": 0.02}
    assert rows["classifier"]["rechecked"] == 0
    assert {row["preset"] for row in rows.values()} == {"shown"}
    assert check_rows({"other preset": checks}, study.store) == []


def test_the_page_of_the_book_is_about_all_its_presets(study, monkeypatch, tmp_path):
    monkeypatch.setattr("ribstudy.runtime.paths.DATA", tmp_path)
    show_two_presets(monkeypatch, tmp_path)
    chapter = Chapter("status", "study", {})
    shown = runs_shown_with(chapter.preset, chapter.run)
    assert list(shown) == ["voc12-lite", "study"]
    assert shown["study"] is chapter.run
    assert {row["preset"] for row in job_rows(chapter)} == {"study"}  # the test's only chapter does not show the other
    assert unchecked_text(chapter).startswith("**Not computed again:** results on a public third of PASCAL VOC 2012")
    assert unchecked_text(Chapter("status", "mini", {})) == ""
