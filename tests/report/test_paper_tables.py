"""Tables of our results next to the published ones."""

import pytest
from helpers.records import write_record

from ribstudy.report import paper_tables
from ribstudy.report.records import read_records

DATA_SETS = {"voc12", "coco14"}


def records_in(folder, settings_name):
    return read_records(folder, settings_name, paper_tables.chapters())


def test_values_without_a_record_are_not_run(tmp_path):
    records = records_in(tmp_path / "nowhere", "voc12")
    assert records == {}
    for data in DATA_SETS:
        found, places = paper_tables.count_values(data, records)
        assert found == 0 < places
        assert paper_tables.count_verdicts(data, records) == {"above": 0, "hold": 0, "below": 0}
        assert set(paper_tables.gain_table(data, records)["ours (95 %)"]) == {"not run"}
    for table, places in paper_tables.OURS.items():
        shown = paper_tables.comparison_table(table, records)["ours (95 %)"]
        assert (shown == "not run").sum() == len(places)
        assert set(shown) <= {"not run", "–"}


def test_ours_next_to_the_published_by_hand(tmp_path):
    """56.12 % (55.01 to 57.2) minus the published seeds, in percentage points."""
    write_record(
        tmp_path,
        "05_masks",
        "voc12",
        rib_seeds=(0.5612, 0.5501, 0.572, 1464),
        cam_seeds=(0.5, None, None, None),
        rib_walk_crf=(0.60, 0.59, 0.61, 1464),
    )
    write_record(tmp_path, "04_rib", "voc12", gain_rib=(0.0612, 0.05, 0.08, 1464))
    write_record(tmp_path, "05_masks", "mini", cam_walk_crf=(0.9, 0.8, 1.0, 4))  # of other data
    records = records_in(tmp_path, "voc12")
    table = paper_tables.comparison_table("voc12_seeds", records)
    assert table.loc[("RIB", "seeds")].tolist() == [
        "56.5",
        "confirmed, paper",
        "56.1 (55.0 to 57.2)",
        "-0.4 (-1.5 to +0.7)",
        "1,464",
    ]
    assert table.loc[("RIB", "masks by IRN")].tolist()[2:4] == ["60.0 (59.0 to 61.0)", "-10.6 (-11.6 to -9.6)"]
    assert table.loc[("CAM", "seeds")].tolist()[2:] == ["50.0 (no interval)", "+1.2 (no interval)", ""]
    assert table.loc[("CAM", "masks by IRN"), "ours (95 %)"] == "not run"
    assert table.loc[("AdvCAM", "seeds"), "ours (95 %)"] == "not run"
    assert table.loc[("ReCAM", "seeds"), "ours (95 %)"] == "–"
    assert paper_tables.count_values("voc12", records)[0] == 3
    assert paper_tables.count_verdicts("voc12", records) == {"above": 0, "hold": 1, "below": 1}
    gains = paper_tables.gain_table("voc12", records)
    assert gains.loc["seeds, thresholds from val"].tolist() == [
        "+7.7",
        "confirmed, third party and paper",
        "+6.1 (+5.0 to +8.0)",
        "-1.6 (-2.7 to +0.3)",
        "1,464",
    ]
    assert gains.loc["seeds + CRF"].tolist()[:3] == ["not known", "", "not run"]  # no public source prints it


def test_coco_is_next_to_the_paper_and_the_third_party(tmp_path):
    write_record(tmp_path, "05_masks", "coco14", rib_seeds=(0.35, 0.345, 0.355, 82783))
    write_record(tmp_path, "06_segmentation", "coco14", miou_truth_crf=(0.6, 0.59, 0.61, 40000))
    write_record(tmp_path, "04_rib", "coco14", gain_rib_labelled=(0.01, 0.0, 0.02, 82081))
    records = records_in(tmp_path, "coco14")
    table = paper_tables.comparison_table("coco14_seeds", records)
    assert table.loc[("RIB", "seeds")].tolist()[:4] == ["not known", "", "35.0 (34.5 to 35.5)", ""]
    assert table.loc[("RIB, released code", "seeds")].tolist()[:4] == [
        "34.78",
        "confirmed, third party",
        "35.0 (34.5 to 35.5)",
        "+0.2 (-0.3 to +0.7)",
    ]
    supervised = paper_tables.comparison_table("coco14_segmentation", records).loc[("full supervision, CRF", "val")]
    assert supervised.tolist() == ["not known", "", "60.0 (59.0 to 61.0)", "", "40,000"]
    labelled = paper_tables.gain_table("coco14", records).loc["seeds, images with a class"]
    assert labelled.tolist() == ["not known", "", "+1.0 (+0.0 to +2.0)", "", "82,081"]


def test_one_table_has_all_published_values():
    table = paper_tables.published_table({"voc12": {}, "coco14": {}})
    assert table.loc[("voc12", "RIB", "seeds"), "published"] == "56.5"
    assert len(table) == sum(len(paper_tables.comparison_table(name, {})) for name in paper_tables.OURS)
    assert set(table["ours (95 %)"]) == {"not run", "–"}


def test_unknown_table_is_refused():
    with pytest.raises(ValueError, match="voc12_sed"):
        paper_tables.comparison_table("voc12_sed", {})


def test_digits_of_published_values():
    assert [paper_tables._as_published(value) for value in (68.0, 34.78, 76.77)] == ["68.0", "34.78", "76.77"]
