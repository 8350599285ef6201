import pytest

from ribstudy.evaluation.statistics import Estimate
from ribstudy.report.records import read_record, read_records


def test_a_missing_record_has_no_numbers(tmp_path):
    assert read_record(tmp_path / "nowhere.json") == {}
    assert read_records(tmp_path, "mini", ["04_rib"]) == {}


def test_records_are_read_by_chapter(tmp_path):
    (tmp_path / "04_rib.mini.json").write_text('{"gain": {"value": 0.1, "low": null, "high": null, "n": 3}}')
    assert read_records(tmp_path, "mini", {"04_rib", "05_masks"}) == {"04_rib": {"gain": Estimate(0.1, n=3)}}


@pytest.mark.parametrize("text", ["", "[]", '{"miou": 1}', '{"miou": {"values": 1}}'])
def test_a_file_that_is_no_record_is_named(tmp_path, text):
    (tmp_path / "05_masks.voc12.json").write_text(text)
    with pytest.raises(ValueError, match=r"05_masks\.voc12\.json: is not the record of a chapter"):
        read_record(tmp_path / "05_masks.voc12.json")
