from pathlib import Path

import pytest
from helpers.records import write_record

from ribstudy.evaluation.statistics import Estimate
from ribstudy.report.records import Headline, Recorded, headline_table, read_record, read_records
from ribstudy.store import Store


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


@pytest.fixture
def store(tmp_path) -> Store:
    """Published records of two presets, and a record of one of them that was computed here."""
    gains = {"voc12-lite": (0.011, 0.002, 0.02, 513), "study": (0.25, None, None, None)}
    for preset, gain in gains.items():
        write_record(tmp_path / "published" / "records", "04_rib", preset, gain=gain, num_seeds=(3.0, None, None, None))
    write_record(tmp_path / "results" / "records", "04_rib", "study", gain=(-0.5, None, None, None))
    return Store(tmp_path / "results", tmp_path / "published")


def test_headline_numbers_of_presets_are_next_to_each_other(store):
    rows = ["RIB adds | 04_rib::gain:+.3f", "trainings | 04_rib::num_seeds:d", "masks | 05_masks::gain:+.3f"]
    rows.append("a part that no preset has | 04_rib::gain_as_written:+.3f")
    table = headline_table(list(map(Headline.parse, rows)), ["voc12-lite", "study", "mini"], store)
    assert list(table.columns) == ["A public third of PASCAL VOC 2012", "MiniVOC", "MiniVOC"]
    assert table.loc["RIB adds"].tolist() == ["+0.011 (+0.002 to +0.020), n = 513", "-0.500", "not run"]
    assert table.loc["trainings"].tolist() == ["3", "not run", "not run"]
    assert table.loc["masks"].tolist() == ["not run"] * 3
    assert table.loc["a part that no preset has"].tolist() == ["not run"] * 3


def test_a_number_that_a_chapter_could_not_determine_is_a_dash():
    assert Headline("masks", "05_masks", "gain", "+.3f").text(Estimate(float("nan"))) == "–"


def test_a_row_of_another_form_is_refused():
    with pytest.raises(ValueError, match="expected a row such as: RIB adds"):
        Headline.parse("RIB adds: 04_rib.gain")


def test_a_chapter_that_has_ended_shows_its_numbers_its_sentences_and_where_they_are():
    numbers = {"gain": Estimate(0.0123456, -0.5, 2.0, 513), "images": Estimate(12.0), "none": Estimate(float("nan"))}
    recorded = Recorded(numbers, {"told": "RIB < CAM"}, Path("/results/<1>/04_rib.mini.json"))
    assert recorded.table().to_dict("index") == {
        "gain": {"value": "0.01235", "95 % interval": "-0.5 to 2", "n": "513"},
        "images": {"value": "12", "95 % interval": "", "n": ""},
        "none": {"value": "–", "95 % interval": "", "n": ""},
    }
    assert "<td>0.01235</td>" in recorded._repr_html_()
    assert "<td>RIB &lt; CAM</td>" in recorded._repr_html_()
    assert "told: RIB < CAM" in repr(recorded)
    assert "<code>/results/&lt;1&gt;/04_rib.mini.json</code>" in recorded._repr_html_()
    assert "record: /results/<1>/04_rib.mini.json" in repr(recorded)
    assert len(Recorded({}, {}, Path("x.json")).table()) == 0
