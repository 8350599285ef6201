"""The figures and the table of the chapter on class activation maps."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from skimage.transform import resize

from ribstudy.evaluation.metrics import DEFAULT_THRESHOLDS, class_mean, class_scores
from ribstudy.evaluation.protocol import FROM_VAL, Resampled
from ribstudy.evaluation.statistics import Estimate
from ribstudy.evaluation.sweeps import Sweep
from ribstudy.report import paper
from ribstudy.report.figures.common import LINE, colors_of, legend_below

MEASURES = {  # of `protocol.MEASURES`: the name on the page, and the column of the published table
    "miou": ("mIoU", "mIoU"),
    "precision": ("precision", "precision"),
    "recall": ("recall", "recall"),
    "over": ("over-activation (FP)", "FP"),
    "under": ("under-activation (FN)", "FN"),
}
_LINES = ("-", "--", ":")  # of the rules for thresholds


def diverging(signed: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A signed map [h, w] as a picture, uint8 [H, W, 3]: red for positive, blue for negative, white for 0."""
    enlarged = resize(signed.astype(np.float32), size, order=1)
    colors = plt.get_cmap("RdBu_r")(plt.Normalize(-1, 1)(enlarged / max(np.abs(signed).max(), 1e-12)))
    return (colors[..., :3] * 255).astype(np.uint8)


def mean_threshold(drawn: Resampled, rule: str) -> float:
    """The mean over the trainings of the thresholds that a rule chooses."""
    return float(DEFAULT_THRESHOLDS[drawn.chosen[rule]].mean())


def threshold_curves(curves: Mapping[str, np.ndarray], points: Mapping[str, tuple[float, Estimate]]) -> Figure:
    """mIoU over the background threshold, and the mIoU at the thresholds chosen on val, with its interval.

    Args:
        curves: the mIoU [T] at each of `DEFAULT_THRESHOLDS`, by name; means over the trainings.
        points: threshold and mIoU, for some of the names.
    """
    figure, axis = plt.subplots()
    colors = colors_of(curves)
    for name, curve in curves.items():
        axis.plot(DEFAULT_THRESHOLDS, curve, label=name, color=colors[name])
        if name in points:
            threshold, found = points[name]
            axis.plot(threshold, found.value, "o", color=colors[name])
            if found.low is not None:
                axis.plot([threshold, threshold], [found.low, found.high], color=colors[name], linewidth=1.5)
    axis.set(xlabel="background threshold", ylabel="mIoU", ylim=(0, None))
    legend_below(figure)
    return figure


def trade_off(sweeps: Sequence[Sweep], drawn: Resampled) -> Figure:
    """Precision, recall, over- and under-activation over the threshold, means over classes and trainings.

    Args:
        sweeps: the reported images with each training.
        drawn: the same, with the thresholds that the rules choose.
    """
    figure, axis = plt.subplots()
    scores = [sweep.scores() for sweep in sweeps]
    for name, style in (("precision", "-"), ("recall", "-"), ("over", "--"), ("under", "--")):
        label = f"{name}-activation" if style == "--" else name
        mean = np.mean([class_mean(of_training[name]) for of_training in scores], axis=0)
        axis.plot(DEFAULT_THRESHOLDS, mean, label=label, linestyle=style)
    for rule, style in zip(drawn.chosen, _LINES, strict=False):
        axis.axvline(mean_threshold(drawn, rule), color=LINE, linestyle=style, linewidth=1, label=f"threshold {rule}")
    axis.set(xlabel="background threshold", ylabel="mean over classes")
    axis.set_ylim(0, 1)
    legend_below(figure)
    return figure


def measures_table(found: Mapping[str, Mapping[str, Estimate]], *, published: str | None) -> pd.DataFrame:
    """The scores of the CAM by every rule with their intervals, a row for each measure.

    Args:
        found: `protocol.values`.
        published: name of the table of published values of the same scores; None: there are none for these data.
    """
    rows = {
        name: {f"{rule} (95 %)": of_rule[measure].text(signed=False) for rule, of_rule in found.items()}
        for measure, (name, _) in MEASURES.items()
    }
    table = pd.DataFrame.from_dict(rows, orient="index")
    if published is not None:
        known = paper.values(published).set_index(["row", "column"])["value"]
        table["published, full set and ResNet-50"] = [f"{known['CAM', column] / 100:.3f}" for _, column in MEASURES.values()]
    return table


def class_ious(drawn: Resampled, class_names: Sequence[str]) -> pd.Series:
    """The IoU of the background and of each class with thresholds from val, means over the trainings."""
    values = class_scores(drawn.counts[FROM_VAL][0])["iou"].mean(axis=0)
    return pd.Series(values, index=["background", *class_names])
