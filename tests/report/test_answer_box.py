"""The box below the question of a chapter: sentences and intervals."""

from types import SimpleNamespace

import pytest
from bs4 import BeautifulSoup

from ribstudy.evaluation.protocol import BEST, FROM_VAL
from ribstudy.evaluation.statistics import Estimate
from ribstudy.report import answer_box
from ribstudy.report.answer_box import bars_sentence, basis_sentence, by_sign, compared_sentence, told


def sentence(*estimates):
    return compared_sentence("RIB's maps", "the CAM's", dict(zip((FROM_VAL, BEST), estimates, strict=False)))


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (Estimate(0.025, 0.009, 0.039), "RIB's maps score 2.5 points higher than the CAM's (0.9 to 3.9)."),
        (Estimate(-0.025, -0.039, -0.009), "RIB's maps score 2.5 points lower than the CAM's (0.9 to 3.9)."),
        (
            Estimate(0.001, -0.004, 0.006),
            "RIB's maps and the CAM's score the same within a point: +0.1 (-0.4 to +0.6).",
        ),
        (
            Estimate(0.006, -0.01, 0.023, 200, 0.008),
            "This study cannot tell whether RIB's maps or the CAM's score higher: +0.6 (-1.0 to +2.3) points. "
            "It detects a true difference of 2.2 points with a probability of 80 %.",
        ),
        (
            Estimate(0.2),
            "This study cannot tell whether RIB's maps or the CAM's score higher: +20.0 (no interval) points.",
        ),
        (Estimate(float("nan")), "Not compared: RIB's maps with the CAM's."),
    ],
)
def test_a_finding_follows_from_the_interval(found, expected):
    assert sentence(found) == expected


def test_a_finding_names_its_limits():
    assert sentence() == "Not run: RIB's maps against the CAM's."
    by_rule = sentence(Estimate(0.025, 0.009, 0.039), Estimate(-0.01, -0.02, 0.01))
    assert by_rule.endswith("(0.9 to 3.9). The sign depends on the rule for thresholds.")
    after = compared_sentence("masks", "others", {FROM_VAL: Estimate(0.02, 0.01, 0.03)}, ending="after the CRF")
    assert after == "Masks score 2.0 points higher than others after the CRF (1.0 to 3.0)."


def test_a_difference_of_the_chapter_can_be_told_the_other_way_round():
    chapter = SimpleNamespace(notes={"difference_bce": Estimate(-0.02, -0.03, -0.01)})
    assert (
        told(chapter, "RIB's maps", "others", "-difference_bce")
        == "RIB's maps score 2.0 points higher than others (1.0 to 3.0)."
    )
    assert told(chapter, "variants", "RIB's maps", "difference_bce").startswith(
        "Variants score 2.0 points lower than RIB's maps"
    )


@pytest.mark.parametrize(
    ("low", "high", "expected"), [(1, 3, "more (2)."), (-3, 3, "unclear (2)."), (None, None, "unclear (2).")]
)
def test_a_text_follows_from_the_side_of_zero(low, high, expected):
    def text(found):
        return by_sign(found, "more", "less", "unclear", tell=lambda of: f"{of.value:.0f}")

    assert text(Estimate(2, low, high)) == expected
    assert text(Estimate(-2, -3, -1)) == "less (-2)."
    assert text(Estimate(float("nan"))) == "Not run."


def test_bars_are_named_by_whether_they_exclude_zero():
    up, down, open_ = Estimate(2, 1, 3), Estimate(-2, -3, -1), Estimate(0.5, -1, 2)
    assert bars_sentence({"A": up, "B": down, "C": open_, "D": Estimate(4)}) == (
        "The bars of A and B exclude zero. The bar of C contains zero."
    )
    assert bars_sentence({"A": open_, "B": open_, "C": open_}) == "The bars of A, B and C contain zero."
    assert bars_sentence({}) == ""


def test_the_basis_names_the_numbers_that_a_chapter_has():
    record = {"num_images": Estimate(1200.0), "num_seeds": Estimate(3.0), "num_choices": Estimate(200.0)}
    assert basis_sentence(record) == "1,200 images, 3 trainings, thresholds chosen on 200 other images"
    alone = basis_sentence({"num_images": Estimate(24.0), "num_seeds": Estimate(1.0)})
    assert alone == "24 images, 1 training. With one training, the intervals leave out how trainings differ"


@pytest.fixture
def box(monkeypatch):
    glued = {}
    monkeypatch.setattr(answer_box, "glue", lambda name, shown, display: glued.update({name: shown}))
    notes = {"gain": Estimate(0.02, 0.01, 0.03), "loss": Estimate(-0.01, -0.04, 0.02), "alone": Estimate(0.1)}
    rows = {"RIB − CAM": "gain", "loss, turned": "-loss", "one training": "alone", "masks < maps": "missing"}
    answer_box.glue_answer(SimpleNamespace(notes=notes), ["First.", "Second."], rows, basis="2 images")
    return BeautifulSoup(glued["answer"].data, "html.parser")


@pytest.mark.parametrize("live", [True, False])
def test_an_editor_sees_the_box_at_the_end_of_the_notebook(live, monkeypatch):
    """JupyterLab does not show what Markdown glues; the page of the book shows it below the question."""
    shown = []
    monkeypatch.setattr(answer_box, "is_live", lambda: live)
    monkeypatch.setattr(answer_box, "glue", lambda name, box, display: shown.append(display))
    answer_box.glue_answer(SimpleNamespace(notes={}), ["First."], {}, basis="2 images")
    assert shown == [live]


def test_the_box_shows_findings_intervals_and_numbers(box):
    assert box.strong.get_text() == "First."
    assert "Second. masks < maps: not run." in box.get_text()
    rows = [[cell.get_text() for cell in row.find_all(["th", "td"])] for row in box.find_all("tr")]
    assert rows == [
        ["RIB − CAM", "", "+2.0 (+1.0 to +3.0)\N{NO-BREAK SPACE}points"],
        ["loss, turned", "", "+1.0 (-2.0 to +4.0)\N{NO-BREAK SPACE}points"],
    ]
    assert box.small.get_text() == "2 images. Intervals: 95 %."


def test_intervals_share_one_axis(box):
    first, second = box.find_all("svg")
    zero, interval = first.find_all("line")
    assert zero["x1"] == zero["x2"] == second.line["x1"]
    # The axis goes from -0.02 at 6 pixels to 0.04 at 234 pixels: 38 pixels for 0.01.
    assert (zero["x1"], interval["x1"], first.circle["cx"], interval["x2"]) == ("82.0", "120.0", "158.0", "196.0")
