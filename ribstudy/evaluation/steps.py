"""RIB step by step: scores after each step, and how the adaptations ended.

Shapes: C classes, with the background as class 0; T thresholds; K steps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np

from ribstudy.evaluation.map_scores import MapScores
from ribstudy.evaluation.metrics import DEFAULT_THRESHOLDS, mean_scores, miou
from ribstudy.evaluation.protocol import FROM_VAL, Scored, compare, resample
from ribstudy.evaluation.sweeps import sweep_scores

if TYPE_CHECKING:
    import pandas as pd

ByImage = Mapping[str, MapScores]

CHANGES = ("miou", "precision", "recall")  # of `protocol.MEASURES`
NUM_SAMPLES = 500  # of the intervals of a curve, which are drawn and not printed


def steps_table(scores: ByImage) -> pd.DataFrame:
    """Scores of the maps summed over the first 1, 2, ... steps; after an early end an image keeps its last maps.

    Each sum has its best threshold on these images. Columns: `steps`, `threshold`, and the scores of `metrics.mean_scores`.
    """
    import pandas as pd  # takes half a second, and planning and computing need no tables

    rows = []
    for steps, counts in enumerate(reduce(_add_steps, map(_counts_of_steps, scores.values())), start=1):
        index = int(miou(counts).argmax())
        rows.append({"steps": steps, "threshold": DEFAULT_THRESHOLDS[index], **mean_scores(counts[index])})
    return pd.DataFrame(rows)


def changes_by_step(reported: Sequence[ByImage], choices: Sequence[ByImage]) -> pd.DataFrame:
    """How the maps summed over the first 1, 2, ... steps differ from the plain CAM, which is the first step.

    Columns: `measure` (of `CHANGES`), `steps`, `value`, `low`, `high`. Means over the trainings. Each sum of maps has the
    threshold that is best for it on the images for choices.

    Args:
        reported: for each training, the scores of the reported images.
        choices: for each training, the scores of the images for choices.
    """
    import pandas as pd  # takes half a second, and planning and computing need no tables

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
