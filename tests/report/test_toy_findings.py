"""The words of the chapter follow from the estimates."""

import pytest

from ribstudy.evaluation.statistics import Estimate
from ribstudy.evaluation.verdicts import word_of
from ribstudy.report import toy as summary
from ribstudy.report import toy_findings as report


def test_an_effect_is_as_large_as_the_papers_if_it_reaches_what_the_figure_allows():
    lowest = summary.paper_extra_fall() - summary.paper_error()
    assert summary.paper_error() == pytest.approx(2 * 0.03)  # four values, each with an error of 0.03
    assert word_of(report.over_paper(Estimate(0.7, lowest + 0.01, 0.8))) == "yes"
    assert word_of(report.over_paper(Estimate(0.2, 0.1, lowest - 0.02))) == "no"
    assert word_of(report.over_paper(Estimate(0.5, 0.3, 0.7))) == "cannot tell"


def test_the_findings_of_the_chapter_follow_from_its_numbers():
    names = ("extra_fall_sigmoid", "difference_sigmoid_none", "difference_bce_rib")
    above, beneath, unknown = Estimate(0.1, 0.05, 0.15), Estimate(-0.1, -0.2, -0.05), Estimate(0.1)
    conditions = {"conditions_above_zero": Estimate(0.25, n=44)}
    told = report.answer_sentences({**dict(zip(names, (above, beneath, unknown), strict=True)), **conditions})
    assert [sentence.partition(" ")[2] for sentence in told] == [
        "its last step, the network loses more of the marker than of the digit.",
        "effect is smaller than the effect in the paper's figure.",
        "interval is above zero under 11 of 44 conditions.",
        "loss is no larger with a sigmoid than without a last activation.",
        "seeds cannot tell whether RIB reduces it more than fine-tuning with cross-entropy does.",
    ]
    assert "does not lose more" in report.answer_sentences({**dict.fromkeys(names, beneath), **conditions})[0]


def test_reliance_on_the_marker_needs_a_change_of_the_accuracy():
    def reliance(own, other):
        return report.reliance(*(Estimate(0.0, *bounds) for bounds in (own, other)))

    assert reliance((-0.01, 0.02), (-0.03, 0.0)).startswith("the network hardly relies on the marker")
    assert reliance((-0.01, 0.02), (-0.3, -0.1)).startswith("the network relies on the marker")
    assert reliance((-0.01, 0.02), (-0.3, 0.1)).startswith("these seeds cannot tell")
    assert reliance((None, None), (None, None)).startswith("one seed cannot tell")
