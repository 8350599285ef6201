"""Findings of the chapters on CAM and RIB: choices on held-out images, changes over the steps, and how far from the peak.

Shapes: D bins of distance.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from ribstudy.evaluation.coverage import Coverage
from ribstudy.evaluation.map_scores import DISTANCE_EDGES, MapScores
from ribstudy.evaluation.protocol import BEST, FROM_VAL, Resampled, Scored, compare, resample
from ribstudy.evaluation.statistics import Comparison
from ribstudy.evaluation.sweeps import Sweep, sweep_scores

ByImage = Mapping[str, MapScores]

CHANGES = ("miou", "precision", "recall")
NUM_SAMPLES = 500  # of the intervals of a curve, which are drawn and not printed


def under_less_over(drawn: Resampled) -> dict[str, Comparison]:
    """Over-activation, under-activation and how much larger the second is, by rule; means over the trainings."""
    sides = {rule: (drawn.measured(rule, "over"), drawn.measured(rule, "under")) for rule in drawn.counts}
    return {rule: Comparison(*map(drawn.estimate, (over, under, under - over))) for rule, (over, under) in sides.items()}


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


def changes_by_step(reported: Sequence[ByImage], choices: Sequence[ByImage]) -> pd.DataFrame:
    """How the maps summed over the first 1, 2, ... steps differ from the plain CAM, which is the first step.

    Columns: `measure` (of `CHANGES`), `steps`, `value`, `low`, `high`. Means over the trainings. Each sum of maps has the
    threshold that is best for it on the images for choices.

    Args:
        reported: for each training, the scores of the reported images.
        choices: for each training, the scores of the images for choices.
    """
    held = [tuple(map(dict, of_training)) for of_training in zip(reported, choices, strict=True)]
    most = max(scores.num_steps for of_images, _ in held for scores in of_images.values())
    sums = [
        resample(
            [Scored(*(sweep_scores(scores, steps=steps) for scores in of_training)) for of_training in held],
            num_samples=NUM_SAMPLES,
        )
        for steps in range(1, most + 1)
    ]
    found = {
        (measure, steps): compare(sums[0], drawn, measure=measure)[FROM_VAL].difference
        for measure in CHANGES
        for steps, drawn in enumerate(sums, start=1)
    }
    rows = [(*place, change.value, change.low, change.high) for place, change in found.items()]
    return pd.DataFrame(rows, columns=["measure", "steps", "value", "low", "high"])


def reach(gain: Coverage) -> float:
    """The largest distance from the peak at which significantly more of the objects is found, in object sizes.

    It is the outer edge of the last bin whose interval is above zero, or the inner edge of the last bin of all, which is open.
    nan if there is no such bin.
    """
    edges = [*DISTANCE_EDGES[1:], DISTANCE_EDGES[-1]]
    found = [edge for edge, of_bin in zip(edges, gain.objects, strict=True) if of_bin.low is not None and of_bin.low > 0]
    return float(found[-1]) if found else float("nan")


def reach_sentence(gain: Coverage) -> str:
    """How far from the peak RIB finds more of the objects than the CAM, and how much more of the background it covers."""
    farthest = reach(gain)
    where = "at no distance from the peak" if np.isnan(farthest) else f"up to {farthest:.2f} object sizes from the peak"
    price = gain.background.text(1, percent=True)
    return (
        f"RIB finds significantly more of the objects than the CAM {where}. "
        f"The share of the background that is taken for an object changes by {price} percentage points."
    )
