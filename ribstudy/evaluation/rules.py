"""The quality of background thresholds that rules find without true masks (`masks.threshold`)."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from ribstudy.evaluation.protocol import FROM_VAL, Scored
from ribstudy.masks.threshold import RULES, most_agreed


def threshold_rules(scored: Scored, agreement: Mapping[str, Mapping[str, np.ndarray]]) -> pd.DataFrame:
    """A row for each rule: its threshold, and the mIoU that it loses on the reported images.

    The rules are those of `masks.threshold` ("otsu", "yen", "crf") and, for comparison, "from val": the best threshold on the
    images for choices, which needs true masks. Columns: `threshold`, `miou` at it, `best_threshold` and `best_miou` on the
    reported images, `lost` = best_miou - miou.

    Args:
        scored: the maps of one training, with images for choices.
        agreement: for the rule "crf", the result of `crf_agreement` at `AGREEMENT_THRESHOLDS` as "agreement", for each of some
            of the reported images.
    """
    sweep, choices = scored.reported, scored.choices
    histogram = sweep.histograms.sum(axis=0)
    agreed = most_agreed(np.stack([of_image["agreement"] for of_image in agreement.values()]))
    without_masks = {rule: find(histogram) for rule, find in RULES.items()} | {"crf": agreed}
    found = {FROM_VAL: choices.thresholds[choices.best()], **without_masks}
    curve, best = sweep.miou(), sweep.best()
    rows = {}
    for rule, threshold in found.items():
        miou_there = curve[np.abs(sweep.thresholds - threshold).argmin()]
        at_best = {"best_threshold": sweep.thresholds[best], "best_miou": curve[best]}
        rows[rule] = {"threshold": threshold, "miou": miou_there, **at_best, "lost": curve[best] - miou_there}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("rule")
