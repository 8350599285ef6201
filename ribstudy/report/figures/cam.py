"""The figures of the chapter on class activation maps."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from skimage.transform import resize

from ribstudy.evaluation.metrics import class_mean
from ribstudy.evaluation.sweeps import Sweep
from ribstudy.report.figures.common import COLORS, LINE, WIDTH


def learning_curve(history: pd.DataFrame) -> Figure:
    """The training loss (columns `step` and `loss`), a point for each epoch."""
    figure, axis = plt.subplots(figsize=(WIDTH, 3))
    axis.plot(history["step"], history["loss"], marker="o")
    axis.set(title="Training loss of the classifier", xlabel="step (a point for each epoch)", ylabel="mean loss")
    axis.set(ylim=(0, None), xticks=history["step"])
    return figure


def diverging(signed: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A signed map [h, w] as a picture, uint8 [H, W, 3]: red for positive, blue for negative, white for 0."""
    enlarged = resize(signed.astype(np.float32), size, order=1)
    colors = plt.get_cmap("RdBu_r")(plt.Normalize(-1, 1)(enlarged / max(np.abs(signed).max(), 1e-12)))
    return (colors[..., :3] * 255).astype(np.uint8)


def threshold_curves(sweeps: Mapping[str, Sweep], chosen: Mapping[str, int], *, title: str) -> Figure:
    """mIoU over the background threshold; a dot marks the threshold chosen on other images."""
    figure, axis = plt.subplots()
    for name, sweep in sweeps.items():
        (line,) = axis.plot(sweep.thresholds, sweep.miou(), label=name, color=COLORS.get(name))
        index = chosen[name]
        axis.plot(sweep.thresholds[index], sweep.miou()[index], "o", color=line.get_color())
    axis.set(title=title, xlabel="background threshold (share of the map's maximum)", ylabel="mIoU", ylim=(0, None))
    axis.legend(title="dot: threshold chosen on val")
    return figure


def trade_off(sweep: Sweep, chosen: int) -> Figure:
    """Mean precision, recall, over- and under-activation over the threshold."""
    figure, axis = plt.subplots()
    scores = {name: class_mean(values) for name, values in sweep.scores().items()}
    for name, style in (("precision", "-"), ("recall", "-"), ("over", "--"), ("under", "--")):
        label = f"{name}-activation" if style == "--" else name
        axis.plot(sweep.thresholds, scores[name], label=label, linestyle=style)
    axis.axvline(sweep.thresholds[chosen], color=LINE, linestyle=":", label="threshold chosen on val")
    axis.set(title="Scores at every background threshold", xlabel="background threshold", ylabel="mean over classes")
    axis.set_ylim(0, 1)
    figure.legend(loc="outside lower center", ncols=2)
    return figure
