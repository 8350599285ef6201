"""The quality of background thresholds that rules find without true masks (`masks.threshold`)."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from ribstudy.evaluation.map_scores import MapScores
from ribstudy.evaluation.sweeps import sweep_scores
from ribstudy.masks.threshold import RULES, most_agreed


def threshold_rules(scores: Mapping[str, MapScores], agreement: Mapping[str, Mapping[str, np.ndarray]]) -> pd.DataFrame:
    """A row for each rule of `masks.threshold`: its threshold, and the mIoU that it loses.

    Columns: `threshold`, `miou` at it, `best_threshold` and `best_miou` on these images, `lost` = best_miou - miou.

    Args:
        scores: of the maps of each image.
        agreement: for the rule "crf", the result of `crf_agreement` at `AGREEMENT_THRESHOLDS` as "agreement", for each of some
            of these images.
    """
    sweep = sweep_scores(scores)
    histogram = sum(of_image.histogram for of_image in scores.values())
    agreed = most_agreed(np.stack([of_image["agreement"] for of_image in agreement.values()]))
    found = {rule: find(histogram) for rule, find in RULES.items()} | {"crf": agreed}
    curve, best = sweep.miou(), sweep.best()
    rows = {}
    for rule, threshold in found.items():
        miou_there = curve[np.abs(sweep.thresholds - threshold).argmin()]
        at_best = {"best_threshold": sweep.thresholds[best], "best_miou": curve[best]}
        rows[rule] = {"threshold": threshold, "miou": miou_there, **at_best, "lost": curve[best] - miou_there}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("rule")
