"""The frontier of the chapter on costs: what each point gives over what it costs."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ribstudy.evaluation.protocol import FROM_VAL
from ribstudy.evaluation.statistics import Estimate
from ribstudy.report.figures.common import BLUE, GREEN, LINE, RED, WIDTH, legend_below
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
    legend_below(figure)
    return figure


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
