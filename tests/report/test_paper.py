"""Published values: the rows of their file, and that no text repeats them."""

import re

import nbformat
import pandas as pd
import pytest

from ribstudy.bench.projections import COCO, VOC
from ribstudy.datasets import fetch
from ribstudy.report import paper, paper_tables
from ribstudy.runtime.paths import PROJECT

RESULTS = r"(voc12|coco14)_(seeds|seed_errors|cam_baseline|segmentation|segmentation_runs)$"
CHAPTERS = sorted((PROJECT / "book").glob("*.ipynb"))


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return pd.read_csv(paper.PAPER_VALUES)


def test_every_value_has_a_status_and_a_source_and_is_there_once(rows):
    assert set(rows["status"]) <= {"confirmed", "measured"}
    assert set(rows["by"]) <= {"paper", "authors", "third party", "data set"}
    assert rows["value"].notna().all()
    assert rows["source"].fillna("").str.strip().ne("").all()
    assert not rows.duplicated(["table", "row", "column"]).any()


def test_no_value_is_only_recalled(rows):
    assert not rows["source"].str.contains("recalled").any()


def test_values_are_within_their_range(rows):
    results = rows[rows["table"].str.match(RESULTS)]
    assert results["value"].between(1, 100).all()  # percent, not shares
    assert rows[rows["table"] == "toy_hgr"]["value"].between(0, 1).all()
    counts = rows[rows["table"].str.contains("_counts|_classes_per_image")]["value"]
    assert (counts == counts.round()).all()


def test_tables_have_the_rows_that_chapters_need(rows):
    seeds = paper.values("voc12_seeds").set_index(["row", "column"])
    assert seeds.loc[("RIB", "seed"), "status"] == "confirmed"
    coco = paper.values("coco14_seeds").set_index(["row", "column"])
    assert set(coco.loc["RIB, released code"]["by"]) == {"third party"}
    for table, places in paper_tables.OURS.items():
        known = set(zip(*rows[rows["table"] == table][["row", "column"]].to_numpy().T, strict=True))
        assert set(places) & known, table


def test_counts_in_the_library_equal_the_file(rows):
    counts = rows[rows["table"].str.endswith("_counts")].set_index(["table", "row", "column"])["value"]
    for split, number in fetch.COUNTS.items():
        assert counts["voc12_counts", split, "images"] == number
    assert counts["voc12_counts", "train_aug", "images"] == VOC.num_images
    assert counts["coco14_counts", "train", "images"] == COCO.num_images


def test_every_table_is_shown_by_a_chapter(rows):
    """Named in a chapter, or in a function of the library that a chapter uses."""
    chapters = "\n".join(path.read_text() for path in CHAPTERS)
    library = "\n".join(path.read_text() for path in (PROJECT / "ribstudy" / "report").rglob("*.py"))
    for table in rows["table"].unique():
        assert f'\\"{table}\\"' in chapters or f'"{table}"' in library, table


NUMBER = re.compile(r"(?<![\w.,^])\d{2}\.\d{1,2}(?![\w.]|,\d)")
ABOUT_RESULTS = re.compile(r"m?IoU|seeds?\b|masks?\b|paper|published|report|percent|RIB|CAM|IRN|segmentation", re.IGNORECASE)


def typed_copies(text: str, values: set[float]) -> list[str]:
    """Numbers with one or two decimals that equal a published result, within 100 characters of words about results."""
    near = lambda found: text[max(0, found.start() - 100) : found.end() + 100]  # noqa: E731
    return [found[0] for found in NUMBER.finditer(text) if float(found[0]) in values and ABOUT_RESULTS.search(near(found))]


def texts():
    """All texts of the project: chapters cell by cell, pages, library, benchmarks, presets, batches."""
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
