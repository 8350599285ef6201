"""The figures of the chapter on segmentation networks: their training, and the errors of their predictions."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from ribstudy.report.figures.common import WIDTH, colors_of, legend_below

NO_TRUTH_COLOR = "#DDDDDD"
MIN_SHARE = 1e-3  # of a row of a confusion matrix: smaller shares have the same colour
FEW_CLASSES = 21  # as many as a phone shows side by side
OTHERS = "other classes"


def loss_curves(histories: Mapping[str, pd.DataFrame]) -> Figure:
    """The training loss over the steps, a line for each training, and below it the share of pixels predicted as foreground.

    Args:
        histories: `history.csv` of each training, with columns `step` and `loss`, means since the previous row. The second
            panel is left out if none has a column `foreground`.
    """
    with_share = {name: history for name, history in histories.items() if "foreground" in history}
    num_panels = 2 if with_share else 1
    figure, axes = plt.subplots(num_panels, figsize=(WIDTH, 2.0 * num_panels + 0.8), sharex=True, squeeze=False)
    panels = [("loss", "mean loss", histories), ("foreground", "predicted foreground\n(share of pixels)", with_share)]
    colors = colors_of(histories)
    for axis, (column, label, shown) in zip(axes[:, 0], panels, strict=False):
        for name, history in shown.items():
            legend = name if column == "loss" else None
            axis.plot(history["step"], history[column], marker="o", markersize=3, color=colors[name], label=legend)
        axis.set(ylabel=label, ylim=(0, None))
    axes[-1, 0].set_xlabel("training step")
    legend_below(figure)
    return figure


def confusion_picture(counts: np.ndarray, class_names: Sequence[str]) -> Figure:
    """The shares of each true class that are predicted as each class, on a logarithmic scale: errors are small shares.

    Args:
        counts: pixels [C+1, C+1] of (true class, predicted class), background first.
        class_names: [C], without background.

    Only classes that occur are shown. With more than 21 classes, those with the most wrong pixels are shown and the others are
    merged into one, which hides the confusion between them. A row of a class without true pixels is grey.

    Raises:
        ValueError: the number of classes differs between counts and names, or there is no pixel.
    """
    shares = _row_shares(*_occurring(counts, ["background", *class_names]))
    side = min(0.2 * len(shares) + 1, 4.0)  # inches, of the square
    figure, axis = plt.subplots(figsize=(WIDTH, side + 1.5))
    axis.set_facecolor(NO_TRUTH_COLOR)
    seaborn.heatmap(
        shares.clip(lower=MIN_SHARE),
        ax=axis,
        mask=shares.isna(),
        norm=LogNorm(MIN_SHARE, 1),
        cmap="viridis",
        square=True,
        rasterized=True,
        xticklabels=True,
        yticklabels=True,
        cbar_kws={"label": "share of the true class's pixels", "location": "bottom", "aspect": 40},
    )
    _label_shares(figure)
    axis.grid(visible=False)
    axis.tick_params(labelsize=10, length=0)
    axis.tick_params(axis="y", labelrotation=0)
    unknown = " (grey: no true pixels)" if shares.isna().any(axis=None) else ""
    axis.set(xlabel="predicted class", ylabel=f"true class{unknown}")
    return figure


def _label_shares(figure: Figure) -> None:
    """Percent on the colour bar; its lower end also includes all smaller shares."""
    bar = figure.axes[-1]
    bar.set_xticks([MIN_SHARE, 0.01, 0.1, 1], ["≤ 0.1 %", "1 %", "10 %", "100 %"])
    bar.minorticks_off()


def _occurring(counts: np.ndarray, names: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """The rows and columns of the classes in truth or prediction, at most FEW_CLASSES of them and OTHERS."""
    if counts.shape != (len(names), len(names)):
        raise ValueError(f"counts {counts.shape} do not fit {len(names)} classes with the background; pass all class names")
    pixels = counts.sum(axis=0) + counts.sum(axis=1)
    if not pixels.any():
        raise ValueError("the confusion matrix contains no pixel; score masks first")
    wrong = pixels - 2 * np.diag(counts)
    kept = [index for index in np.argsort(-wrong, kind="stable") if pixels[index] and index][: FEW_CLASSES - 1]
    kept = [0, *sorted(kept)] if pixels[0] else sorted(kept)
    rest = [index for index in np.flatnonzero(pixels) if index not in kept]
    groups = [*([index] for index in kept), *([rest] if rest else [])]
    summed = np.array([[counts[np.ix_(true, predicted)].sum() for predicted in groups] for true in groups])
    return summed, [*(names[index] for index in kept), *([OTHERS] if rest else [])]


def _row_shares(counts: np.ndarray, names: Sequence[str]) -> pd.DataFrame:
    """Rows that add up to 1; nan in a row without true pixels."""
    with np.errstate(invalid="ignore"):
        return pd.DataFrame(counts / counts.sum(axis=1, keepdims=True), index=names, columns=names)
