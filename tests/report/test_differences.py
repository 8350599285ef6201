"""The notes and the tables of methods and their differences by the protocol."""

from types import SimpleNamespace

import pytest

from ribstudy.evaluation.protocol import BEST, FROM_VAL, WITHOUT_MASKS
from ribstudy.evaluation.statistics import Comparison, Estimate
from ribstudy.evaluation.verdicts import verdict
from ribstudy.report import differences


def comparison(value, half):
    return Comparison(Estimate(0.4), Estimate(0.4 + value), Estimate(value, value - half, value + half, 1319, half / 2))


SEEDS = {FROM_VAL: comparison(0.03, 0.01), BEST: comparison(0.02, 0.01), WITHOUT_MASKS: comparison(-0.01, 0.02)}
CRF = {FROM_VAL: comparison(0.01, 0.03)}


@pytest.fixture
def chapter():
    notes, said = {}, {}
    return SimpleNamespace(notes=notes, said=said, note_estimate=notes.__setitem__, say=said.__setitem__)


def test_a_difference_is_noted_by_rule_with_its_texts(chapter):
    judged = differences.note_differences(chapter, "gain", SEEDS)
    assert chapter.notes == {
        "gain": SEEDS[FROM_VAL].difference,
        "gain_best": SEEDS[BEST].difference,
        "gain_unmasked": SEEDS[WITHOUT_MASKS].difference,
    }
    assert judged == differences.verdict_of(SEEDS)
    assert chapter.said == {"gain_answer": judged.answer(), "gain_sentence": judged.sentence()}
    assert chapter.said["gain_answer"].startswith("yes; the sign depends on the rule")


def test_the_verdict_can_be_found_from_a_record(chapter):
    for name, found in (("gain", SEEDS), ("gain_crf", CRF)):
        judged = differences.note_differences(chapter, name, found)
        assert judged == verdict(differences.noted_differences(chapter.notes, name))
    assert differences.noted_differences(chapter.notes, "other") == {}


def test_the_table_has_both_values_all_rules_the_size_of_the_study_and_the_verdict():
    table = differences.rules_table({"RIB − CAM": SEEDS, "RIB, masks − CAM, masks": CRF}, trainings=3)
    assert table.index.name == "A − B"
    assert table.columns[0] == "A larger?"  # a narrow screen shows the first columns
    assert table.loc["RIB − CAM"].to_dict() == {
        "A": "0.430",
        "B": "0.400",
        "from val (95 %)": "+0.030 (+0.020 to +0.040)",
        "best on these images (95 %)": "+0.020 (+0.010 to +0.030)",
        "without masks (95 %)": "-0.010 (-0.030 to +0.010)",
        "could tell": "0.014",
        "trainings": 3,
        "images": "1,319",
        "A larger?": "yes (the sign depends on the rule)",
    }
    assert table.loc["RIB, masks − CAM, masks", "A larger?"] == "cannot tell"
    assert table.loc["RIB, masks − CAM, masks"].tolist()[4:] == ["–", "–", "0.042", 3, "1,319"]


def test_what_is_not_known_has_a_dash():
    only = Comparison(Estimate(0.4), Estimate(0.5), Estimate(0.1))
    line = differences.rules_table({"RIB − CAM": {FROM_VAL: only}}, trainings=1).loc["RIB − CAM"]
    assert (line["could tell"], line["images"], line["A larger?"]) == ("–", "–", "cannot tell")


def test_scores_are_shown_for_every_rule():
    of_rule = {measure: Estimate(0.5, 0.4, 0.6) for measure in ("miou", "precision", "recall", "over", "under")}
    table = differences.scores_table({"CAM": {FROM_VAL: of_rule, BEST: of_rule}, "masks": {FROM_VAL: of_rule}})
    assert table.index.tolist() == [("CAM", FROM_VAL), ("CAM", BEST), ("masks", FROM_VAL)]
    assert table.loc[("CAM", BEST)].tolist() == ["0.500 (0.400 to 0.600)", 0.5, 0.5, 0.5, 0.5]
