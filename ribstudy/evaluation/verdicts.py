"""Verdicts on a question such as "does RIB add to the mIoU", in words that are generated from estimates."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isnan

from ribstudy.evaluation.protocol import BEST, FROM_VAL, WITHOUT_MASKS
from ribstudy.evaluation.statistics import Estimate

YES, NO, CANNOT_TELL = "yes", "no", "cannot tell"
NO_SIZE = 0.01  # an effect, such as a difference in mIoU, between -0.01 and 0.01 has no size that matters
TO_TELL = 0.02  # a warning precedes the result of a comparison that cannot tell this difference in mIoU

_WITH_RULE = {
    FROM_VAL: "with thresholds from val",
    BEST: "with the best thresholds on these images",
    WITHOUT_MASKS: "with thresholds found without masks",
}


@dataclass(frozen=True)
class Verdict:
    """The answer to whether a difference in mIoU is positive.

    Args:
        word: "yes", "no" or "cannot tell", of the headline.
        depends_on_rule: whether the sign of the difference, or the answer, is another by another rule.
        differences: the difference by rule; the first is the headline.
    """

    word: str
    depends_on_rule: bool
    differences: Mapping[str, Estimate]

    @property
    def headline(self) -> Estimate:
        return next(iter(self.differences.values()))

    def answer(self) -> str:
        """The word and what limits it, such as "cannot tell; the answer depends on the rule for thresholds"."""
        return self.word + ("; the answer depends on the rule for thresholds" if self.depends_on_rule else "")

    def sentence(self) -> str:
        """The answer and the differences that it is based on, and before them a warning if the comparison cannot tell much."""
        estimates = [f"{found.text()} {_WITH_RULE.get(rule, rule)}" for rule, found in self.differences.items()]
        answer = self.answer()
        result = f"{answer[0].upper()}{answer[1:]}: {', '.join(estimates)}."
        return f"{power_sentence(self.headline)} {result}" if cannot_tell_much(self.headline) else result


def verdict(differences: Mapping[str, Estimate]) -> Verdict:
    """The verdict on a difference in mIoU.

    The word is the headline's (`word_of`). The verdict depends on the rule if differences by two rules have opposite signs.

    Args:
        differences: by rule, the headline first, such as {rule: found.difference for rule, found in compare(...).items()}.

    Raises ValueError if there is no difference.
    """
    if not differences:
        raise ValueError("there is no difference to judge")
    words = [word_of(found) for found in differences.values()]
    values = [found.value for found in differences.values()]
    depends = min(values) < 0 < max(values) or {YES, NO} <= set(words)
    return Verdict(words[0], depends, dict(differences))


def word_of(found: Estimate) -> str:
    """Whether a number is positive: "yes", "no" or "cannot tell".

    It is "yes" if the interval is above zero, and "no" if it is below zero or between -0.01 and 0.01.
    """
    if found.low is None or isnan(found.low):
        return CANNOT_TELL
    if found.low > 0:
        return YES
    return NO if found.high < 0 or (found.low > -NO_SIZE and found.high < NO_SIZE) else CANNOT_TELL


def cannot_tell_much(found: Estimate) -> bool:
    """Whether a comparison is too small to tell a difference of 0.02 in mIoU; also if nothing is known about its power."""
    return found.detectable is None or found.detectable > TO_TELL


def power_sentence(found: Estimate) -> str:
    """The smallest difference that the comparison could have told, as a sentence."""
    if found.detectable is None:
        return "It is not known which difference this comparison could tell from none."
    images = "" if found.n is None else f" on {found.n:,} images"
    told = f"This comparison{images} tells a difference of {found.detectable:.3f} from none with a power of 80 %"
    return f"{told}, and cannot tell one of {TO_TELL:.2f}." if cannot_tell_much(found) else f"{told}."
