"""Verdicts on a question such as "does RIB add to the mIoU", in words that are generated from estimates."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isnan

from ribstudy.evaluation.protocol import BEST, FROM_VAL, WITHOUT_MASKS
from ribstudy.evaluation.statistics import Estimate
from ribstudy.runtime.words import capitalized

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
        depends: "answer" if another rule gives the opposite answer, "sign" if it only gives the opposite sign of the
            difference, "" if neither depends on the rule.
        differences: the difference by rule; the first is the headline.
    """

    word: str
    depends: str
    differences: Mapping[str, Estimate]

    @property
    def headline(self) -> Estimate:
        return next(iter(self.differences.values()))

    @property
    def limit(self) -> str:
        """The dependence on the rule, such as "the sign depends on the rule for thresholds"; "" if there is none."""
        return f"the {self.depends} depends on the rule for thresholds" if self.depends else ""

    def answer(self) -> str:
        """The word and what limits it, such as "cannot tell; the sign depends on the rule for thresholds"."""
        return "; ".join(filter(None, (self.word, self.limit)))

    def sentence(self) -> str:
        """The answer and the differences that it is based on, and before them a warning if the comparison cannot tell much."""
        estimates = [f"{found.text()} {_WITH_RULE.get(rule, rule)}" for rule, found in self.differences.items()]
        answer = self.answer()
        result = f"{capitalized(answer)}: {', '.join(estimates)}."
        return f"{power_sentence(self.headline)} {result}" if cannot_tell_much(self.headline) else result


def verdict(differences: Mapping[str, Estimate]) -> Verdict:
    """The verdict on a difference in mIoU.

    The word is the headline's (`word_of`).

    Args:
        differences: by rule, the headline first, such as {rule: found.difference for rule, found in compare(...).items()}.

    Raises ValueError if there is no difference.
    """
    if not differences:
        raise ValueError("there is no difference to judge")
    words = [word_of(found) for found in differences.values()]
    values = [found.value for found in differences.values()]
    depends = "answer" if {YES, NO} <= set(words) else "sign" if min(values) < 0 < max(values) else ""
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
    """The smallest true difference that the comparison detects, as a sentence."""
    if found.detectable is None:
        return "It is not known which difference this comparison could tell from none."
    images = "" if found.n is None else f" on {found.n:,} images"
    told = f"This comparison{images} detects a true difference of {found.detectable:.3f} with a probability of 80 %"
    return f"{told}, and one of {TO_TELL:.2f} less often." if cannot_tell_much(found) else f"{told}."
