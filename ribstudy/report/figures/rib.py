"""The figures of the chapter on RIB: choices on val, gains over the CAM, its steps, and where it finds more of the object."""

from collections.abc import Mapping, Sequence
from textwrap import fill

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import HTML
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ribstudy.evaluation.map_scores import DISTANCE_EDGES
from ribstudy.evaluation.protocol import RULES
from ribstudy.evaluation.statistics import Comparison, Estimate
from ribstudy.evaluation.verdicts import NO_SIZE
from ribstudy.method.stored_maps import StoredMaps
from ribstudy.report.figures.common import BLUE, COLORS, GREEN, LINE, RED, WIDTH, colors_of, legend_below
from ribstudy.report.figures.panels import Panel, slider
from ribstudy.report.look import Explanation

_MARKERS = dict(zip(RULES, ("D", "o", "s"), strict=True))
_MEASURES = {"miou": ("mIoU", BLUE), "precision": ("precision", GREEN), "recall": ("recall", RED)}


def gains(rows: Mapping[str, Mapping[str, Comparison]]) -> Figure:
    """Differences in mIoU with their intervals, a group of lines for each comparison and a line for each rule.

    Differences inside the grey band have no size that matters.

    Args:
        rows: results of `protocol.compare` by label, as in `differences.rules_table`.
    """
    figure, axis = plt.subplots(figsize=(WIDTH, 0.62 * len(rows) + 1.9))
    axis.axvspan(-NO_SIZE, NO_SIZE, color=LINE, alpha=0.08, linewidth=0)
    axis.axvline(0, color=LINE, linewidth=0.8)
    for place, found in zip(range(len(rows))[::-1], rows.values(), strict=True):
        for step, rule in enumerate(rule for rule in RULES if rule in found):
            color = (RED, BLUE, GREEN)[RULES.index(rule)]
            label = rule if place == len(rows) - 1 else None
            _bar(axis, found[rule].difference, place + 0.22 - 0.22 * step, color, marker=_MARKERS[rule], label=label)
    axis.set_yticks(range(len(rows))[::-1], [fill(label, width=18) for label in rows])
    axis.set(xlabel="difference in mIoU (95 % interval)", ylim=(-0.6, len(rows) - 0.4))
    axis.xaxis.set_major_locator(MaxNLocator(5))
    legend_below(figure)
    return figure


def _bar(axis: Axes, found: Estimate, place: float, color: str, *, marker: str, label: str | None) -> None:
    if found.low is not None:
        axis.plot([found.low, found.high], [place, place], color=color, linewidth=2.5)
    axis.plot(found.value, place, marker, color=color, markersize=6, label=label)


def growth_slider(images: Mapping[str, np.ndarray], stored: Mapping[str, StoredMaps], titles: Mapping[str, str]) -> HTML:
    """RIB's summed map of the first class of each image after each step; every image has a class.

    Args:
        images, stored, titles: by name of the image.
    """
    steps = range(1, max(stored[name].num_steps for name in images) + 1)
    frames = [
        [Panel(titles[name], image, map=stored[name].normalized(steps=step)[0]) for name, image in images.items()]
        for step in steps
    ]
    return slider(frames, _step_labels(len(frames)))


def photograph_slider(explanation: Explanation) -> HTML:
    """A photograph, and next to it RIB's summed map after each step."""
    photograph = Panel(f"photograph: {explanation.class_name.split(',')[0]}", explanation.image)
    frames = [[photograph, _map_panel(explanation, step)] for step in range(len(explanation.maps))]
    return slider(frames, _step_labels(len(frames)))


def photographs_slider(explanations: Sequence[Explanation]) -> HTML:
    """RIB's summed maps of several photographs after each step."""
    steps = range(max(len(explanation.maps) for explanation in explanations))
    frames = [[_map_panel(explanation, step) for explanation in explanations] for step in steps]
    return slider(frames, _step_labels(len(frames)))


def _map_panel(explanation: Explanation, step: int) -> Panel:
    """The summed map over the grey photograph; an adaptation that ended before the step keeps its last map."""
    grey = np.repeat(explanation.image.mean(axis=2, keepdims=True), 3, axis=2).astype(np.uint8)
    return Panel(explanation.class_name.split(",")[0], grey, map=explanation.maps[min(step, len(explanation.maps) - 1)])


def _step_labels(number: int) -> list[str]:
    """The text of the slider at each step."""
    return ["the plain CAM", *(f"sum of {step} maps" for step in range(2, number + 1))]


def changes_over_steps(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """The changes in mIoU, precision and recall from the plain CAM, over the steps; a panel for each reading.

    Args:
        tables: by reading, `steps.changes_by_step`.
    """
    figure, axes = plt.subplots(1, len(tables), figsize=(WIDTH, 3.6), sharey=True, squeeze=False)
    for axis, (reading, table) in zip(axes[0], tables.items(), strict=True):
        axis.axhline(0, color=LINE, linewidth=0.8)
        for measure, (name, color) in _MEASURES.items():
            rows = table[table["measure"] == measure]
            axis.plot(rows["steps"], rows["value"], marker="o", markersize=4, color=color, label=name)
            axis.fill_between(rows["steps"], rows["low"].astype(float), rows["high"].astype(float), color=color, alpha=0.15)
        axis.set(title=reading, xlabel="summed maps")
        axis.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes[0, 0].set_ylabel("change from the plain CAM")
    legend_below(figure)
    return figure


def steps_curves(table: pd.DataFrame, *, cam_miou: float) -> Figure:
    """mIoU, precision and recall of the summed maps over the number of steps, and the CAM's mIoU at its own threshold."""
    figure, axis = plt.subplots()
    for name, label in (("miou", "mIoU"), ("precision", "precision"), ("recall", "recall")):
        axis.plot(table["steps"], table[name], marker="o", label=label)
    axis.axhline(cam_miou, color=LINE, linestyle=":", label="mIoU of the CAM at its own threshold")
    axis.set(xlabel="summed maps (1: the plain CAM)", ylabel="mean over classes")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend_below(figure)
    return figure


def learning_rate_curves(tables: Mapping[str, Mapping[float, pd.DataFrame]]) -> Figure:
    """mIoU on images for choices over the number of steps, each at its best threshold on them.

    Args:
        tables: by reading (a panel each) and learning rate, `steps.steps_table`.
    """
    figure, axes = plt.subplots(1, len(tables), figsize=(WIDTH, 3.8), sharey=True, squeeze=False)
    for axis, (reading, by_rate) in zip(axes[0], tables.items(), strict=True):
        for rate, table in by_rate.items():
            axis.plot(table["steps"], table["miou"], marker="o", markersize=4, label=f"{rate:g}")
        axis.set(title=reading, xlabel="summed maps")
        axis.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes[0, 0].set_ylabel("mIoU at the best threshold")
    legend_below(figure, title="learning rate")
    return figure


def coverage(shares: Mapping[str, Sequence[Estimate]], changes: Mapping[str, Sequence[Estimate]]) -> Figure:
    """The share of the objects' pixels that is found, over their distance from the CAM's peak, and differences of it below.

    Args:
        shares: by method, `coverage.Coverage.objects`.
        changes: the same for differences of two methods, by label.
    """
    figure, (upper, lower) = plt.subplots(2, 1, figsize=(WIDTH, 6.2), sharex=True, height_ratios=(3, 2))
    _by_distance(upper, shares, colors_of(shares))
    upper.set(ylabel="share of pixels found", ylim=(0, 1))
    _by_distance(lower, changes, dict(zip(changes, (RED, GREEN), strict=False)))
    lower.axhline(0, color=LINE, linewidth=0.8)
    lower.set(ylabel="difference of shares", xlabel="distance from the CAM's peak (in object sizes)")
    return figure


def _by_distance(axis: Axes, curves: Mapping[str, Sequence[Estimate]], colors: Mapping[str, str]) -> None:
    centres = DISTANCE_EDGES + (DISTANCE_EDGES[1] - DISTANCE_EDGES[0]) / 2  # the last bin is open
    for name, estimates in curves.items():
        values, low, high = (
            [np.nan if number is None else number for number in numbers]
            for numbers in zip(*((found.value, found.low, found.high) for found in estimates), strict=True)
        )
        axis.plot(centres, values, marker="o", markersize=4, label=name, color=colors[name])
        axis.fill_between(centres, low, high, color=colors[name], alpha=0.15)
    axis.legend()


def image_differences(first: np.ndarray, second: np.ndarray) -> Figure:
    """The sorted differences of the images' mIoU under two methods [N]; images whose difference is nan are left out."""
    difference = second - first
    difference = np.sort(difference[~np.isnan(difference)])
    figure, axis = plt.subplots(figsize=(WIDTH, 3.2))
    axis.stairs(difference.clip(max=0), fill=True, color=COLORS["CAM"])
    axis.stairs(difference.clip(min=0), fill=True, color=COLORS["RIB"])
    axis.axhline(0, color=LINE, linewidth=0.8)
    axis.set(xlabel="images, sorted", xticks=[])
    axis.set_ylabel("difference in mIoU")
    return figure
