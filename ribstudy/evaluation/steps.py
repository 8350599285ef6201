"""RIB step by step: scores after each step, and how the adaptations ended.

Shapes: C classes, with the background as class 0; T thresholds; K steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np

from ribstudy.evaluation.map_scores import MapScores
from ribstudy.evaluation.metrics import DEFAULT_THRESHOLDS, mean_scores, miou

if TYPE_CHECKING:
    import pandas as pd


def steps_table(scores: Mapping[str, MapScores], *, threshold: int | None = None) -> pd.DataFrame:
    """Scores of the maps summed over the first 1, 2, ... steps; after an early end an image keeps its last maps.

    Columns: `steps`, `threshold`, and the scores of `metrics.mean_scores`.

    Args:
        threshold: one threshold index for all sums; None: the best threshold of each.
    """
    import pandas as pd  # takes half a second, and planning and computing need no tables

    rows = []
    for steps, counts in enumerate(reduce(_add_steps, map(_counts_of_steps, scores.values())), start=1):
        index = int(miou(counts).argmax()) if threshold is None else threshold
        rows.append({"steps": steps, "threshold": DEFAULT_THRESHOLDS[index], **mean_scores(counts[index])})
    return pd.DataFrame(rows)


def _counts_of_steps(scores: MapScores) -> np.ndarray:
    """The counts of one image after each step, [K, T, 3, C+1]."""
    return np.stack([scores.counts(steps) for steps in range(1, scores.num_steps + 1)])


def _add_steps(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Sum of counts by step; the shorter one keeps its last counts in all later steps."""
    shorter, longer = sorted((first, second), key=len)
    missing = len(longer) - len(shorter)
    return longer + np.concatenate([shorter, np.repeat(shorter[-1:], missing, axis=0)])


def endings(scores: Mapping[str, MapScores]) -> pd.DataFrame:
    """How RIB's adaptations ended: a row for each image that has a class.

    Columns: `stopped_by`, and `first_score` and `last_score`, the labelled logits of the first and last step.
    """
    import pandas as pd

    with_class = ((name, of_image) for name, of_image in scores.items() if len(of_image.classes))
    rows = {name: (of_image.stopped_by, of_image.logits[0], of_image.logits[-1]) for name, of_image in with_class}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["stopped_by", "first_score", "last_score"])
