"""The frontier of the chapter on costs: what each point gives over what it costs."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ribstudy.evaluation.protocol import FROM_VAL
from ribstudy.evaluation.statistics import Estimate
from ribstudy.report.figures.common import BLUE, GREEN, LINE, RED, WIDTH, legend_below, show_plain_ticks
from ribstudy.report.frontier import Measured, gains
from ribstudy.workflow.frontier import KINDS
from ribstudy.workflow.methods import CAM_NAME

STYLES = dict(zip(KINDS, ((LINE, "s"), (RED, "o"), (BLUE, "^"), (GREEN, "D")), strict=True))


def frontier_figure(found: Mapping[str, Measured], costs: Mapping[str, float], *, label: str) -> Figure | None:
    """The gain in mIoU over the CAM, and below it the correlation with the exact maps, over the cost of each point.

    Points have the numbers of `frontier_table`, and bars are 95 % intervals. None if nothing was run.

    Args:
        costs: by name; a point without a known cost (nan) is left out.
        label: the kind of cost and its unit.
    """
    if not found:
        return None
    over_cam = {name: by_rule[FROM_VAL].difference for name, by_rule in gains(found, CAM_NAME).items()}
    figure, axes = plt.subplots(2, figsize=(WIDTH, 6.5), sharex=True)
    _draw(axes[0], found, costs, {CAM_NAME: Estimate(0.0), **over_cam})
    _draw(axes[1], found, costs, {name: of.alike for name, of in found.items()})
    axes[0].axhline(0, color=LINE, linewidth=1)
    for kind, (color, marker) in STYLES.items():
        axes[0].plot([], [], marker, color=color, label=kind)
    axes[0].set(title="gain over the CAM", ylabel="mIoU")
    axes[1].set(title="likeness to the maps of RIB", xscale="log", xlabel=label, ylabel="correlation")
    show_plain_ticks(axes[1].xaxis)
    legend_below(figure)
    return figure


def maps_figure(table: pd.DataFrame, found: Mapping[str, Measured], costs: Mapping[str, float]) -> Figure | None:
    """The gain in mIoU over the CAM of the sum of RIB's first maps, over operations, and the other points next to it.

    Bars and the band are 95 % intervals. None if nothing was run.

    Args:
        table: `gain_by_maps`, with a column `flop`.
        costs: the FLOP of each point, by name.
    """
    if table.empty:
        return None
    over_cam = {name: by_rule[FROM_VAL].difference for name, by_rule in gains(found, CAM_NAME).items()}
    figure, axis = plt.subplots(figsize=(WIDTH, 4.2))
    color, marker = STYLES["reference"]
    gflop = table["flop"] / 1e9
    axis.plot(gflop, table["value"], marker, linestyle="-", color=color, markersize=4, label="RIB, after each step")
    axis.fill_between(gflop, table["low"].astype(float), table["high"].astype(float), color=color, alpha=0.12, linewidth=0)
    for number in {0, int(table["value"].argmax()), len(table) - 1}:
        row = table.iloc[number]
        label = "CAM" if number == 0 else f"{row['steps']:.0f} maps"
        axis.annotate(label, (gflop[number], row["value"]), xytext=(3, 4), textcoords="offset points", fontsize=8)
    others = {name: of for name, of in found.items() if of.point.kind != "reference"}
    for name, of in others.items():
        color, marker = STYLES[of.point.kind]
        place, gain = costs[name] / 1e9, over_cam[name]
        axis.errorbar(place, gain.value, _arms(gain), fmt=marker, color=color, markersize=5, elinewidth=1, alpha=0.8)
        axis.annotate(name, (place, gain.value), xytext=(4, -10), textcoords="offset points", fontsize=8)
    axis.axhline(0, color=LINE, linewidth=1)
    for kind in dict.fromkeys(of.point.kind for of in others.values()):
        color, marker = STYLES[kind]
        axis.plot([], [], marker, color=color, label=kind)
    axis.set(xscale="log", xlabel="GFLOP for an image", ylabel="gain over the CAM in mIoU")
    show_plain_ticks(axis.xaxis)
    legend_below(figure)
    return figure


def _arms(found: Estimate) -> list[list[float]] | None:
    """The lengths of an interval below and above its value, as matplotlib takes them."""
    return None if found.low is None else [[found.value - found.low], [found.high - found.value]]


def _draw(axis: Axes, found: Mapping[str, Measured], places: Mapping[str, float], heights: Mapping[str, Estimate]) -> None:
    for number, (name, of) in enumerate(found.items(), start=1):
        place, height = places[name], heights[name]
        if np.isnan(place) or np.isnan(height.value):
            continue
        color, marker = STYLES[of.point.kind]
        if height.low is not None and height.high is not None:
            axis.vlines(place, height.low, height.high, color=color, linewidth=1, alpha=0.5)
        axis.plot(place, height.value, marker, color=color, markersize=5)
        axis.annotate(str(number), (place, height.value), xytext=(3, 3), textcoords="offset points", fontsize=8)
