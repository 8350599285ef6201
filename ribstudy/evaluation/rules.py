"""The quality of background thresholds that rules find without true masks (`masks.threshold`).

Shapes: N images, T thresholds.
"""

from collections.abc import Mapping
from functools import partial

import numpy as np
import pandas as pd

from ribstudy.datasets import Dataset
from ribstudy.evaluation.passes import in_chunks
from ribstudy.evaluation.predictions import AnyMaps
from ribstudy.evaluation.sweeps import sweep_maps
from ribstudy.masks.settings import CrfSettings
from ribstudy.masks.threshold import AGREEMENT_THRESHOLDS, RULES, crf_agreement, histogram_of, most_agreed

MAX_REFINED = 10  # images for the rule "crf", which takes seconds for each


def threshold_rules(dataset: Dataset, stored: Mapping[str, AnyMaps], crf: CrfSettings, *, processes: int = 1) -> pd.DataFrame:
    """A row for each rule of `masks.threshold`: its threshold, and the mIoU that it loses.

    Columns: `threshold`, `miou` at it, `best_threshold` and `best_miou` on these images, `lost` = best_miou - miou. The rule
    "crf" uses at most 10 of the images, at equal distances.
    """
    sweep = sweep_maps(dataset, stored, processes=processes)
    names = list(sweep.names)
    histogram = sum(in_chunks(partial(_histogram_chunk, stored), names, processes))
    refined = names[:: -(-len(names) // MAX_REFINED)]
    agreement = np.concatenate(list(in_chunks(partial(_agreement_chunk, dataset, stored, crf), refined, processes)))
    found = {rule: find(histogram) for rule, find in RULES.items()} | {"crf": most_agreed(agreement)}
    curve, best = sweep.miou(), sweep.best()
    rows = {}
    for rule, threshold in found.items():
        miou_there = curve[np.abs(sweep.thresholds - threshold).argmin()]
        at_best = {"best_threshold": sweep.thresholds[best], "best_miou": curve[best]}
        rows[rule] = {"threshold": threshold, "miou": miou_there, **at_best, "lost": curve[best] - miou_there}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("rule")


def _histogram_chunk(stored: Mapping[str, AnyMaps], names: list[str]) -> np.ndarray:
    return sum(histogram_of(stored[name].normalized()) for name in names)


def _agreement_chunk(dataset: Dataset, stored: Mapping[str, AnyMaps], crf: CrfSettings, names: list[str]) -> np.ndarray:
    """The agreement of each image at each threshold, [N, T]."""
    agreement = partial(crf_agreement, thresholds=AGREEMENT_THRESHOLDS, **crf.model_dump())
    return np.stack([agreement(dataset.image(name), stored[name].normalized()) for name in names])
