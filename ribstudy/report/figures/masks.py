"""Tables and pictures of the chapters on masks and on the segmentation networks that learn from them."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle
from types import MappingProxyType

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from skimage.transform import resize

from ribstudy.datasets.pictures import PALETTE, VOID
from ribstudy.evaluation.metrics import Estimate
from ribstudy.evaluation.scores import MaskScores, Unit, scored_maps
from ribstudy.report import paper
from ribstudy.report.figures.common import COLORS, MAP_COLORS, WIDTH, Panel, gallery
from ribstudy.report.paper import NOT_KNOWN, NOT_RUN, Place
from ribstudy.store import Result

UNSURE_COLOR = (211, 211, 211)
NO_TRUTH_COLOR = "#DDDDDD"
MIN_SHARE = 1e-3  # of a row of a confusion matrix: the smallest share that is told from 0
FEW_CLASSES = 21  # as many as a telephone shows side by side
OTHERS = "other classes"

Step = tuple[str, str]  # method, step


# --- pictures of one image ------------------------------------------------------------------------------------------------


def boundary_panel(title: str, boundary: np.ndarray, size: tuple[int, int]) -> Panel:
    """A boundary map [h, w] in 0..1 as a picture of `size` (H, W): dark where the network sees no boundary."""
    enlarged = resize(boundary.astype(np.float32), size, order=1)
    return Panel(title, (plt.get_cmap(MAP_COLORS)(enlarged)[..., :3] * 255).astype(np.uint8))


def affinity_label_picture(label: np.ndarray) -> np.ndarray:
    """The labels uint8 [H, W] of the affinity network as a picture, uint8 [H, W, 3].

    Sure background is black, a sure class has its colour in the devkit, and what is unsure (255) is light grey.
    """
    return np.where((label == VOID)[..., None], np.array(UNSURE_COLOR, np.uint8), PALETTE[label])


def way_gallery(image: np.ndarray, seeds: Unit, label: np.ndarray, walked: Unit, mask: np.ndarray, truth: np.ndarray) -> Figure:
    """An image on its way from the map of its first class to its mask.

    seeds and walked: what the stages of the maps and `walk` stored of it; label, mask, truth: uint8 [H, W].
    """
    picture = boundary_panel("boundaries", walked["boundary"], image.shape[:2])
    rows = [
        [Panel("map", image, map=scored_maps(seeds)[0]), Panel("sure", affinity_label_picture(label)), picture],
        [Panel("after the walk", image, map=scored_maps(walked)[0]), Panel("mask", image, mask=mask)],
    ]
    rows[1].append(Panel("true mask", image, mask=truth))
    return gallery(rows, title="From a map to a mask")


def _colors_of(names: Iterable[str]) -> dict[str, str]:
    """A method's own colour, to every other name one that no method has."""
    style = plt.rcParams["axes.prop_cycle"].by_key()["color"]
    free = cycle([color for color in style if color not in COLORS.values()] or style)
    return {name: COLORS.get(name) or next(free) for name in names}


# --- from seed to mask ----------------------------------------------------------------------------------------------------


def steps_table(found: Mapping[Step, MaskScores], estimates: Mapping[Step, Estimate] = MappingProxyType({})) -> pd.DataFrame:
    """Scores of the masks after each step, means over the classes that have a value; a row for each (method, step).

    estimates: of the mIoU, from the same scores, where there is one; gives `low` and `high` of its 95 % interval, else nan.
    """
    rows = {}
    for key, of_step in found.items():
        scores, estimate = of_step.summary(), estimates.get(key, Estimate(np.nan))
        interval = {"low": estimate.low, "high": estimate.high}
        rows[key] = {"mIoU": scores["miou"], "precision": scores["precision"], "recall": scores["recall"], **interval}
    index = pd.MultiIndex.from_tuples(rows, names=["method", "step"])
    return pd.DataFrame(list(rows.values()), index=index).astype(float)


def step_bars(table: pd.DataFrame, *, title: str = "From the seed to the mask") -> Figure:
    """mIoU after each step, side by side for the methods of a `steps_table`; a line is the 95 % interval, where there is one.

    Steps and methods stand in the table's order.
    """
    methods, steps = (list(table.index.unique(level)) for level in ("method", "step"))
    figure, axis = plt.subplots(figsize=(WIDTH, 4.2))
    width, colors = 0.84 / len(methods), _colors_of(methods)
    for place, method in enumerate(methods):
        of_method = table.loc[method].reindex(steps)
        lefts = np.arange(len(steps)) + (place - (len(methods) - 1) / 2) * width
        axis.bar(lefts, of_method["mIoU"], width=0.94 * width, label=method, color=colors[method])
        _draw_intervals(axis, lefts, of_method)
    axis.set_xticks(range(len(steps)), [step.replace(" + ", "\n+ ") for step in steps])
    axis.grid(axis="x", visible=False)
    label = "mIoU (line: 95 % interval)" if table["low"].notna().any() else "mIoU"
    axis.set(title=title, xlabel="masks scored after this step", ylabel=label)
    axis.set_ylim(0, 1.12 * table[["mIoU", "high"]].max(axis=None))
    figure.legend(loc="outside lower center", ncols=len(methods))
    return figure


def _draw_intervals(axis: Axes, lefts: np.ndarray, rows: pd.DataFrame) -> None:
    """Whiskers, and above them the value; "not run" where there is none."""
    # Around its own middle: of few images, whose classes come and go, an interval need not hold the value.
    middles, halves = (rows["low"] + rows["high"]) / 2, (rows["high"] - rows["low"]) / 2
    axis.errorbar(lefts, middles, yerr=halves, fmt="none", ecolor="#333333", capsize=3)
    tops = rows[["mIoU", "high"]].max(axis=1)
    for left, value, top in zip(lefts, rows["mIoU"], tops, strict=True):
        text = NOT_RUN if np.isnan(value) else f"{value:.2f}"
        axis.annotate(
            text,
            (left, 0 if np.isnan(value) else top),
            xytext=(0, 3),
            textcoords="offset points",
            ha="center",
            fontsize=10,
            rotation=90 if np.isnan(value) else 0,
        )


def seconds_table(results: Mapping[str, Result]) -> pd.DataFrame:
    """Images and seconds for each of stages' results, over all processes that worked on them."""
    rows = {}
    for stage, result in results.items():
        sessions = [session for session in result.sessions() if session.get("units")]
        images, seconds = (sum(session[name] for session in sessions) for name in ("units", "seconds"))
        rows[stage] = {"images": images, "seconds for an image": round(seconds / images, 2) if images else np.nan}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("stage")


# --- training -------------------------------------------------------------------------------------------------------------


def loss_curves(histories: Mapping[str, pd.DataFrame], *, title: str = "The training of the networks") -> Figure:
    """The training loss over the steps, a line for each training, and below it the share of pixels predicted as foreground.

    histories: `history.csv` of each training, with columns `step` and `loss`, means since the row before. Where none has a
    column `foreground` there is no second panel.
    """
    with_share = {name: history for name, history in histories.items() if "foreground" in history}
    num_panels = 2 if with_share else 1
    figure, axes = plt.subplots(num_panels, figsize=(WIDTH, 2.4 * num_panels + 0.8), sharex=True, squeeze=False)
    panels = [("loss", "mean loss", histories), ("foreground", "predicted foreground\n(share of pixels)", with_share)]
    colors = _colors_of(histories)
    for axis, (column, label, shown) in zip(axes[:, 0], panels, strict=False):
        for name, history in shown.items():
            legend = name if column == "loss" else None
            axis.plot(history["step"], history[column], marker="o", markersize=3, color=colors[name], label=legend)
        axis.set(ylabel=label, ylim=(0, None))
    axes[0, 0].set_title(title)
    axes[-1, 0].set_xlabel("training step")
    figure.legend(loc="outside lower center", ncols=2)
    return figure


# --- confusion ------------------------------------------------------------------------------------------------------------


def confusion_picture(counts: np.ndarray, class_names: Sequence[str], *, title: str = "What is taken for what") -> Figure:
    """The shares of each true class that are predicted as each class, on a logarithmic scale: errors are small shares.

    Args:
        counts: pixels [C+1, C+1] of (true class, predicted class), background first.
        class_names: C of them, without background.

    Only classes that occur are shown. Of more than 21 classes, those with the most wrong pixels are shown, and the rest as one,
    in which one cannot see what of the rest is taken for what. A row of a class without true pixels is grey.

    Raises:
        ValueError: counts of another number of classes than there are names, or without any pixel.
    """
    shares = _row_shares(*_occurring(counts, ["background", *class_names]))
    side = min(0.25 * len(shares) + 1, 5.2)  # inches, of the square
    figure, axis = plt.subplots(figsize=(WIDTH, side + 2.4))
    axis.set_facecolor(NO_TRUTH_COLOR)
    seaborn.heatmap(
        shares.clip(lower=MIN_SHARE),
        ax=axis,
        mask=shares.isna(),
        norm=LogNorm(MIN_SHARE, 1),
        cmap="viridis",
        square=True,
        xticklabels=True,
        yticklabels=True,
        cbar_kws={"label": "share of the true class's pixels (logarithmic)", "location": "bottom", "aspect": 40},
    )
    _label_shares(figure)
    axis.grid(visible=False)
    axis.tick_params(labelsize=10, length=0)
    axis.tick_params(axis="y", labelrotation=0)
    unknown = " (grey: has no true pixels)" if shares.isna().any(axis=None) else ""
    axis.set(title=title, xlabel="predicted class", ylabel=f"true class{unknown}")
    return figure


def _label_shares(figure: Figure) -> None:
    """Percent on the colour bar, whose lower end stands for all smaller shares too."""
    bar = figure.axes[-1]
    bar.set_xticks([MIN_SHARE, 0.01, 0.1, 1], ["≤ 0.1 %", "1 %", "10 %", "100 %"])
    bar.minorticks_off()


def _occurring(counts: np.ndarray, names: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """The part of the matrix of the classes that occur in truth or prediction, at most FEW_CLASSES of them and OTHERS."""
    if counts.shape != (len(names), len(names)):
        raise ValueError(f"counts {counts.shape} and {len(names)} classes with the background differ; pass all class names")
    pixels = counts.sum(axis=0) + counts.sum(axis=1)
    if not pixels.any():
        raise ValueError("the confusion matrix holds no pixel, so there is nothing to show; score masks first")
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


# --- beside the paper -----------------------------------------------------------------------------------------------------


def paper_table(table: str, ours: Mapping[Place, Estimate | None]) -> pd.DataFrame:
    """A table of data/paper_values.csv in percent, a row for each method, and beside its columns ours, where there are any.

    ours: shares in 0..1 by (row, column); None reads "not run". An empty field is of a method that is not one of this study.
    "(?)" is behind a published value that is not confirmed; what nobody has published is "not known".

    Raises ValueError for an unknown table.
    """
    published = {(row.row, row.column): row for row in paper.values(table).itertuples()}
    rows = {method: {} for method, _ in (*published, *ours)}
    for column in dict.fromkeys(column for _, column in (*published, *ours)):
        for method, row in rows.items():
            place = (method, column)
            row[column] = _published(published.get(place)) if place in published or place in ours else ""
            if any(column == other for _, other in ours):
                row[f"{column}, ours"] = _own(ours[place], published.get(place)) if place in ours else ""
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("%")


def _published(value: tuple | None) -> str:
    if value is None:
        return NOT_KNOWN
    return f"{value.value:.1f}" + ("" if value.status == "confirmed" else " (?)")


def _own(own: Estimate | None, published: tuple | None) -> str:
    if own is None:
        return NOT_RUN
    interval = "" if own.low is None else f" ({100 * own.low:.1f} to {100 * own.high:.1f})"
    difference = "" if published is None else f", {100 * own.value - published.value:+.1f}"
    return f"{100 * own.value:.1f}{interval}{difference}"
