import json
from dataclasses import replace
from types import SimpleNamespace

import pytest

from ribstudy.evaluation.statistics import Comparison, Estimate
from ribstudy.report import chapter as chapters


class Shell:
    """The parts of IPython that `start` uses: the variables, and the sources of the executed cells."""

    def __init__(self, *cells: str):
        self.user_ns = {"In": ["", *cells, "chapter = start(...)"]}
        for cell in cells:
            exec(cell, self.user_ns)


@pytest.fixture
def start(monkeypatch, tmp_path):
    monkeypatch.setattr("ribstudy.store.RESULTS", tmp_path)

    def run(*cells):
        monkeypatch.setattr(chapters, "get_ipython", lambda: Shell(*cells))
        return chapters.start("04_rib", settings={"tau": "rib.tau", "data_root": "data.root"}, view={"shown": chapters.Count})

    return run


DECLARED = '# Parameters\npreset = "mini"  # settings\ntau = None\ndata_root = None\nshown = 3'


def test_none_keeps_the_preset_and_a_value_replaces_it(start):
    assert start(DECLARED).settings.rib.tau == 0.4
    assert start(DECLARED, "# Parameters\ntau = 0.5").settings.rib.tau == 0.5


@pytest.mark.parametrize(
    ("injected", "message"),
    [
        ("taau = 0.5", "04_rib has no parameter taau, did you mean tau"),
        ("tau = '0.5'", "rib.tau = '0.5'"),
        ("shown = 2.5", "shown = 2.5: Input should be a valid integer"),
        ("shown = 0", "shown = 0: Input should be greater than or equal to 1"),
        ("seed = 3", "no parameter seed"),
        ("taau: float = 0.5", "no parameter taau"),
        ("a, b = 1, 2", "no parameter a"),
        ("preset = 'minni'", "'minni' is unknown; known: .*mini"),
        ("data_root = 3", "data.root"),
    ],
)
def test_a_bad_parameter_stops_the_chapter(start, injected, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        start(DECLARED, f"# Parameters\n{injected}")
    assert list(tmp_path.iterdir()) == []


def test_only_the_cells_right_before_count(start):
    """Somebody edits a notebook: a typo that was corrected does not stop the chapter, with other cells in between."""
    assert start("# Parameters\ntua = 0.3", "something = 1", DECLARED, "other = 2").settings.rib.tau == 0.4


def test_a_cell_in_between_does_not_hide_a_typo(start):
    with pytest.raises(ValueError, match="tua"):
        start(DECLARED, "# Parameters\ntua = 0.3", "something = 1")


def test_a_run_with_settings_of_its_own_leaves_the_published_record(start):
    assert start(DECLARED, "# Parameters\ntau = 0.5").finish().name.startswith("04_rib.mini-")
    assert start(DECLARED, "# Parameters\ndata_root = '/data'").finish().name == "04_rib.mini.json"


def test_records_contain_value_interval_and_number(start, tmp_path):
    chapter = start(DECLARED)
    chapter.note("miou", 0.5, 0.4, 0.6, n=12)
    chapter.note("images", 12)
    path = chapter.finish()
    assert path == tmp_path / "records" / "04_rib.mini.json"
    assert json.loads(path.read_text())["miou"] == {"value": 0.5, "low": 0.4, "high": 0.6, "n": 12}
    assert json.loads(path.read_text())["images"] == {"value": 12.0, "low": None, "high": None, "n": None}


def test_the_mean_over_seeds_and_every_seed_are_noted(start):
    chapter = start(DECLARED)
    comparison = Comparison(Estimate(0.5), Estimate(0.6), Estimate(0.1, 0.0, 0.2, 9))
    rows = [
        {"seed": seed, "method": method, "compared": comparison, "best": comparison}
        for seed in (3, 4)
        for method in ("RIB", "RIB as written")
    ]
    mean = replace(comparison, difference=Estimate(0.2, 0.1, 0.3, 9))
    means = [{"method": method, "compared": mean, "best": mean} for method in ("RIB", "RIB as written")]
    chapters.note_comparisons(chapter, rows, means)
    names = {"miou_cam", "miou_rib", "miou_rib_as_written", "miou_difference", "miou_difference_as_written"}
    for name in names:
        assert {name, f"{name}_seed3", f"{name}_seed4"} <= set(chapter.notes)
    assert chapter.notes["miou_difference"].high == 0.3
    assert chapter.notes["miou_difference_seed4"].high == 0.2
    assert "miou_cam_labelled" not in chapter.notes
    chapters.note_comparisons(chapter, [], [{**means[0], "labelled": comparison}])
    assert chapter.notes["miou_rib_labelled"].value == 0.6


def test_a_split_without_masks_stops_a_chapter_with_a_hint(start, monkeypatch):
    chapter = start(DECLARED)
    masked = {"train": [], "val": ["one"]}
    monkeypatch.setattr(chapter, "dataset", lambda split: SimpleNamespace(masked_names=masked[split]))
    assert chapter.scored_dataset("val").masked_names == ["one"]
    with pytest.raises(ValueError, match=r"04_rib: no image of split train has a mask.*own_data"):
        chapter.scored_dataset("train")
