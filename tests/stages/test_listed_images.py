"""Stages on listed images, with and without their photographs."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.tiny_study import settings_of

from ribstudy import datasets
from ribstudy.config import Settings
from ribstudy.datasets import DataError, listed
from ribstudy.datasets.minivoc import CLASS_NAMES
from ribstudy.datasets.pictures import VOID, read_mask, write_mask
from ribstudy.datasets.settings import ImageSelection
from ribstudy.datasets.voc12 import VOC_CLASSES
from ribstudy.report import chapter as chapters
from ribstudy.report.figures import panels
from ribstudy.runtime import paths
from ribstudy.stages import STAGES, Run, execute
from ribstudy.stages.maps import CAM
from ribstudy.stages.stage import reads_data
from ribstudy.store import Store
from ribstudy.workflow.batch import Batch, BatchRun
from ribstudy.workflow.left import is_done, left
from ribstudy.workflow.plan import Plan
from ribstudy.workflow.planned import PlannedResult


def copy_as_voc(data_root: Path, copy: Path) -> Path:
    """Copies MiniVOC, whose classes are a part of VOC's, with VOC's values in its masks."""
    shutil.copytree(data_root, copy)
    values = np.zeros(256, np.uint8)
    values[[*range(len(CLASS_NAMES) + 1), VOID]] = [0, *(VOC_CLASSES.index(name) + 1 for name in CLASS_NAMES), VOID]
    for path in (copy / "SegmentationClass").iterdir():
        write_mask(path, values[read_mask(path, len(CLASS_NAMES))])
    return copy


@pytest.fixture(scope="module")
def computed(data_root, tmp_path_factory):
    """A finished map of one image, computed with the photographs of a list; the folders of the list and of the store."""
    folder = tmp_path_factory.mktemp("listed")
    data_root = copy_as_voc(data_root, folder / "data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(listed, "FOLDER", folder)
        listed.read_listing.cache_clear()
        datasets.write_list(_settings(data_root, listed=None).data, "drawn", about="drawings")
        run = Run(_settings(data_root), images=ImageSelection(limit=1), store=Store(folder / "results"))
        execute(CAM, run)
        yield folder, run
    listed.read_listing.cache_clear()


@pytest.fixture
def without(computed, tmp_path, monkeypatch) -> Run:
    """The same run where the photographs are not at hand."""
    folder, run = computed
    monkeypatch.setattr(listed, "FOLDER", folder)
    monkeypatch.setattr(paths, "DATA", tmp_path)
    data = run.settings.data.model_copy(update={"root": None})
    return replace(run, settings=run.settings.model_copy(update={"data": data}))


def _settings(data_root, listed: str | None = "drawn") -> Settings:
    """MiniVOC as the data set VOC 2012."""
    return settings_of(data_root, **{"data.name": "voc12", "data.minivoc": None, "data.listed": listed, "classifier.epochs": 1})


def test_finished_results_are_found_and_nothing_new_is_begun(without, computed):
    _, run = computed
    assert execute(CAM, without).folder == run.result(CAM).folder
    (name,) = without.items(CAM)
    assert without.stored(CAM)[name].size == run.stored(CAM)[name].size
    before = run.result(CAM).sessions()
    with pytest.raises(DataError, match=r"photographs of drawn .* are not here"):
        execute(CAM, without.with_images(ImageSelection(limit=2)))
    assert run.result(CAM).sessions() == before
    with pytest.raises(DataError, match=r"photographs of drawn .* are not here"):
        execute(STAGES["rib"], without)


def test_what_is_left_is_planned_without_photographs(without, monkeypatch):
    settings = without.settings
    monkeypatch.setattr("ribstudy.workflow.plan.load_settings", lambda preset, overrides: settings)
    plan = Plan(
        Batch(about="a test", preset="voc12-lite"),
        [BatchRun("03_cam", "03_cam", "voc12-lite", {}, {})],
        is_done=lambda job, settings: is_done(job, settings, store=without.store),
    )
    items = {part.stage.name: part.items for part in left(plan, store=without.store)}
    assert items["evaluate-cam"] == 7  # images of train and val
    assert items["cam"] == 6


def test_only_the_toy_experiment_needs_no_pictures(without):
    assert [name for name, stage in STAGES.items() if not reads_data(stage, without.settings)] == ["toy", "toy-conditions"]


def test_pages_show_grey_in_place_of_photographs(without, computed):
    name = without.items(CAM)[0]
    ours, theirs = (datasets.open_dataset(run.settings.data, "train") for run in (without, computed[1]))
    assert panels.photograph(theirs, name, (2, 2)).shape == (*theirs.mask(name).shape, 3)
    assert (panels.true_mask(theirs, name, (2, 2)) == theirs.mask(name)).all()
    assert (panels.photograph(ours, name, (2, 3)) == panels.GREY).all()
    assert panels.true_mask(ours, name, (2, 3)).tolist() == [[255] * 3] * 2


def test_pages_say_whether_they_show_photographs(without, computed, data_root):
    assert chapters.picture_text(settings_of(data_root).data) == ""
    assert chapters.picture_text(computed[1].settings.data).startswith("**Images:** drawings. Their photographs are at hand")
    text = chapters.picture_text(without.settings.data)
    assert "maps and masks on grey" in text
    assert "put their folder, or a link to it, at data/drawn" in text


def test_the_record_of_listed_images_is_that_of_the_preset(computed):
    """Wherever the photographs are, they are the published ones."""
    _, run = computed
    chapter = chapters.Chapter("04_rib", "voc12-lite", {"data.root": str(run.settings.data.root)})
    assert chapter.settings_name() == "voc12-lite"


def test_the_spot_check_leaves_out_what_it_cannot_compute_again(without, computed):
    assert PlannedResult(CAM, (computed[1],)).has_pictures
    assert not PlannedResult(CAM, (without,)).has_pictures
    assert PlannedResult(STAGES["toy"], (without,)).has_pictures
