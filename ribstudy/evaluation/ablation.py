"""The effect of each variant of the method: its maps compared with the maps of the default settings on the same images.

Sweeps are given by variant, as a list with one sweep for each training; the default is `DEFAULT`.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from ribstudy.evaluation.map_scores import MapScores
from ribstudy.evaluation.protocol import RULES, Scored, compare, resample
from ribstudy.evaluation.statistics import Comparison, Estimate
from ribstudy.evaluation.steps import endings
from ribstudy.evaluation.sweeps import Sweep

DEFAULT = "default"


def differences(sweeps: Mapping[str, Sequence[Sweep]]) -> dict[str, dict[str, Comparison]]:
    """By rule and variant, its mIoU minus the mIoU of the default.

    The rules are "best on these images", which is the headline here, and "without masks". Thresholds from other images would
    double the number of adaptations.
    """
    default = resample([Scored(sweep) for sweep in sweeps[DEFAULT]])
    found = {
        name: compare(default, resample([Scored(sweep) for sweep in of_variant]))
        for name, of_variant in sweeps.items()
        if name != DEFAULT
    }
    return {
        rule: {name: of_variant[rule] for name, of_variant in found.items() if rule in of_variant}
        for rule in RULES
        if rule in default.counts
    }


def stopped(scores: Sequence[Mapping[str, MapScores]], ending: str) -> Estimate:
    """Share of the adaptations, over all trainings, that `ending` ("spread" or "margin") stopped; without an interval.

    Args:
        scores: of each training, by image name.
    """
    endings_of_all = [ending_of_one for of_training in scores for ending_of_one in endings(of_training)["stopped_by"]]
    return Estimate(float(np.mean([found == ending for found in endings_of_all])), n=len(endings_of_all))


def telling(found: Mapping[str, Comparison]) -> tuple[list[str], list[str]]:
    """Names of the variants whose interval is above zero, and of the variants whose interval is below zero."""
    better = [name for name, comparison in found.items() if comparison.difference.low > 0]
    worse = [name for name, comparison in found.items() if comparison.difference.high < 0]
    return better, worse


def adjusted(found: Mapping[str, Comparison]) -> dict[str, float]:
    """For each variant, the p-value of its difference, adjusted for the number of variants (Benjamini and Yekutieli, 2001).

    Of the variants below 0.05, no more than 5 % are expected to make no difference, whatever the correlation of the variants.
    The p-value before the adjustment is two-sided, from the normal approximation with the standard error of the difference.
    """
    from scipy.stats import norm  # takes a second to import, as does statsmodels, and planning needs neither
    from statsmodels.stats.multitest import multipletests

    estimates = [comparison.difference for comparison in found.values()]
    values, errors = (np.array([getattr(estimate, name) for estimate in estimates]) for name in ("value", "standard_error"))
    ratios = np.divide(np.abs(values), errors, out=np.where(values == 0, 0.0, np.inf), where=errors > 0)
    return dict(zip(found, multipletests(2 * norm.sf(ratios), method="fdr_by")[1].tolist(), strict=True)) if found else {}
