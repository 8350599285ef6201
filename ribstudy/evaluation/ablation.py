"""The effect of each variant of the method: its maps compared with the maps of the default settings on the same images.

Scores are given by variant, as a list with one mapping (image name -> scores) for each seed; the default is `DEFAULT`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ribstudy.evaluation.map_scores import MapScores
from ribstudy.evaluation.statistics import Comparison, Estimate, bootstrap_over_seeds
from ribstudy.evaluation.steps import endings
from ribstudy.evaluation.sweeps import compare_over_seeds, sweep_scores

if TYPE_CHECKING:
    import pandas as pd

DEFAULT = "default"
BySeed = Sequence[Mapping[str, MapScores]]


def differences(scores: Mapping[str, BySeed]) -> dict[str, Comparison]:
    """For each variant, its mIoU minus the mIoU of the default.

    For each seed, variant and default use their own best thresholds on these images, chosen again in every bootstrap sample
    (the field's protocol). Thresholds from other images would double the number of adaptations.
    """
    sweeps = {name: [sweep_scores(of_seed) for of_seed in seeds] for name, seeds in scores.items()}
    return {name: compare_over_seeds(sweeps[DEFAULT], changed) for name, changed in sweeps.items() if name != DEFAULT}


def curve(scores: BySeed) -> pd.DataFrame:
    """mIoU of the maps summed over the first 1, 2, ... steps, minus the mIoU of the plain CAM, which is the first step.

    Columns: `steps`, `value`, `low`, `high`; means over the seeds, each sum at its best threshold.
    """
    import pandas as pd  # takes half a second, and planning and computing need no tables

    held = [dict(of_seed) for of_seed in scores]  # in memory, because every step needs all of them
    most = max(of_image.num_steps for of_seed in held for of_image in of_seed.values())
    cam = [sweep_scores(of_seed, steps=1) for of_seed in held]
    rows = []
    for steps in range(1, most + 1):
        found = compare_over_seeds(cam, [sweep_scores(of_seed, steps=steps) for of_seed in held]).difference
        rows.append({"steps": steps, "value": found.value, "low": found.low, "high": found.high})
    return pd.DataFrame(rows)


def stopped(scores: BySeed, ending: str) -> Estimate:
    """Share of the adaptations, over all seeds, that `ending` ("spread" or "margin") stopped; without an interval."""
    import pandas as pd

    by = pd.concat([endings(of_seed)["stopped_by"] for of_seed in scores])
    return Estimate(float((by == ending).mean()), n=len(by))


def gain_of_default(found: Mapping[str, Comparison]) -> Estimate:
    """mIoU of the default minus mIoU of the plain CAM (variant "cam"); 0 if the default is the plain CAM."""
    if "cam" not in found:
        return Estimate(0.0, 0.0, 0.0)
    less = found["cam"].difference
    return Estimate(-less.value, -less.high, -less.low, less.n)


def telling(found: Mapping[str, Comparison]) -> tuple[list[str], list[str]]:
    """Names of the variants whose interval is above zero, and of the variants whose interval is below zero."""
    better = [name for name, comparison in found.items() if comparison.difference.low > 0]
    worse = [name for name, comparison in found.items() if comparison.difference.high < 0]
    return better, worse


def false_alarms(num_images: int, *, num_trials: int = 300, seed: int = 0) -> float:
    """Share of intervals that exclude zero although there is no effect, by simulation; 0.05 with many images.

    The found share of an object differs between default and variant by a normal number of mean 0, independent for each image
    and the same for every seed. If seeds differ too, intervals are wider and the share is smaller.
    """
    rng = np.random.default_rng(seed)
    alarms = 0
    for _ in range(num_trials):
        default, variant = np.full(num_images, 0.7), 0.7 + 0.03 * rng.normal(size=num_images)
        difference = bootstrap_over_seeds([_object_counts(default)], [_object_counts(variant)], num_samples=400).difference
        alarms += difference.excludes_zero
    return alarms / num_trials


def _object_counts(shares: np.ndarray) -> np.ndarray:
    """Counts [G, 3, 1] of one class: the found region has the object's size, and these shares [G] of it are hits."""
    size = np.full(len(shares), 10_000)  # pixels
    return np.stack([(shares * size).round().astype(np.int64), size, size], axis=1)[..., None]
