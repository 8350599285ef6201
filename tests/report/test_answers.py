"""The answers of the study, from records."""

import math

import pytest

from ribstudy.evaluation.statistics import Estimate
from ribstudy.report import toy_findings
from ribstudy.report.answers import (
    QUESTIONS,
    REACH,
    TOY,
    answer,
    answers,
    answers_table,
    counts_text,
    minute,
    reach_answer,
    size_table,
    toy_table,
)
from ribstudy.report.shown import Shown

SEEDS = {"num_seeds": Estimate(3)}


def estimate(value, error=0.002, n=500):
    return Estimate(value, value - 2 * error, value + 2 * error, n, error)


def question(name):
    return next(one for one in QUESTIONS if one.name == name)


def shown(**records):
    """The records of chapters 4, 5, ..., given as `rib`, `masks`, ..."""
    names = {"toy": "01_toy", "rib": "04_rib", "masks": "05_masks", "segmentation": "06_segmentation"}
    names |= {"ablations": "07_ablations", "methods": "08_other_methods", "power": "power"}
    return Shown("Images", {names[name]: {**SEEDS, **record} for name, record in records.items()})


def test_an_answer_has_its_estimate_and_what_it_is_based_on():
    found = answer(question("gain_rib"), shown(rib={"gain_rib": estimate(0.02)}, methods={"seconds_rib": Estimate(6.0)}))
    assert (found.word, found.estimate, found.warning) == ("yes", "+0.020 (+0.016 to +0.024)", "")
    assert (found.counts, found.basis) == ("500 images, 3 trainings", ("", "RIB: 6.00 s for an image"))
    assert found.html().split("<br>") == [
        "<b>yes</b> +0.020 (+0.016 to +0.024)",
        "<small>500 images, 3 trainings</small>",
        "<small>RIB: 6.00 s for an image</small>",
    ]


def test_the_time_of_rib_comes_from_its_own_chapter_if_other_methods_were_not_run():
    record = {"gain_rib": estimate(0.02), "seconds_rib": Estimate(12.0)}
    assert answer(question("gain_rib"), shown(rib=record)).basis[-1] == "RIB: 12.00 s for an image"
    both = shown(rib=record, methods={"seconds_rib": Estimate(6.0)})
    assert answer(question("gain_rib"), both).basis[-1] == "RIB: 6.00 s for an image"


def test_an_answer_of_one_training_says_that_its_interval_leaves_trainings_out():
    record = {"gain_rib": estimate(0.02), "num_seeds": Estimate(1)}
    assert answer(question("gain_rib"), shown(rib=record)).counts == "500 images, 1 training, which the interval leaves out"


def test_a_weak_comparison_says_so_first():
    found = answer(question("gain_seeds_crf"), shown(masks={"gain_seeds_crf": estimate(0.001, error=0.01)}))
    assert found.word == "cannot tell"
    assert found.html().startswith("<small>low power: detects 0.028</small><br><b>cannot tell</b>")
    alone = answer(question("gain_seeds_crf"), shown(masks={"gain_seeds_crf": Estimate(0.1)}))
    assert alone.html().startswith("<small>unknown power</small><br><b>cannot tell</b> +0.100 (no interval)")


def test_a_sign_that_depends_on_the_rule_is_named():
    record = {"gain_walk": estimate(0.02), "gain_walk_unmasked": estimate(-0.02)}
    found = answer(question("gain_walk"), shown(masks=record))
    assert (found.word, found.depends) == ("yes", "answer")
    assert "the answer depends on the rule" in found.html()


def test_an_ablation_is_turned_round_and_has_its_p_value():
    record = {"difference_bce": estimate(-0.02), "adjusted_bce": Estimate(0.0002)}
    found = answer(question("difference_bce"), shown(ablations=record))
    assert (found.word, found.estimate) == ("yes", "+0.020 (+0.016 to +0.024)")
    assert "adjusted p &lt; 0.001" in found.html()
    record = {"difference_gap": estimate(0.001), "adjusted_gap": Estimate(1.0)}
    found = answer(question("difference_gap"), shown(ablations=record))
    assert found.word == "no"
    assert "adjusted p = 1.000" in found.html()


def test_what_was_not_run_or_not_compared_has_no_verdict():
    assert answer(question("gain_rib"), shown()).html() == "<b>not run</b>"
    found = answer(question("gain_rib_crf"), shown(segmentation={"gain_rib_crf": Estimate(math.nan)}))
    assert found.word == "not compared"
    assert reach_answer(shown()).word == "not run"


def test_the_reach_is_a_distance_or_nowhere():
    found = reach_answer(shown(rib={"reach": Estimate(0.5, n=500), "reach_best": Estimate(math.nan, n=500)}))
    assert found.word == "up to 0.50 object sizes"
    assert (found.counts, found.basis) == ("500 images, 3 trainings", ("best on these images: nowhere",))
    same = reach_answer(shown(rib={"reach": Estimate(math.nan, n=500), "reach_best": Estimate(math.nan, n=500)}))
    assert (same.word, same.basis) == ("nowhere", ())


def test_the_table_has_a_row_for_each_question_and_a_column_for_each_data_set_with_an_answer():
    first, new = shown(rib={"gain_rib": estimate(0.02)}), Shown("New images", {"03_cam": {"miou_cam": Estimate(0.4)}})
    second = Shown("Other images", {"04_rib": {"gain_blur": estimate(0.01)}})
    table = answers_table([new, first, second]).data
    assert [column.split("<br>")[0] for column in table.columns] == ["Images", "Other images"]
    table.columns = ["Images", "Other images"]
    assert len(table) == len(QUESTIONS) + 1
    assert len({one.text for one in QUESTIONS}) == len(QUESTIONS)
    assert REACH in answers([first])
    row = table.loc[f"{question('gain_rib').text}<br><small>chapter 4</small>"]
    assert row["Images"].startswith("<b>yes</b>")
    assert row["Other images"] == "<b>not run</b>"
    assert f"{question('gain_fast').text}<br><small>chapter on costs</small>" in table.index
    text = counts_text([new, first, second])
    assert text.startswith("New images: not run. Images: of")
    assert list(answers_table([new]).data.columns) == list(size_table([new])) == ["New images"]
    assert (
        f"Images: of {len(QUESTIONS)} questions about a difference, 1 have the answer yes, 0 no, {len(QUESTIONS) - 1} not run."
        in text
    )


def test_counts_of_most_answers_stand_in_the_title_of_their_column():
    record = {name: estimate(0.02) for name in ("gain_rib", "gain_blur")}
    few = {"difference_bce": Estimate(-0.02, -0.024, -0.016, 60, standard_error=0.002)}
    table = answers_table([shown(rib=record, ablations=few)]).data
    (title,) = table.columns
    assert title == "Images<br><small>500 images, 3 trainings</small>"
    with_counts = [cell for cell in table[title] if "trainings" in cell]
    assert with_counts == ["<b>yes</b> +0.020 (+0.016 to +0.024)<br><small>60 images, 3 trainings</small>"]


def test_the_front_page_has_four_findings_for_each_data_set_with_results():
    record = {
        "gain_rib": estimate(0.02),
        "gain_blur": estimate(0.01),
        "rib_less_blur": estimate(-0.02),
        "num_images": Estimate(500),
    }
    page = minute([shown(rib=record, segmentation={"gain_rib_crf": Estimate(math.nan)}), Shown("Other images", {})]).data
    assert page.count("In one minute") == 1
    assert "<strong>RIB&#x27;s maps score 2.0 points higher than the CAM&#x27;s (1.6 to 2.4).</strong>" in page
    assert "Not run: masks made from RIB&#x27;s maps" in page
    assert page.count("<svg") == 3
    assert "500 images, 3 trainings" in page
    assert minute([shown()]).data == "<p>not run</p>"


def test_the_toy_is_shown_from_the_data_set_that_has_it():
    record = {name: Estimate(0.1, 0.05, 0.15, 20) for name in TOY} | {"extra_fall_paper": Estimate(0.56)}
    table = toy_table([shown(), shown(toy=record)]).data["digits with markers<br><small>20 seeds</small>"]
    assert table[toy_findings.QUESTIONS[TOY[0]]].startswith("<b>yes</b> +0.10 (+0.05 to +0.15)<br><small>the paper's")
    assert "the paper's figure: +0.56" in table.iloc[0]
    assert toy_table([shown()]).data.iloc[0, 0] == "<b>not run</b>"


def test_the_size_of_the_study_is_next_to_what_it_needs():
    record = {"num_reported": Estimate(500), "told_rib": Estimate(0.009), "images_for_rib": Estimate(405)}
    record |= {"told_blur": Estimate(0.02), "images_for_blur": Estimate(math.inf)}
    table = size_table([shown(power=record)])["Images"]
    assert table["RIB − CAM"] == "500 images, 3 trainings: tell 0.009; 0.01 needs 405 images"
    assert table["CAM, blurred − CAM"].endswith("tell 0.020; 0.01 cannot be told by more images")
    assert table["RIB − CAM, blurred"] == "not run"


@pytest.mark.parametrize("name", TOY)
def test_the_toy_questions_are_those_of_the_chapter(name):
    assert name in toy_findings.QUESTIONS
