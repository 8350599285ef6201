import pytest
from helpers.records import write_record
from helpers.two_presets import show_two_presets

from ribstudy.evaluation.statistics import Estimate
from ribstudy.report.chapter import Chapter
from ribstudy.report.shown import shown_records


@pytest.fixture
def folder(monkeypatch, tmp_path):
    monkeypatch.setattr("ribstudy.runtime.paths.RESULTS", tmp_path)
    monkeypatch.setattr("ribstudy.runtime.paths.PUBLISHED", tmp_path / "published")
    return tmp_path


def numbers(value):
    return {"gain": (value, None, None, 3)}


def test_the_presets_of_the_book_are_shown_in_its_order(folder, monkeypatch):
    show_two_presets(monkeypatch, folder)
    write_record(folder / "published" / "records", "04_rib", "voc12-lite", **numbers(0.1))
    write_record(folder / "published" / "records", "05_masks", "study", **numbers(0.2))
    write_record(folder / "records", "05_masks", "study", **numbers(0.3))
    first, second = shown_records(Chapter("answers", "study", {}))
    assert (first.title, second.title) == ("A public third of PASCAL VOC 2012", "MiniVOC")
    assert first.of("04_rib") == {"gain": Estimate(0.1, n=3)}
    assert first.of("05_masks") == {}
    assert second.of("05_masks") == {"gain": Estimate(0.3, n=3)}  # from here, not the published one


def test_another_preset_is_shown_alone_under_its_own_settings(folder):
    changed = Chapter("answers", "mini", {"ablations.seeds": 2})
    write_record(folder / "records", "07_ablations", changed.settings_name(), **numbers(0.1))
    (alone,) = shown_records(changed)
    assert alone.of("07_ablations") == {"gain": Estimate(0.1, n=3)}
    assert shown_records(Chapter("answers", "mini", {}))[0].of("07_ablations") == {}
