import json
import shutil
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from helpers.tiny_study import TINY
from IPython.core.events import EventManager
from IPython.core.formatters import DisplayFormatter

from ribstudy.evaluation.statistics import Estimate
from ribstudy.report import chapter as chapters
from ribstudy.report.chapter import Chapter
from ribstudy.report.notebook import origin
from ribstudy.report.parameters import NotStarted
from ribstudy.stages.classifier import CLASSIFIER
from ribstudy.stages.evaluate import MAP_EVALUATIONS
from ribstudy.stages.maps import CAM
from ribstudy.training.files import HISTORY, WEIGHTS


class Shell:
    """The parts of IPython that `start` uses: the variables, and the sources of the executed cells."""

    def __init__(self, *cells: str):
        self.user_ns = {"In": ["", *cells, "chapter = start(...)"]}
        self.display_formatter = DisplayFormatter()
        self.events = EventManager(self, {"pre_run_cell": lambda info: None})
        for cell in cells:
            exec(cell, self.user_ns)

    def set_custom_exc(self, kinds, show):
        pass


@pytest.fixture
def start(monkeypatch, tmp_path):
    monkeypatch.setattr("ribstudy.runtime.paths.RESULTS", tmp_path)

    def run(*cells, name="04_rib"):
        monkeypatch.setattr(chapters, "get_ipython", lambda: Shell(*cells))
        return chapters.start(name, settings={"tau": "rib.tau", "data_root": "data.root"}, view={"shown": chapters.Count})

    return run


DECLARED = '# Parameters\npreset = "mini"  # settings\ntau = None\ndata_root = None\nshown = 3'


def test_none_keeps_the_preset_and_a_value_replaces_it(start):
    assert start(DECLARED).settings.rib.tau == 0.4
    assert start(DECLARED, "# Parameters\ntau = 0.5").settings.rib.tau == 0.5


def test_what_a_job_of_the_chapter_lacks_stops_it_at_the_start(start, tmp_path):
    with pytest.raises(ValueError, match=r"affinity.batch_size = 99: 12 training images .*set affinity.batch_size=3"):
        start(DECLARED, "# Parameters\noverrides = {'affinity.batch_size': 99}", name="05_masks")
    assert list(tmp_path.iterdir()) == []


def test_a_section_in_the_overrides_changes_only_what_it_names(start):
    given = start(DECLARED, "# Parameters\noverrides = {'rib': {'iterations': 3}}").settings.rib
    assert given == start(DECLARED).settings.rib.model_copy(update={"iterations": 3})


@pytest.mark.parametrize(
    ("injected", "message"),
    [
        ("taau = 0.5", "04_rib has no parameter taau, did you mean tau"),
        ("tau = '0.5'", "04_rib: tau = '0.5'"),
        ("tau = 5", "04_rib: tau = 5: Input should be less than or equal to 1"),
        ("overrides = {'rib.tau': 5.0}", "04_rib: overrides: rib.tau = 5.0: Input should be less than or equal to 1"),
        ("shown = 2.5", "shown = 2.5: Input should be a valid integer"),
        ("shown = 0", "shown = 0: Input should be greater than or equal to 1"),
        ("seed = 3", "no parameter seed"),
        ("taau: float = 0.5", "no parameter taau"),
        ("a, b = 1, 2", "no parameter a"),
        ("preset = 'minni'", "'minni' is unknown; known: .*mini"),
        ("data_root = 3", "04_rib: data_root = 3"),
        ("preset = 'my.yml'", "preset = 'my.yml': there is no such file in"),
    ],
)
def test_a_bad_parameter_stops_the_chapter(start, injected, message, tmp_path):
    with pytest.raises(NotStarted, match=message) as stopped:
        start(DECLARED, f"# Parameters\n{injected}")
    assert stopped.value._render_traceback_() == [f"not started: {stopped.value}"]  # a notebook shows no traceback
    assert list(tmp_path.iterdir()) == []


def test_only_the_cells_right_before_count(start):
    """Somebody edits a notebook: a typo that was corrected does not stop the chapter, with other cells in between."""
    assert start("# Parameters\ntua = 0.3  # a typo", "something = 1", DECLARED, "other = 2").settings.rib.tau == 0.4


def test_a_cell_in_between_does_not_hide_a_typo(start):
    with pytest.raises(ValueError, match="tua"):
        start(DECLARED, "# Parameters\ntua = 0.3", "something = 1")


def test_a_run_with_settings_of_its_own_leaves_the_published_record(start):
    assert start(DECLARED, "# Parameters\ntau = 0.5").finish().path.name.startswith("04_rib.mini-")
    assert start(DECLARED, "# Parameters\ndata_root = '/data'").finish().path.name == "04_rib.mini.json"


def test_records_contain_value_interval_and_number(start, tmp_path):
    chapter = start(DECLARED)
    chapter.note("miou", 0.5, 0.4, 0.6, n=12)
    chapter.note("images", 12)
    path = chapter.finish().path
    assert path == tmp_path / "records" / "04_rib.mini.json"
    expected = {"value": 0.5, "low": 0.4, "high": 0.6, "n": 12, "standard_error": None}
    assert json.loads(path.read_text())["miou"] == expected
    assert Estimate(**json.loads(path.read_text())["images"]) == Estimate(12.0)


def test_an_estimate_is_noted_with_its_standard_error(start):
    chapter = start(DECLARED)
    chapter.note_estimate("gain", Estimate(np.float32(0.5), 0.25, 0.75, np.int64(9), np.float64(0.125)))
    assert chapter.notes["gain"] == Estimate(0.5, 0.25, 0.75, 9, 0.125)
    record = json.loads(chapter.finish().path.read_text())
    assert Estimate(**record["gain"]) == chapter.notes["gain"]


def test_a_split_without_masks_stops_a_chapter_with_a_hint(start, monkeypatch):
    chapter = start(DECLARED)
    masked = {"train": [], "val": ["one"]}
    monkeypatch.setattr(chapter, "dataset", lambda split: SimpleNamespace(masked_names=masked[split]))
    assert chapter.scored_dataset("val").masked_names == ["one"]
    with pytest.raises(ValueError, match=r"04_rib: no image of split train has a mask.*own_data"):
        chapter.scored_dataset("train")


@pytest.fixture
def chapter_on_cam(trained, data_root, tmp_path, monkeypatch):
    """Starts the chapter on the CAM of a tiny study whose classifier is trained."""
    shutil.copytree(trained, tmp_path / "results")
    monkeypatch.setattr("ribstudy.runtime.paths.RESULTS", tmp_path / "results")
    monkeypatch.setattr("ribstudy.stages.execution.default_processes", lambda stage, run: 1)
    return lambda: Chapter("03_cam", "mini", {**TINY, "data.root": str(data_root)})


def test_only_the_maps_that_are_drawn_are_computed_and_read(chapter_on_cam):
    chapter = chapter_on_cam()
    names = chapter.dataset("train").names
    maps = chapter.items("train", 0, images=names[1:2])
    assert list(maps) == list(names[1:2])
    assert maps[names[1]].normalized().shape[1:] == maps[names[1]].size
    result = chapter.run.result(CAM)
    assert result.item_names() == list(names[1:2])
    assert not chapter.run.result(MAP_EVALUATIONS["cam"]).finished
    assert chapter.reads() == [{"stage": "cam", "key": _key(chapter, CAM), "items": [names[1]], "files": []}]
    assert len(chapter.items("train", 0, images=[])) == 0


def test_scores_are_computed_once_for_all_images_of_a_job(chapter_on_cam):
    chapter = chapter_on_cam()
    scores = chapter.stored("train", 0)
    assert set(scores) == set(chapter.dataset("train").names)
    assert scores.result.sessions() == chapter_on_cam().stored("train", 0).result.sessions()
    (read,) = chapter.reads()
    assert read == {
        "stage": "evaluate-cam",
        "key": _key(chapter, MAP_EVALUATIONS["cam"]),
        "items": sorted(scores),
        "files": [],
    }


def test_what_was_read_does_not_depend_on_the_order(chapter_on_cam):
    first, second = chapter_on_cam(), chapter_on_cam()
    names = first.dataset("train").names
    asked = [
        lambda chapter: chapter.stored("train", 0),
        lambda chapter: chapter.items("train", 0, images=names[:1]),
        lambda chapter: chapter.open("classifier", 0, file=HISTORY).close(),
        lambda chapter: chapter.items("train", 0, images=names[2:0:-1]),
        lambda chapter: chapter.sessions("train", 0),
    ]
    for ask in asked:
        ask(first)
    for ask in asked[::-1]:
        ask(second)
    assert first.reads() == second.reads()
    assert [(read["stage"], len(read["items"]), read["files"]) for read in first.reads()] == [
        ("cam", 3, []),
        ("classifier", 0, [HISTORY]),
        ("evaluate-cam", 4, []),
    ]
    record = first.finish().path
    listed = record.parent.parent / "reads" / record.name
    assert json.loads(listed.read_text()) == first.reads()


def test_times_are_those_of_the_maps_and_not_of_their_scores(chapter_on_cam):
    chapter = chapter_on_cam()
    chapter.stored("train", 0)
    assert chapter.sessions("train", 0) == chapter.run.result(CAM).sessions() != []


def test_the_history_of_a_training_is_read_without_its_weights(chapter_on_cam):
    """Published trainings can lack their weights."""
    chapter = chapter_on_cam()
    result = chapter.run.result(CLASSIFIER)
    result.path(WEIGHTS).unlink()
    before = result.sessions()
    with chapter.open("classifier", 0, file=HISTORY) as file:
        assert len(pd.read_csv(file)) == TINY["classifier.epochs"]
    assert result.sessions() == before
    with pytest.raises(KeyError, match=f"declares no file '{WEIGHTS}'; it has: {HISTORY}"):
        chapter.open("classifier", 0, file=WEIGHTS)
    result.path("record.json").unlink()  # a training that was stopped leaves a part of its history
    chapter.open("classifier", 0, file=HISTORY).close()
    assert len(result.sessions()) == len(before) + 1


def _key(chapter, stage):
    return stage.key(chapter.settings)


def test_a_page_tells_once_that_results_are_of_other_code(chapter_on_cam, monkeypatch):
    shown = []
    monkeypatch.setattr(chapters, "display", lambda text: shown.append(text.data))
    monkeypatch.setattr("ribstudy.stages.source.source_digest", lambda stage: "0123456789ab")
    chapter = chapter_on_cam()
    chapter.items("train", 0, images=chapter.dataset("train").names[:1])
    chapter.items("train", 0, images=chapter.dataset("train").names[:2])
    chapter.open("classifier", 0, file=HISTORY).close()  # another result
    (text,) = shown
    assert text.startswith("**Computed by other code:** some results")


def test_an_editor_learns_where_a_result_is_from_and_an_interrupt_takes_two_lines(chapter_on_cam, monkeypatch, capsys):
    monkeypatch.setattr(chapters, "is_live", lambda: True)
    chapter = chapter_on_cam()
    names = chapter.dataset("train").names
    chapter.open("classifier", 0, file=HISTORY).close()
    chapter.items("train", 0, images=names[:1])
    found = [line for line in capsys.readouterr().out.splitlines() if "found" in line]
    assert found == [origin("classifier", chapter.run.result(CLASSIFIER))]  # the maps were computed

    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(chapters, "execute", interrupt)
    with pytest.raises(KeyboardInterrupt) as stopped:
        chapter.items("train", 0, images=names)
    first, second = stopped.value._render_traceback_()
    assert first.startswith("cam: interrupted; what is finished is kept in ")
    assert second == "Run the cell again to compute the rest."


def test_results_of_the_present_code_are_not_remarked_upon(chapter_on_cam, monkeypatch):
    monkeypatch.setattr(chapters, "display", None)
    chapter = chapter_on_cam()
    chapter.items("train", 0, images=chapter.dataset("train").names[:1])
