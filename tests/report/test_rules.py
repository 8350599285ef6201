from ribstudy.evaluation.statistics import Estimate
from ribstudy.evaluation.verdicts import verdict
from ribstudy.report.rules import dependence_sentence


def judged(*values: float):
    rules = ("from val", "best on these images", "without masks")
    return verdict({rule: Estimate(value, value - 0.03, value + 0.03) for rule, value in zip(rules, values, strict=False)})


def test_differences_with_another_sign_by_another_rule_are_named():
    found = {"RIB − CAM, seeds": judged(0.01, 0.02, 0.01), "RIB − CAM, walk": judged(-0.049, 0.017, 0.002), "CRF": judged(0.01)}
    assert dependence_sentence(found) == (
        "The sign depends on the rule for thresholds in 1 of 2 comparisons: RIB − CAM, walk is -0.049 (from val), "
        "+0.017 (best on these images), +0.002 (without masks)."
    )
    opposite = {**found, "CAM": judged(0.05, -0.05)}
    assert dependence_sentence(opposite).startswith(
        "The answer depends on the rule for thresholds in 1 of 3 comparisons: CAM is"
    )
    assert " The sign depends on the rule for thresholds in 1 of 3 comparisons: RIB − CAM, walk" in dependence_sentence(
        opposite
    )
    twice = {**found, "RIB − blurred CAM, walk": judged(0.01, -0.01)}
    assert "in 2 of 3 comparisons" in dependence_sentence(twice)
    assert dependence_sentence(twice).endswith("; RIB − blurred CAM, walk is +0.010 (from val), -0.010 (best on these images).")


def test_the_sentence_says_that_nothing_depends_on_the_rule():
    found = {"seeds": judged(0.01, 0.02, 0.01), "walk": judged(0.02, 0.02, 0.03), "CRF": judged(-0.01)}
    assert dependence_sentence(found) == "In none of 2 comparisons does the answer depend on the rule for thresholds."
