"""Training masks are compared only by networks that are good enough."""

from math import isnan
from types import SimpleNamespace

import pytest

from ribstudy.evaluation.protocol import FROM_VAL
from ribstudy.evaluation.statistics import Comparison, Estimate
from ribstudy.report import teachers

GOOD, POOR = Estimate(0.66, 0.64, 0.68), Estimate(0.4, 0.38, 0.42)


def found(half: float) -> dict:
    difference = Estimate(0.03, 0.03 - half, 0.03 + half, 319, half / 2)
    return {"gain": {FROM_VAL: Comparison(Estimate(0.4), Estimate(0.43), difference)}}


@pytest.fixture
def chapter():
    notes, said = {}, {}
    return SimpleNamespace(
        notes=notes,
        said=said,
        note_estimate=notes.__setitem__,
        note=lambda name, value: notes.update({name: Estimate(value)}),
        say=said.__setitem__,
    )


def test_drawn_images_have_a_level_and_photographs_have_none():
    assert teachers.can_rank("minivoc", GOOD)
    assert not teachers.can_rank("minivoc", POOR)
    assert teachers.can_rank("voc12", POOR)
    assert "0.660 (0.640 to 0.680). This is at least 0.65" in teachers.level_sentence("minivoc", GOOD)
    assert "below 0.65" in teachers.level_sentence("minivoc", POOR)
    assert "not compared yet" in teachers.level_sentence("minivoc", POOR)
    assert "No level is set" in teachers.level_sentence("voc12", POOR)


def test_what_could_be_told_precedes_the_result(chapter):
    for half, told in ((0.01, "of 0.014 with a probability of 80 %. Yes: "), (0.02, "of 0.028 with")):
        teachers.note_teachers(chapter, found(half), ranked=True)
        assert chapter.notes["gain"].value == 0.03
        assert told in chapter.said["gain_told"]
        assert chapter.said["gain_told"].count("This comparison") == 1
        assert chapter.said["gain_told"].endswith(" with thresholds from val.")


def test_nothing_is_compared_by_poor_networks(chapter):
    teachers.note_teachers(chapter, found(0.01), ranked=False)
    assert isnan(chapter.notes["gain"].value)
    assert chapter.said == {"gain_answer": "not compared", "gain_told": "Not compared."}
