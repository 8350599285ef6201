"""Whether the answers of a page depend on the rule that chooses the thresholds, as a sentence."""

from collections.abc import Mapping

from ribstudy.evaluation.verdicts import Verdict


def dependence_sentence(judged: Mapping[str, Verdict]) -> str:
    """Which comparisons have another answer, and which only another sign, by another rule for thresholds.

    Args:
        judged: the verdicts by what is compared, such as "RIB − CAM, walk". Those with one rule are left out.
    """
    several = {label: found for label, found in judged.items() if len(found.differences) > 1}
    sentences = []
    for what in ("answer", "sign"):
        depending = [f"{label} is {_differences(found)}" for label, found in several.items() if found.depends == what]
        if depending:
            many = f"{len(depending)} of {len(several)} comparisons"
            sentences.append(f"The {what} depends on the rule for thresholds in {many}: {'; '.join(depending)}.")
    return " ".join(sentences) or f"In none of {len(several)} comparisons does the answer depend on the rule for thresholds."


def _differences(found: Verdict) -> str:
    return ", ".join(f"{difference.value:+.3f} ({rule})" for rule, difference in found.differences.items())
