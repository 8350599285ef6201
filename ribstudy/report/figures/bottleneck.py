"""The figures and the table of the chapter on the bottleneck."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ribstudy.evaluation.bottleneck import HGR_THRESHOLDS, REGIONS
from ribstudy.evaluation.bottleneck_summary import last_fall
from ribstudy.evaluation.leak import Leak
from ribstudy.evaluation.object_gains import binned_means
from ribstudy.evaluation.statistics import Estimate, bootstrap_mean
from ribstudy.report.figures.common import BLUE, COLORS, LINE, ORANGE, RED, SKY, WIDTH, legend_below

STATES = {"before": (BLUE, "o"), "after": (RED, "s")}
LOGITS = {"present": BLUE, "present, GNDRP": SKY, "absent": RED, "highest absent": ORANGE}
TWINS = {"as drawn": BLUE, "tied": RED}


def hgr_curves(ratios: np.ndarray, depths: Sequence[str], *, threshold: float) -> Figure:
    """HGR [N, 2, L, 3, T] of each region over the depths, before and after the adaptation, at one of `HGR_THRESHOLDS`."""
    at = HGR_THRESHOLDS.index(threshold)
    figure, axes = plt.subplots(len(REGIONS), figsize=(WIDTH, 6.2), sharex=True, sharey=True)
    for index, (axis, region) in enumerate(zip(axes, REGIONS, strict=True)):
        for state, (name, (color, marker)) in enumerate(STATES.items()):
            _course(axis, np.arange(len(depths)), ratios[:, state, :, index, at], color=color, marker=marker, label=name)
        axis.set_title(region)
    axes[0].legend(title="adaptation")
    axes[-1].set_xticks(np.arange(len(depths)), depths, rotation=60, ha="right")
    axes[-1].set(yscale="log", ylim=(1e-4, 1))  # from a few pixels of an image to all of a region
    figure.supylabel(f"share of pixels above {threshold:g} of the map's maximum", fontsize=10)
    return figure


def threshold_sweep(ratios: np.ndarray, depths: Sequence[str], *, first: str, second: str) -> Figure:
    """`last_fall` at every threshold, before and after the adaptation; ratios [N, 2, L, 3, T]."""
    figure, axis = plt.subplots(figsize=(WIDTH, 3.4))
    for state, (name, (color, marker)) in enumerate(STATES.items()):
        falls = last_fall(ratios[:, state], first=first, second=second, depths=depths)
        _course(axis, np.array(HGR_THRESHOLDS), falls, color=color, marker=marker, label=name)
    axis.axhline(0, color=LINE, linewidth=0.8)
    axis.set(xlabel="threshold on the normalised gradient")
    axis.set(ylabel="extra fall in the rest", xticks=HGR_THRESHOLDS)
    axis.legend(title="adaptation")
    return figure


def logits(courses: Mapping[str, np.ndarray]) -> Figure:
    """The mean pooled logits over the steps; courses: [N, K] each, see `bottleneck_summary.logit_courses`."""
    figure, axis = plt.subplots()
    for (name, course), marker in zip(courses.items(), "o^sD", strict=True):
        _course(axis, np.arange(course.shape[1]), course, color=LOGITS[name], marker=marker, label=name)
    axis.axhline(0, color=LINE, linewidth=0.8)
    axis.set(xlabel="updates (0: the trained classifier)", ylabel="logit")
    axis.xaxis.get_major_locator().set_params(integer=True)
    legend_below(figure)
    return figure


def leaks(found: Mapping[str, Leak]) -> Figure | None:
    """The share of the background that is predicted as the class over the number of summed maps, for both data sets.

    None without data sets.
    """
    if not found:
        return None
    figure, axis = plt.subplots()
    for (twin, leak), marker in zip(found.items(), "os", strict=True):
        steps, color = np.arange(1, leak.rib.shape[1] + 1), TWINS[twin]
        _course(axis, steps, leak.rib, color=color, marker=marker, label=f"RIB, background {twin}")
        axis.axhline(np.nanmean(leak.cam), color=color, linestyle=":", label=f"CAM, background {twin}")
    axis.set(xlabel="summed maps", ylim=(0, None))
    axis.set_ylabel("share of the background")
    axis.xaxis.get_major_locator().set_params(integer=True)
    legend_below(figure)
    return figure


def gains(table: pd.DataFrame) -> Figure:
    """The gain of RIB over the CAM for each object, by its size and by the number of classes in its image."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.8), sharey=True, width_ratios=(3, 2))
    left.plot(table["size"], table["gain"], ".", color=COLORS["RIB"], alpha=0.4, rasterized=True)
    jitter = np.random.default_rng(0).uniform(-0.12, 0.12, len(table))
    right.plot(table["num_classes"] + jitter, table["gain"], ".", color=COLORS["RIB"], alpha=0.4, rasterized=True)
    for axis, column in ((left, "size"), (right, "num_classes")):
        means = binned_means(table, column, "gain")
        spread = np.abs(means[["low", "high"]].to_numpy().T - means["mean"].to_numpy())
        axis.errorbar(means["x"], means["mean"], spread, fmt="s", color="black", capsize=4, label="mean")
        axis.axhline(0, color=LINE, linewidth=0.8)
    left.set(xlabel="size (share of image)", ylabel="IoU of RIB minus CAM")
    right.set(xlabel="classes in image", xticks=sorted(table["num_classes"].unique()))
    right.legend()
    return figure


def with_count(estimate: Estimate) -> str:
    """A share or a difference of shares with its interval and its number of images, such as "+0.1 (+0.0 to +0.2), n = 24"."""
    return f"{estimate.text()}, n = {estimate.n}"


def estimates_table(estimates: Mapping[tuple[str, str], Estimate]) -> pd.DataFrame:
    """`with_count` of estimates by (row, column)."""
    rows: dict[str, dict[str, str]] = {}
    for (row, column), estimate in estimates.items():
        rows.setdefault(row, {})[column] = with_count(estimate)
    return pd.DataFrame.from_dict(rows, orient="index")


def _course(axis: Axes, x: np.ndarray, values: np.ndarray, *, color: str, marker: str, label: str) -> None:
    """The mean of values [N, X] over the images with its bootstrap interval as a band."""
    found = [bootstrap_mean(column) for column in values.T]
    mean, low, high = (np.array([getattr(e, name) for e in found], dtype=float) for name in ("value", "low", "high"))
    axis.plot(x, mean, color=color, marker=marker, markersize=4, label=label)
    axis.fill_between(x, low, high, color=color, alpha=0.18, linewidth=0)
