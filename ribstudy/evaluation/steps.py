"""RIB step by step: scores after each step, and how the adaptations ended.

Shapes: C classes, with the background as class 0; T thresholds; K steps.
"""

from collections.abc import Mapping
from functools import partial, reduce
from operator import or_

import numpy as np
import pandas as pd

from ribstudy.datasets import Dataset
from ribstudy.evaluation.metrics import DEFAULT_THRESHOLDS, mean_scores, miou
from ribstudy.evaluation.passes import in_chunks, naming_image, scored_names
from ribstudy.evaluation.sweeps import sweep_image
from ribstudy.method.stored_maps import StoredMaps


def steps_table(
    dataset: Dataset, stored: Mapping[str, StoredMaps], *, threshold: int | None = None, processes: int = 1
) -> pd.DataFrame:
    """Scores of the maps summed over the first 1, 2, ... steps.

    Columns: `steps`, `threshold`, and the scores of `metrics.mean_scores`.

    Args:
        threshold: one threshold index for all sums; None: the best threshold of each.
    """
    thresholds = DEFAULT_THRESHOLDS if threshold is None else DEFAULT_THRESHOLDS[[threshold]]
    names = scored_names(dataset, stored)
    totals = reduce(_add_steps, in_chunks(partial(_steps_chunk, dataset, stored, thresholds), names, processes))
    rows = []
    for steps, counts in enumerate(totals, start=1):
        best = int(miou(counts).argmax())
        rows.append({"steps": steps, "threshold": thresholds[best], **mean_scores(counts[best])})
    return pd.DataFrame(rows)


def _steps_chunk(dataset: Dataset, stored: Mapping[str, StoredMaps], thresholds: np.ndarray, names: list[str]) -> np.ndarray:
    """The images' counts after each step, [K, T, 3, C+1]."""
    return reduce(_add_steps, (_steps_of_image(dataset, stored, thresholds, name) for name in names))


def _steps_of_image(dataset: Dataset, stored: Mapping[str, StoredMaps], thresholds: np.ndarray, name: str) -> np.ndarray:
    with naming_image(name):
        maps, truth = stored[name], dataset.mask(name)
        steps = range(1, maps.num_steps + 1)
        return np.stack([sweep_image(dataset, maps, truth, steps=step, thresholds=thresholds) for step in steps])


def _add_steps(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Sum of counts by step; the shorter one keeps its last counts in all later steps."""
    shorter, longer = sorted((first, second), key=len)
    missing = len(longer) - len(shorter)
    return longer + np.concatenate([shorter, np.repeat(shorter[-1:], missing, axis=0)])


def endings(stored: Mapping[str, StoredMaps], *, processes: int = 1) -> pd.DataFrame:
    """How RIB's adaptations ended: a row for each image that has a class.

    Columns: `stopped_by`, and `first_score` and `last_score`, the labelled logits of the first and last step.
    """
    rows = reduce(or_, in_chunks(partial(_endings_chunk, stored), list(stored), processes), {})
    in_order = {name: rows[name] for name in stored if name in rows}
    return pd.DataFrame.from_dict(in_order, orient="index", columns=["stopped_by", "first_score", "last_score"])


def _endings_chunk(stored: Mapping[str, StoredMaps], names: list[str]) -> dict[str, tuple[str, float, float]]:
    found = ((name, stored[name]) for name in names)
    return {name: (maps.stopped_by, maps.logits[0], maps.logits[-1]) for name, maps in found if len(maps.classes)}
