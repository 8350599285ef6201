"""Published values: the file that they are typed in and nothing else, and the tables that hold ours against them."""

import json
import re
import shlex
from types import SimpleNamespace

import nbformat
import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from ribstudy.bench.projections import COCO, VOC
from ribstudy.cli import main as command_line
from ribstudy.config import load_settings, preset_names
from ribstudy.datasets import fetch
from ribstudy.evaluation.metrics import Estimate
from ribstudy.report import paper, published
from ribstudy.report.chapter import Chapter
from ribstudy.report.published import FullRun
from ribstudy.runtime.paths import PROJECT
from ribstudy.store import Result
from ribstudy.workflow import batch as batches
from ribstudy.workflow import jobs as study

RESULTS = r"(voc12|coco14)_(seeds|seed_errors|cam_baseline|segmentation|segmentation_runs)$"
CHAPTERS = sorted((PROJECT / "book").glob("*.ipynb"))
BATCHES = {"voc12", "coco14"}


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return pd.read_csv(paper.PAPER_VALUES)


def write_record(folder, chapter, preset, **numbers):
    found = {name: dict(zip(("value", "low", "high", "n"), number, strict=True)) for name, number in numbers.items()}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{chapter}.{preset}.json").write_text(json.dumps(found))


# --- the file ---------------------------------------------------------------------------------------------------------------


def test_every_value_has_a_status_and_a_source_and_stands_there_once(rows):
    assert set(rows["status"]) <= {"confirmed", "measured", "unconfirmed"}
    assert set(rows["by"]) <= {"paper", "authors", "third party", "data set"}
    assert rows["value"].notna().all()
    assert rows["source"].fillna("").str.strip().ne("").all()
    assert not rows.duplicated(["table", "row", "column"]).any()


def test_what_no_public_source_prints_is_unconfirmed(rows):
    recalled = rows["source"].str.contains("recalled")
    assert recalled.any()
    assert (rows["status"].eq("unconfirmed") == recalled).all()


def test_values_are_within_their_range(rows):
    results = rows[rows["table"].str.match(RESULTS)]
    assert results["value"].between(1, 100).all()  # percent, not shares
    assert rows[rows["table"] == "toy_hgr"]["value"].between(0, 1).all()
    counts = rows[rows["table"].str.contains("_counts|_classes_per_image")]["value"]
    assert (counts == counts.round()).all()


def test_tables_have_the_rows_that_chapters_count_on(rows):
    seeds = paper.values("voc12_seeds").set_index(["row", "column"])
    assert seeds.loc[("RIB", "seed"), "status"] == "confirmed"
    assert seeds.loc[("RIB", "crf"), "status"] == "unconfirmed"
    coco = paper.values("coco14_seeds").set_index(["row", "column"])
    assert set(coco.loc["RIB"]["status"]) == {"unconfirmed"}
    assert set(coco.loc["RIB, released code"]["by"]) == {"third party"}
    for table, places in published.OURS.items():
        known = set(zip(*rows[rows["table"] == table][["row", "column"]].to_numpy().T, strict=True))
        assert {place for place in places if not place[0].startswith("full")} <= known, table


def test_counts_of_the_library_are_those_of_the_file(rows):
    counts = rows[rows["table"].str.endswith("_counts")].set_index(["table", "row", "column"])["value"]
    for split, number in fetch.COUNTS.items():
        assert counts["voc12_counts", split, "images"] == number
    assert counts["voc12_counts", "train_aug", "images"] == VOC.num_images
    assert counts["coco14_counts", "train", "images"] == COCO.num_images


def test_every_table_is_shown_by_a_chapter(rows):
    """Named by a chapter itself, or by a function of the library that a chapter uses."""
    chapters = "\n".join(path.read_text() for path in CHAPTERS)
    library = "\n".join(path.read_text() for path in (PROJECT / "ribstudy" / "report").rglob("*.py"))
    for table in rows["table"].unique():
        assert f'\\"{table}\\"' in chapters or f'"{table}"' in library, table


# --- typed nowhere else -----------------------------------------------------------------------------------------------------

NUMBER = re.compile(r"(?<![\w.,^])\d{2}\.\d{1,2}(?![\w.]|,\d)")
ABOUT_RESULTS = re.compile(r"m?IoU|seeds?\b|masks?\b|paper|published|report|percent|RIB|CAM|IRN|segmentation", re.IGNORECASE)


def typed_copies(text: str, values: set[float]) -> list[str]:
    """Numbers with one or two decimals that equal a published result, within 100 characters of words about results."""
    near = lambda found: text[max(0, found.start() - 100) : found.end() + 100]  # noqa: E731
    return [found[0] for found in NUMBER.finditer(text) if float(found[0]) in values and ABOUT_RESULTS.search(near(found))]


def texts():
    """What people read or run: chapters cell by cell, pages, library, benchmarks, presets, batches."""
    for path in CHAPTERS:
        for number, cell in enumerate(nbformat.read(path, as_version=4).cells):
            yield f"{path.name}, cell {number}", cell.source
    for pattern in (
        "*.md",
        "book/**/*.md",
        "data/*.md",
        "ribstudy/**/*.py",
        "ribstudy/**/*.yml",
        "batches/*.yml",
    ):
        for path in PROJECT.glob(pattern):
            yield str(path.relative_to(PROJECT)), path.read_text()


def test_no_published_result_is_typed_a_second_time(rows):
    values = set(rows[rows["table"].str.match(RESULTS)]["value"])
    assert {name: found for name, text in texts() if (found := typed_copies(text, values))} == {}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("the mIoU of the paper is 56.5 %", ["56.5"]),
        ("| RIB | 56.5 | 70.60 |", ["56.5", "70.60"]),
        ("seeds of 56.51 and 156.5 and 56.5.1", []),
        ("torch 56.5 is a version that needs no more words than these, which say nothing of any number", []),
    ],
)
def test_a_typed_copy_is_found_and_others_are_not(text, found):
    assert typed_copies(text, {56.5, 70.6}) == found


# --- records ----------------------------------------------------------------------------------------------------------------


def test_absent_records_read_not_run(tmp_path):
    records = published.read_records(tmp_path / "nowhere", "voc12")
    assert records == {}
    for data in BATCHES:
        found, places = published.count_values(data, records)
        assert found == 0 < places
        assert published.count_verdicts(data, records) == {"above": 0, "hold": 0, "below": 0}
        assert set(published.gain_table(data, records)["ours (95 %)"]) == {"not run"}
    for table, places in published.OURS.items():
        shown = published.comparison_table(table, records)["ours (95 %)"]
        assert (shown == "not run").sum() == len(places)
        assert set(shown) <= {"not run", "–"}
    assert set(published.runtime_table(FullRun("voc12", records))["results"]) == {"not run"}


def test_ours_beside_the_published_by_hand(tmp_path):
    """56.12 % (55.01 to 57.2) less the published seeds, in percent points."""
    write_record(
        tmp_path,
        "05_masks",
        "voc12",
        rib_seeds=(0.5612, 0.5501, 0.572, 1464),
        cam_seeds=(0.5, None, None, None),
        rib_walk_crf=(0.60, 0.59, 0.61, 1464),
        gain_seeds=(0.0612, 0.05, 0.08, 1464),
    )
    write_record(tmp_path, "05_masks", "mini", cam_walk_crf=(0.9, 0.8, 1.0, 4))  # of other data
    records = published.read_records(tmp_path, "voc12")
    table = published.comparison_table("voc12_seeds", records)
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
    assert published.count_values("voc12", records)[0] == 3
    assert published.count_verdicts("voc12", records) == {"above": 0, "hold": 1, "below": 1}
    gains = published.gain_table("voc12", records)
    assert gains.loc["seeds, thresholds from val"].tolist() == [
        "+7.7",
        "confirmed",
        "+6.1 (+5.0 to +8.0)",
        "-1.6 (-2.7 to +0.3)",
        "1,464",
    ]
    assert gains.loc["seeds + CRF"].tolist()[:3] == ["+8.6", "unconfirmed", "not run"]


def test_coco_stands_beside_the_paper_and_the_third_party(tmp_path):
    write_record(tmp_path, "05_masks", "coco14", rib_seeds=(0.35, 0.345, 0.355, 82783))
    write_record(tmp_path, "06_segmentation", "coco14", truth_crf=(0.6, 0.59, 0.61, 40000))
    write_record(tmp_path, "04_rib", "coco14", miou_difference_labelled=(0.01, 0.0, 0.02, 82081))
    records = published.read_records(tmp_path, "coco14")
    table = published.comparison_table("coco14_seeds", records)
    assert table.loc[("RIB", "seeds")].tolist()[:4] == [
        "36.5",
        "unconfirmed, paper",
        "35.0 (34.5 to 35.5)",
        "-1.5 (-2.0 to -1.0)",
    ]
    assert table.loc[("RIB, released code", "seeds")].tolist()[:4] == [
        "34.78",
        "confirmed, third party",
        "35.0 (34.5 to 35.5)",
        "+0.2 (-0.3 to +0.7)",
    ]
    supervised = published.comparison_table("coco14_segmentation", records).loc[("full supervision, CRF", "val")]
    assert supervised.tolist() == ["not known", "", "60.0 (59.0 to 61.0)", "", "40,000"]
    labelled = published.gain_table("coco14", records).loc["seeds, images with a class"]
    assert labelled.tolist() == ["not known", "", "+1.0 (+0.0 to +2.0)", "", "82,081"]


@pytest.mark.parametrize("text", ["", "[]", '{"miou": 1}', '{"miou": {"values": 1}}'])
def test_a_file_that_is_no_record_is_named(tmp_path, text):
    (tmp_path / "05_masks.voc12.json").write_text(text)
    with pytest.raises(ValueError, match=r"05_masks\.voc12\.json: is not the record of a chapter"):
        published.read_records(tmp_path, "voc12")


@pytest.mark.timeout(900)
def test_every_note_that_is_asked_for_is_left_by_its_chapter(tiny_book):
    of_some_data = {("04_rib", "miou_difference_labelled")}  # where there are images without a class
    notes = {note for places in published.OURS.values() for note in places.values()}
    notes |= {gain.note for gains in published.GAINS.values() for gain in gains}
    left = published.read_records(tiny_book.results / "records", "tiny")
    assert {(chapter, name) for chapter, name in notes - of_some_data if name not in left[chapter]} == set()


# --- the run that is shown --------------------------------------------------------------------------------------------------


@pytest.fixture
def results(monkeypatch, tmp_path):
    monkeypatch.setattr("ribstudy.store.RESULTS", tmp_path)
    return tmp_path


def test_another_data_set_shows_the_preset_of_the_published_one(results):
    write_record(results / "records", "05_masks", "voc12", rib_seeds=(0.5, None, None, 3))
    for preset in ("mini", str(PROJECT / "tests" / "tiny.yml"), "coco14", "voc12"):
        full = published.full_run(Chapter("10_voc12", preset, {}), "voc12")
        assert full.records["05_masks"]["rib_seeds"].value == 0.5
        assert full.variant is None  # no folder of data
    assert published.full_run(Chapter("11_coco14", "mini", {}), "coco14").records == {}
    chapter = SimpleNamespace(name="05_masks", notes={"a": 1}, settings=load_settings("voc12"))
    assert published.notes_of(chapter, "voc12") == {"05_masks": {"a": 1}}
    assert published.notes_of(chapter, "coco14") == {}


@pytest.fixture
def devkit(tmp_path):
    """A stand-in for VOC 2012 with two images of train."""
    root = tmp_path / "voc"
    options = ["--train", "2", "--train-aug", "3", "--val", "2"]
    assert command_line.main(["data", "synthesize", "voc12", "--root", str(root), *options]) == 0
    return next(root.glob("**/JPEGImages")).parent


def test_a_run_on_stand_ins_shows_its_own_records_and_stages(results, devkit):
    chapter = Chapter("10_voc12", "voc12", {"data.root": str(devkit)})
    write_record(results / "records", "05_masks", "voc12", rib_seeds=(0.5, None, None, 3))
    assert published.full_run(chapter, "voc12").records == {}  # the published images are others
    write_record(results / "records", "05_masks", chapter.settings_name(), rib_seeds=(0.4, None, None, 2))
    full = published.full_run(chapter, "voc12")
    assert full.records["05_masks"]["rib_seeds"].value == 0.4
    with full.variant({}).result("classifier").session("cpu"):
        pass
    before = sorted(results.rglob("*"))
    table = published.runtime_table(full)
    assert table.loc["classifier", "results"] == "0 finished, 1 unfinished"
    assert table.loc["rib", "results"] == "not run"
    figure = published.pictures(full, [])
    assert "not run" in figure.axes[0].texts[0].get_text()
    name = chapter.dataset("train").names[0]
    unit = {"keys": np.array([0]), "size": np.array([32, 48]), "maps_0": np.ones((1, 2, 3), np.float32)}
    full.variant(study.REPORTED).result("cam").write_unit(name, unit)
    titles = [axis.get_title() for axis in published.pictures(full, [name]).axes]
    assert titles[1:] == ["CAM", "RIB: not run", "mask: not run", "truth"]
    with pytest.raises(ValueError, match=r"nobody.*not in split train"):
        published.pictures(full, ["nobody"])
    assert [path for path in sorted(results.rglob("*")) if path not in before and path.is_file()] == [
        full.variant(study.REPORTED).result("cam").unit_path(name)
    ]


def test_images_are_chosen_by_class_order_and_stored_maps():
    labels = np.array([[1, 1], [1, 0], [1, 0], [0, 1], [1, 0]], bool)
    dataset = SimpleNamespace(names=list("abcde"), labels=labels, class_names=("cat", "cow"))
    assert published.fitting_images(dataset, ("cat", "cow", "cat"), lambda name: name != "b") == ["c", "d", "e"]
    assert published.fitting_images(dataset, ("cow", "cow"), lambda name: True) == ["d"]
    assert published.fitting_images(dataset, ("cat",), lambda name: False) == []


def test_classes_of_the_figure_are_those_of_the_data_sets():
    from ribstudy.datasets import voc12

    assert set(published.FIGURE_3["voc12"]) <= set(voc12.VOC_CLASSES)
    assert set(published.FIGURE_3) == set(published.GAINS) == set(study.FULL_RUNS.values())


# --- what a full run needs --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", sorted(BATCHES))
def test_commands_can_be_typed(preset):
    """Each is parsed by what would run it; the folder that stands for the data is all that is not real."""
    assert preset in preset_names()
    for line in published.commands(preset).values():
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
            chapter = next(name for name, own in study.FULL_RUNS.items() if own == preset)
            assert {chapter, *{note[0] for table in published.OURS.values() for note in table.values()}} <= {
                r.notebook for r in runs
            }
            if "--profile" in words:
                assert yaml.safe_load((PROJECT / words[words.index("--profile") + 1] / "config.yaml").read_text())
        else:
            assert words[0] == "papermill"
            known = batches.read_notebook(PROJECT / words[1]).parameters
            assert {words[place + 1] for place, word in enumerate(words) if word == "-p"} <= set(known)


def test_units_of_estimates():
    assert published.percent(Estimate(0.5, 0.4, 0.625)) == "50.0 (40.0 to 62.5)"
    assert published.percent(Estimate(-0.05), sign="+") == "-5.0 (no interval)"
    assert [published._shown(value) for value in (68.0, 34.78, 76.77)] == ["68.0", "34.78", "76.77"]


def test_unknown_table_is_refused():
    with pytest.raises(ValueError, match="voc12_sed"):
        published.comparison_table("voc12_sed", {})


def test_stored_masks_are_shown(tmp_path):
    result = Result(tmp_path, ".png")
    result.write_unit("a", np.ones((8, 8), np.uint8))
    image = np.asarray(Image.new("RGB", (8, 8)))
    dataset = SimpleNamespace(
        image=lambda name: image, label=lambda name: np.array([True]), class_names=("cat",), masked_names=[], mask=None
    )
    panels = published._panels(dataset, "a", {"mask": result})
    assert [panel.title for panel in panels] == ["cat", "mask from RIB", "no true mask"]
    assert panels[1].mask.all()
