"""A run of a published data set: its records, times, images and commands."""

import re
import shlex
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from helpers.records import write_record
from PIL import Image

from ribstudy.cli import main as command_line
from ribstudy.config import preset_names
from ribstudy.datasets import voc12
from ribstudy.items import MASKS
from ribstudy.method.stored_maps import StoredMaps
from ribstudy.report import full_run, paper_tables
from ribstudy.report.chapter import Chapter
from ribstudy.report.records import read_records
from ribstudy.runtime.paths import PROJECT
from ribstudy.stages.classifier import CLASSIFIER
from ribstudy.stages.maps import CAM
from ribstudy.store import Result
from ribstudy.workflow import batch as batches
from ribstudy.workflow.jobs import FULL_RUNS

CHAPTERS = sorted((PROJECT / "book").glob("*.ipynb"))


def test_stages_without_a_result_are_not_run():
    assert set(full_run.runtime_table(full_run.FullRun("voc12", {}))["results"]) == {"not run"}


def test_values_wait_for_the_stages_of_their_chapter():
    table = full_run.waits_table({"voc12": full_run.FullRun("voc12", {"03_cam": {}})})
    assert table.loc[("voc12", "03_cam"), "state"] == "computed"
    state = table.loc[("voc12", "05_masks"), "state"]
    assert state.startswith("waits for classifier, cam, rib")
    assert "segmentation" not in state
    assert table["values"].sum() == sum(len(of) for name, of in paper_tables.OURS.items() if name.startswith("voc12")) + 5


@pytest.fixture
def results(monkeypatch, tmp_path):
    monkeypatch.setattr("ribstudy.runtime.paths.RESULTS", tmp_path)
    monkeypatch.setattr("ribstudy.runtime.paths.PUBLISHED", tmp_path / "published")
    return tmp_path


def test_another_data_set_shows_the_preset_of_the_published_one(results):
    write_record(results / "records", "05_masks", "voc12", rib_seeds=(0.5, None, None, 3))
    for preset in ("mini", str(PROJECT / "tests" / "smallest.yml"), "coco14", "voc12"):
        full = full_run.full_run(Chapter("10_full_runs", preset, {}), "voc12")
        assert full.records["05_masks"]["rib_seeds"].value == 0.5
        assert full.chapter is None  # no folder of data
    assert full_run.full_run(Chapter("10_full_runs", "mini", {}), "coco14").records == {}


def test_published_numbers_are_shown_unless_others_were_computed_here(results):
    for chapter in ("05_masks", "06_segmentation"):
        write_record(results / "published" / "records", chapter, "voc12", rib_seeds=(0.5, None, None, 3))
    write_record(results / "records", "05_masks", "voc12", rib_seeds=(0.6, None, None, 3))
    records = full_run.full_run(Chapter("10_full_runs", "study", {}), "voc12").records
    assert {chapter: numbers["rib_seeds"].value for chapter, numbers in records.items()} == {
        "05_masks": 0.6,
        "06_segmentation": 0.5,
    }


@pytest.fixture
def devkit(tmp_path):
    """A synthetic devkit with two images of train."""
    root = tmp_path / "voc"
    options = ["--train", "2", "--train-aug", "3", "--val", "2"]
    assert command_line.main(["data", "synthesize", "voc12", "--root", str(root), *options]) == 0
    return next(root.glob("**/JPEGImages")).parent


def test_a_run_on_a_synthetic_devkit_shows_its_own_records_and_stages(results, devkit):
    chapter = Chapter("10_full_runs", "voc12", {"data.root": str(devkit)})
    write_record(results / "records", "05_masks", "voc12", rib_seeds=(0.5, None, None, 3))
    assert full_run.full_run(chapter, "voc12").records == {}  # these are other images than the published ones
    write_record(results / "records", "05_masks", chapter.settings_name(), rib_seeds=(0.4, None, None, 2))
    full = full_run.full_run(chapter, "voc12")
    assert full.records["05_masks"]["rib_seeds"].value == 0.4
    with chapter.run.result(CLASSIFIER).session("cpu", code="abc"):
        pass
    before = sorted(results.rglob("*"))
    table = full_run.runtime_table(full)
    assert table.loc["classifier", "results"] == "0 finished, 1 unfinished"
    assert table.loc["rib", "results"] == "not run"
    assert full_run.pictures(full, []) is None
    name = chapter.dataset("train").names[0]
    size = chapter.dataset("train").image(name).shape[:2]
    maps = StoredMaps(np.array([0]), size, steps=(np.ones((1, 1, 2, 3), np.float32),))
    cam = chapter.run.result(CAM)
    cam.write_item(name, maps)
    titles = re.findall(r"<div>([^<]+)</div>", full_run.pictures(full, [name]).data)
    assert titles[1:] == ["CAM", "RIB: not run", "mask: not run", "true mask"]
    assert [(read["stage"], read["items"]) for read in chapter.reads()] == [("cam", [name])]
    with pytest.raises(ValueError, match=r"nobody.*not in split train"):
        full_run.pictures(full, ["nobody"])
    assert [found for found in sorted(results.rglob("*")) if found not in before and found.is_file()] == [cam.item_path(name)]


def test_images_are_chosen_by_class_order_and_stored_maps():
    labels = np.array([[1, 1], [1, 0], [1, 0], [0, 1], [1, 0]], bool)
    dataset = SimpleNamespace(names=list("abcde"), labels=labels, class_names=("cat", "cow"))
    assert full_run.fitting_images(dataset, ("cat", "cow", "cat"), lambda name: name != "b") == ["c", "d", "e"]
    assert full_run.fitting_images(dataset, ("cow", "cow"), lambda name: True) == ["d"]
    assert full_run.fitting_images(dataset, ("cat",), lambda name: False) == []


def test_classes_of_the_figure_are_in_the_data_sets():
    assert set(full_run.FIGURE_3["voc12"]) <= set(voc12.VOC_CLASSES)
    assert set(full_run.FIGURE_3) == set(paper_tables.GAINS) == {preset for presets in FULL_RUNS.values() for preset in presets}


@pytest.mark.parametrize("preset", ["coco14", "voc12"])
def test_commands_can_be_typed(preset):
    """Each command is parsed by the program that would run it; only the folder of the data does not exist."""
    assert preset in preset_names()
    for line in full_run.commands(preset).values():
        words = shlex.split(line)
        if words[:3] == ["python", "-m", "ribstudy"]:
            options = command_line._parser().parse_args(words[3:])
            assert getattr(options, "preset", preset) in preset_names()
        elif words[0] == "make":
            given = dict(word.split("=", 1) for word in words[2:])
            assert (words[1], given["BATCH"], given["CONFIG"]) == ("batch", preset, "data_root=DATA")
        elif words[0] == "snakemake":
            config = dict(word.split("=") for word in words[words.index("--config") + 1 :])
            path = batches.named(config.pop("batch"), PROJECT / "batches")
            batch = batches.read(path, **config)
            assert batch.preset == preset
            runs = batches.expand(batch, PROJECT / "book", [chapter.stem for chapter in CHAPTERS])
            (chapter,) = FULL_RUNS
            assert {chapter, *{note[0] for table in paper_tables.OURS.values() for note in table.values()}} <= {
                r.notebook for r in runs
            }
            if "--profile" in words:
                assert yaml.safe_load((PROJECT / words[words.index("--profile") + 1] / "config.yaml").read_text())
        else:
            assert words[0] == "papermill"
            known = batches.read_notebook(PROJECT / words[1]).parameters
            assert {words[place + 1] for place, word in enumerate(words) if word == "-p"} <= set(known)


def test_stored_masks_are_shown(tmp_path):
    result = Result(tmp_path, MASKS)
    result.write_item("a", np.ones((8, 8), np.uint8))
    image = np.asarray(Image.new("RGB", (8, 8)))
    dataset = SimpleNamespace(
        image=lambda name: image,
        label=lambda name: np.array([True]),
        class_names=("cat",),
        masked_names=[],
        mask=None,
        has_pictures=True,
    )
    panels = full_run._panels(dataset, "a", {"mask": result})
    assert [panel.title for panel in panels] == ["cat", "mask from RIB", "no true mask"]
    assert panels[1].mask.all()


def test_every_note_of_the_tables_is_in_the_record_of_its_chapter(tiny_book):
    of_some_data = {("04_rib", "gain_rib_labelled")}  # only if there are images without a class
    notes = {note for places in paper_tables.OURS.values() for note in places.values()}
    notes |= {gain.note for gains in paper_tables.GAINS.values() for gain in gains}
    left = read_records(tiny_book.results / "records", "smallest", paper_tables.chapters())
    assert {(chapter, name) for chapter, name in notes - of_some_data if name not in left[chapter]} == set()
