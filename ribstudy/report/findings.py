"""Findings of the chapters on CAM and RIB: over- or under-activation, choices on held-out images, distance from the peak.

Shapes: D bins of distance.
"""

from collections.abc import Mapping
from itertools import groupby
from operator import itemgetter

import numpy as np
import pandas as pd

from ribstudy.evaluation.coverage import Coverage
from ribstudy.evaluation.map_scores import DISTANCE_EDGES
from ribstudy.evaluation.protocol import BEST, Resampled, Scored, compare, resample
from ribstudy.evaluation.statistics import Comparison, Estimate
from ribstudy.evaluation.sweeps import Sweep
from ribstudy.evaluation.verdicts import verdict
from ribstudy.report import paper
from ribstudy.report.answer_box import by_sign


def under_less_over(drawn: Resampled) -> dict[str, Comparison]:
    """Over-activation, under-activation and how much larger the second is, by rule; means over the trainings."""
    sides = {rule: (drawn.measured(rule, "over"), drawn.measured(rule, "under")) for rule in drawn.counts}
    return {rule: Comparison(*map(drawn.estimate, (over, under, under - over))) for rule, (over, under) in sides.items()}


def extent_sentence(differences: Mapping[str, Estimate]) -> str:
    """Whether maps are too small or too large, such as "The maps are too small: ...".

    Args:
        differences: under-activation minus over-activation by rule (`under_less_over`); the first is told.
    """
    judged = verdict(differences)
    found, sides = judged.headline, ("miss", "wrongly add")
    if not found.excludes_zero:
        said, size = "neither clearly too small nor clearly too large", found.text(1, percent=True)
    elif found.value > 0:
        said, size = "too small", found.text(1, signed=False, percent=True)
    else:
        said, size, sides = "too large", found.negative.text(1, signed=False, percent=True), sides[::-1]
    more, less = sides
    text = f"The maps are {said}: they {more} {size} percentage points more of the union than they {less}."
    return f"{text} Another rule for thresholds gives another {judged.depends}." if judged.depends else text


def published_gain() -> str:
    """The paper's gain on PASCAL VOC 2012, from data/paper_values.csv, with the difference between that study and ours."""
    of = paper.values("voc12_seeds").set_index(["row", "column"])["value"]
    cam, rib = of["CAM", "seed"] / 100, of["RIB", "seed"] / 100
    return f"Published, with ResNet-50, the full data set and the best threshold: {cam:.3f} and {rib:.3f}, {rib - cam:+.3f}."


def leak_sentence(extra: Estimate, growth: Estimate) -> str:
    """The sentence on how RIB changes the background that a map takes for the class that comes with it.

    Args:
        extra: the share that RIB adds to the CAM, each at its own threshold.
        growth: the share that RIB's later maps add to its first map, at one threshold.
    """
    more = by_sign(
        extra,
        "With this background, RIB leaks more than the CAM",
        "With this background, RIB leaks less than the CAM",
        "With this background, RIB and the CAM cannot be told apart",
        tell=lambda found: found.text(3),
    )
    later = by_sign(
        growth,
        "Its later maps add to the leak",
        "Its later maps reduce the leak",
        "Its later maps do not clearly change the leak",
        tell=lambda found: found.text(3),
    )
    kept = extra.excludes_zero and extra.value < 0 and growth.excludes_zero and growth.value > 0
    return f"{more} {later}{' It is the threshold that keeps the leak small, not the maps.' if kept else ''}"


def choice_table(candidates: Mapping[float, Sweep]) -> tuple[float, pd.DataFrame]:
    """The candidate with the best mIoU, each at the best threshold on the same images, and a table of all of them.

    Args:
        candidates: the sweep of the same images for each value of a setting.
    """
    drawn = {value: resample([Scored(sweep)]) for value, sweep in candidates.items()}
    best = max(candidates, key=lambda value: candidates[value].miou().max())
    found = {value: compare(drawn[best], of_value)[BEST] for value, of_value in drawn.items()}
    rows = {
        f"{value:g}": {
            "mIoU": f"{comparison.second.value:.3f}",
            "minus the best (95 %)": "the best" if value == best else comparison.difference.text(),
        }
        for value, comparison in found.items()
    }
    return best, pd.DataFrame.from_dict(rows, orient="index")


def reach(gain: Coverage) -> float:
    """The distance from the peak up to which significantly more of the objects is found, in object sizes.

    It is the outer edge of the longest row of neighbouring bins whose intervals are above zero, so that a single bin further
    out, which chance can put there, does not count. The last bin of all is open and counts with its inner edge. nan if there
    is no such bin.
    """
    edges = [*DISTANCE_EDGES[1:], DISTANCE_EDGES[-1]]
    above = [of_bin.low is not None and of_bin.low > 0 for of_bin in gain.objects]
    rows = [[edge for edge, _ in row] for up, row in groupby(zip(edges, above, strict=True), key=itemgetter(1)) if up]
    return float(max(rows, key=len)[-1]) if rows else float("nan")


def reach_sentence(gain: Coverage) -> str:
    """How far from the peak RIB finds more of the objects than the CAM, and how much more of the background it covers."""
    farthest = reach(gain)
    where = "at no distance from the peak" if np.isnan(farthest) else f"up to {farthest:.2f} object sizes from the peak"
    price = gain.background.text(1, percent=True)
    return (
        f"RIB finds significantly more of the objects than the CAM {where}. "
        f"The share of the background that is taken for an object changes by {price} percentage points."
    )
