"""Whether the answers of a page depend on the rule that chooses the thresholds, as a sentence."""

from collections.abc import Mapping

from ribstudy.evaluation.verdicts import Verdict


def dependence_sentence(judged: Mapping[str, Verdict]) -> str:
    """Which comparisons have another sign, or another answer, by another rule for thresholds.

    Args:
        judged: the verdicts by what is compared, such as "RIB − CAM, walk". Those with one rule are left out.
    """
    several = {label: found for label, found in judged.items() if len(found.differences) > 1}
    depending = {label: found for label, found in several.items() if found.depends_on_rule}
    if not depending:
        return f"In none of {len(several)} comparisons does the answer depend on the rule for thresholds."
    described = "; ".join(f"{label} is {_differences(found)}" for label, found in depending.items())
    return f"The answer depends on the rule for thresholds in {len(depending)} of {len(several)} comparisons: {described}."


def _differences(found: Verdict) -> str:
    return ", ".join(f"{difference.value:+.3f} ({rule})" for rule, difference in found.differences.items())
