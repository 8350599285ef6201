"""The tables and notes of comparisons by the protocol."""

from types import SimpleNamespace

import pytest

from ribstudy.evaluation.protocol import BEST, FROM_VAL, WITHOUT_MASKS
from ribstudy.evaluation.statistics import Comparison, Estimate
from ribstudy.evaluation.verdicts import verdict
from ribstudy.report import protocol


def comparison(value, half):
    return Comparison(Estimate(0.4), Estimate(0.4 + value), Estimate(value, value - half, value + half, 319, half / 2))


SEEDS = {FROM_VAL: comparison(0.03, 0.01), BEST: comparison(0.02, 0.01), WITHOUT_MASKS: comparison(-0.01, 0.02)}
CRF = {FROM_VAL: comparison(0.01, 0.03)}


@pytest.fixture
def glued(monkeypatch):
    texts = {}
    monkeypatch.setattr(protocol, "glue", lambda name, text, display: texts.update({name: text}))
    return texts


@pytest.fixture
def chapter():
    notes = {}
    return SimpleNamespace(notes=notes, note_estimate=notes.__setitem__)


def test_a_comparison_is_noted_by_rule_with_its_texts(chapter, glued):
    judged = protocol.note_comparison(chapter, "gain", SEEDS)
    assert chapter.notes == {
        "gain": SEEDS[FROM_VAL].difference,
        "gain_best": SEEDS[BEST].difference,
        "gain_without_masks": SEEDS[WITHOUT_MASKS].difference,
    }
    assert (judged.word, judged.depends_on_rule) == ("yes", True)
    assert glued["gain_answer"] == "yes; the sign depends on the rule for thresholds"
    assert glued["gain_sentence"] == judged.sentence()
    assert "a difference of 0.014 from none" in glued["gain_power"]


def test_the_verdict_can_be_found_from_a_record(chapter, glued):
    for name, found in (("gain", SEEDS), ("gain_crf", CRF)):
        assert protocol.note_comparison(chapter, name, found) == verdict(protocol.noted(chapter.notes, name))
    assert protocol.noted(chapter.notes, "other") == {}


def test_the_table_has_all_rules_what_could_be_told_and_the_verdict():
    table = protocol.rules_table({"seeds": SEEDS, "seeds + CRF": CRF}, index="step", first="CAM", second="RIB")
    assert table.index.name == "step"
    assert table.columns.tolist() == [
        "CAM",
        "RIB",
        "difference, from val (95 %)",
        "difference, best on these images (95 %)",
        "difference, without masks (95 %)",
        "could be told",
        "larger?",
    ]
    assert table.loc["seeds"].tolist() == [
        "0.400",
        "0.430",
        "+0.030 (+0.020 to +0.040)",
        "+0.020 (+0.010 to +0.030)",
        "-0.010 (-0.030 to +0.010)",
        "0.014",
        "yes; the sign depends on the rule for thresholds",
    ]
    assert table.loc["seeds + CRF"].tolist()[3:] == ["–", "–", "0.042", "cannot tell"]


def test_scores_are_shown_for_every_rule():
    of_rule = {measure: Estimate(0.5, 0.4, 0.6) for measure in ("miou", "precision", "recall", "over", "under")}
    table = protocol.scores_table({"CAM": {FROM_VAL: of_rule, BEST: of_rule}, "masks": {FROM_VAL: of_rule}})
    assert table.index.tolist() == [("CAM", FROM_VAL), ("CAM", BEST), ("masks", FROM_VAL)]
    assert table.loc[("CAM", BEST)].tolist() == ["0.500 (0.400 to 0.600)", 0.5, 0.5, 0.5, 0.5]
