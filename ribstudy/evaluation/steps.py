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
from ribstudy.evaluation.protocol import Resampled, Scored, compare, resample
from ribstudy.evaluation.sweeps import sweep_scores

if TYPE_CHECKING:
    import pandas as pd

ByImage = Mapping[str, MapScores]


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


def gain_curve(reported: Sequence[ByImage], choices: Sequence[ByImage] | None = None) -> pd.DataFrame:
    """mIoU of the maps summed over the first 1, 2, ... steps, minus the mIoU of the plain CAM, which is the first step.

    Columns: `rule`, `steps`, `value`, `low`, `high`. Means over the trainings, with thresholds for each number of steps by the
    rules of `protocol`. "without masks" is missing, because partial sums have no histogram.

    Args:
        reported: for each training, the scores of the reported images.
        choices: for each training, the scores of the images for choices; None leaves out "from val".
    """
    import pandas as pd

    held = [(dict(of_images), None if choices is None else dict(choices[place])) for place, of_images in enumerate(reported)]
    most = max(of_image.num_steps for of_images, _ in held for of_image in of_images.values())
    cam = _sum_of_steps(held, 1)
    rows = []
    for steps in range(1, most + 1):
        for rule, found in compare(cam, _sum_of_steps(held, steps)).items():
            difference = found.difference
            rows.append(
                {"rule": rule, "steps": steps, "value": difference.value, "low": difference.low, "high": difference.high}
            )
    return pd.DataFrame(rows)


def _sum_of_steps(scores: Sequence[tuple[ByImage, ByImage | None]], steps: int) -> Resampled:
    """The maps of the first steps, from the scores of the reported images and of the images for choices of each training."""
    sweeps = [[of_images and sweep_scores(of_images, steps=steps) for of_images in of_training] for of_training in scores]
    return resample([Scored(*of_training) for of_training in sweeps])


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
