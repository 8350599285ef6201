"""The words of the chapter on the simulated experiment. They follow from the estimates, whatever these are."""

from collections.abc import Mapping, Sequence

import pandas as pd

from ribstudy.evaluation.statistics import Estimate, student_interval, student_mean
from ribstudy.evaluation.verdicts import CANNOT_TELL, NO, YES, word_of
from ribstudy.report import toy as summary
from ribstudy.report.toy_conditions import Conditions, combined_choice, in_words, largest, map_choice
from ribstudy.toy.data import REGIONS
from ribstudy.toy.experiment import THRESHOLDS

SMALL = 0.05  # a change of the accuracy that is surely smaller does not count as reliance on the marker

# Questions that one estimate answers: yes if it is positive.
QUESTIONS = {
    "extra_fall_sigmoid": "In the last step, does the ratio fall further in the marker than in the digit?",
    "extra_fall_sigmoid_common": "The same, with one maximum for all images?",
    "difference_sigmoid_untrained": "Is the effect larger than in an untrained network?",
    "difference_sigmoid_none": "Is it larger with a sigmoid than without a last activation?",
    "difference_sigmoid_softplus": "Is it larger with a sigmoid than with softplus, which saturates on one side only?",
    "difference_bce_rib": "Does fine-tuning with RIB reduce it more than fine-tuning with cross-entropy?",
    "marker_rib_gain": "Is the marker's ratio higher after RIB than after the control?",
    "bits_marker_lost": "Does a probe find less about the marker in the logit than in the last convolution?",
    "bits_digit_lost": "Does it find less about the digit?",
}
PAPER_SIZE = "Is the effect as large as in the paper's figure?"
PAPER_SIZE_ANYWHERE = "Is it as large under the condition with the largest effect?"


def over_paper(estimate: Estimate) -> Estimate:
    """How far an effect is above the lowest value that the paper's figure allows, given the error of reading it."""
    shift = summary.paper_extra_fall() - summary.paper_error()
    low, high = (None if bound is None else bound - shift for bound in (estimate.low, estimate.high))
    return Estimate(estimate.value - shift, low, high, estimate.n)


def findings(numbers: Mapping[str, Estimate]) -> pd.DataFrame:
    """A row for each question, its answer and the estimate that gives it; the numbers: of both `headline` functions."""
    rows = [(question, word_of(numbers[name]), numbers[name].text(2)) for name, question in QUESTIONS.items()]
    for question, name in ((PAPER_SIZE, "extra_fall_sigmoid"), (PAPER_SIZE_ANYWHERE, "largest_effect_without_luck")):
        rows.append((question, word_of(over_paper(numbers[name])), numbers[name].text(2)))
    return pd.DataFrame(rows, columns=["question", "answer", "estimate (95 % interval)"]).set_index("question")


# The finding of the chapter by the name of its estimate: the sentences for "yes", "no" and "cannot tell".
_FOUND = {
    "extra_fall_sigmoid": (
        "In its last step, the network loses more of the marker than of the digit.",
        "In its last step, the network does not lose more of the marker than of the digit.",
        "These seeds cannot tell whether the last step loses more of the marker than of the digit.",
    ),
    "difference_sigmoid_none": (
        "The loss is larger with a sigmoid than without a last activation.",
        "The loss is no larger with a sigmoid than without a last activation.",
        "These seeds cannot tell whether a sigmoid makes the loss larger.",
    ),
    "difference_bce_rib": (
        "Fine-tuning with RIB reduces it more than fine-tuning with cross-entropy.",
        "Fine-tuning with RIB reduces it no more than fine-tuning with cross-entropy.",
        "These seeds cannot tell whether RIB reduces it more than fine-tuning with cross-entropy does.",
    ),
}
_AS_IN_PAPER = {YES: "at least as large as", NO: "smaller than"}


def answer_sentences(numbers: Mapping[str, Estimate]) -> list[str]:
    """The findings of the chapter, the main one first; the numbers: as in `findings`, and of `toy_conditions.headline`."""
    words = (YES, NO, CANNOT_TELL)
    told = [sentences[words.index(word_of(numbers[name]))] for name, sentences in _FOUND.items()]
    size = _relation(over_paper(numbers["extra_fall_sigmoid"]), _AS_IN_PAPER)
    above = numbers["conditions_above_zero"]
    under = f"The interval is above zero under {above.value * above.n:.0f} of {above.n} conditions."
    return [told[0], f"The effect is {size} the effect in the paper's figure.", under, *told[1:]]


def words(runs: Sequence[summary.Run], conditions: Conditions, numbers: Mapping[str, Estimate]) -> dict[str, str]:
    """Phrases in the text of the chapter, by name."""
    effect = numbers["extra_fall_sigmoid"]
    return {
        "word_marker": reliance(numbers["accuracy_gain_own"], numbers["accuracy_gain_other"]),
        "word_effect": {YES: "confirm", NO: "do not confirm"}.get(word_of(effect), "can neither confirm nor refute"),
        "word_size": _relation(over_paper(effect), _AS_IN_PAPER),
        "word_levels": _levels(runs),
        "word_thresholds": _by_threshold(runs),
        "word_none": _relation(numbers["difference_sigmoid_none"], {YES: "less than", NO: "no less than"}),
        "word_softplus": _relation(numbers["difference_sigmoid_softplus"], {YES: "less than", NO: "no less than"}),
        "word_rib": _relation(numbers["difference_bce_rib"], {YES: "smaller than", NO: "not clearly smaller than"}),
        "word_bits_digit": _change(numbers["bits_digit_change_layers"]),
        "word_bits_marker": _change(numbers["bits_marker_change_layers"]),
        "word_map": map_choice(conditions),
        "word_combined": combined_choice(conditions),
        "word_largest": in_words(largest(conditions).condition),
        "word_reaches": {YES: "reaches", NO: "does not reach"}.get(
            word_of(over_paper(numbers["largest_effect_without_luck"])), "may or may not reach"
        ),
    }


def _relation(estimate: Estimate, by_answer: Mapping[str, str]) -> str:
    return by_answer.get(word_of(estimate), "not distinguishable from")


def _change(estimate: Estimate) -> str:
    if not estimate.excludes_zero:
        return "neither clearly rise nor clearly fall"
    return "rise" if estimate.value > 0 else "fall"


def reliance(own: Estimate, other: Estimate) -> str:
    """Whether the network relies on the marker, by what the right and the wrong one change about its accuracy."""
    bounds = [bound for estimate in (own, other) for bound in (estimate.low, estimate.high)]
    if None in bounds:
        return "one seed cannot tell whether the network relies on the marker"
    if max(map(abs, bounds)) < SMALL:
        return "the network hardly relies on the marker, which is therefore non-discriminative in the paper's sense"
    if any(estimate.low > SMALL or estimate.high < -SMALL for estimate in (own, other)):
        return "the network relies on the marker, which is therefore not as non-discriminative as the paper's argument needs"
    return "these seeds cannot tell how far the network relies on the marker"


def _levels(runs: Sequence[summary.Run]) -> str:
    """Our curves compared with the paper's, over G2 to G5 in digit and marker."""
    ours, paper = summary.hgr_curves(runs), summary.paper_curve().T.to_numpy()
    if ours.shape[1:] != paper.shape:
        return "cannot be compared with the paper's, which has another number of layers"
    names = [REGIONS.index(name) for name in REGIONS[:2]]
    found = student_mean((ours - paper)[:, 1:-1][..., names].mean(axis=(1, 2)))
    if not found.excludes_zero:
        return "are on average not distinguishable from the paper's in the middle layers"
    return (
        f"are on average {'above' if found.value > 0 else 'below'} the paper's in the middle layers, by {abs(found.value):.2f}"
    )


def _by_threshold(runs: Sequence[summary.Run]) -> str:
    """The number of thresholds at which the effect's interval is on each side of zero."""
    _, low, high = student_interval(summary.extra_fall_by_threshold(runs))
    above, beneath, total = int((low > 0).sum()), int((high < 0).sum()), len(THRESHOLDS)
    return f"The interval is above zero at {above} of {total} thresholds, and below zero at {beneath}"
