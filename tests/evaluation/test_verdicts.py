import re
from math import nan

import pytest

from ribstudy.evaluation.protocol import BEST, FROM_VAL, WITHOUT_MASKS
from ribstudy.evaluation.statistics import Estimate
from ribstudy.evaluation.verdicts import cannot_tell_much, power_sentence, verdict

UP, BIG, DOWN, NOTHING, OPEN = (
    Estimate(value, low, high, 319, (high - low) / 4)
    for value, low, high in (
        (0.02, 0.01, 0.03), (0.05, 0.02, 0.08), (-0.02, -0.03, -0.01), (0.001, -0.006, 0.008), (0.01, -0.005, 0.025)
    )
)  # fmt: skip


@pytest.mark.parametrize(
    ("difference", "word"),
    [
        (UP, "yes"),
        (DOWN, "no"),
        (NOTHING, "no"),
        (OPEN, "cannot tell"),
        (Estimate(0.3), "cannot tell"),
        (Estimate(0.3, nan, nan), "cannot tell"),
        (Estimate(0, 0, 0), "no"),
    ],
)
def test_the_word_of_one_rule(difference, word):
    found = verdict({FROM_VAL: difference})
    assert (found.word, found.depends, found.answer(), found.headline) == (word, "", word, difference)


def test_a_tiny_gain_above_zero_is_a_yes():
    assert verdict({FROM_VAL: Estimate(0.004, 0.001, 0.007)}).word == "yes"


def test_the_headline_is_the_first_rule():
    assert verdict({FROM_VAL: OPEN, BEST: UP}).word == "cannot tell"
    assert verdict({BEST: UP, WITHOUT_MASKS: OPEN}).word == "yes"
    with pytest.raises(ValueError, match="no difference"):
        verdict({})


@pytest.mark.parametrize(
    ("differences", "depends"),
    [
        ((UP, BIG, OPEN), ""),  # less evidence is no other answer
        ((UP, BIG, DOWN), "answer"),
        ((OPEN, Estimate(-0.001, -0.02, 0.02), UP), "sign"),
        ((UP, NOTHING), "answer"),  # something and nothing
        ((OPEN, Estimate(0.0, -0.02, 0.02)), ""),  # zero has no sign
        ((DOWN, DOWN), ""),
    ],
)
def test_a_verdict_that_depends_on_the_rule_is_said_to(differences, depends):
    found = verdict(dict(zip((FROM_VAL, BEST, WITHOUT_MASKS), differences, strict=False)))
    assert found.depends == depends
    assert re.findall(r"the (\w+) depends on the rule", found.answer()) == ([depends] if depends else [])
    assert found.answer() in found.sentence().lower()


def test_sentences():
    found = verdict({FROM_VAL: UP, BEST: BIG, WITHOUT_MASKS: DOWN})
    assert found.answer() == "yes; the answer depends on the rule for thresholds"
    assert found.sentence() == (
        "Yes; the answer depends on the rule for thresholds: +0.020 (+0.010 to +0.030) with thresholds from val, "
        "+0.050 (+0.020 to +0.080) with the best thresholds on these images, "
        "-0.020 (-0.030 to -0.010) with thresholds found without masks."
    )
    assert power_sentence(UP) == "This comparison on 319 images detects a true difference of 0.014 with a probability of 80 %."


def test_a_comparison_that_cannot_tell_much_says_so_before_its_result():
    assert [cannot_tell_much(found) for found in (UP, OPEN, BIG, Estimate(0.1, 0, 0.2))] == [False, True, True, True]
    assert verdict({FROM_VAL: BIG}).sentence() == (
        "This comparison on 319 images detects a true difference of 0.042 with a probability of 80 %, "
        "and one of 0.02 less often. "
        "Yes: +0.050 (+0.020 to +0.080) with thresholds from val."
    )
    assert verdict({FROM_VAL: Estimate(0.1)}).sentence().startswith("It is not known which difference")
