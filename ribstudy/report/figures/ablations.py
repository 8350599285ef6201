"""The pictures of the chapter on ablations."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ribstudy.evaluation.metrics import Comparison
from ribstudy.report.figures.common import COLORS, WIDTH
from ribstudy.workflow.variants import GROUPS, Variant

LINE = "#333333"


def group_figure(group: str, chosen: Sequence[Variant], found: Mapping[str, Comparison]) -> Figure:
    """The differences of a group's variants from the default, with intervals; a line at 0.

    An interval that holds zero is drawn hollow, in another colour: shape and colour say the same.
    """
    members = [variant for variant in chosen if variant.group == group and variant.name in found]
    heights = [1 + 0.7 * variant.label.count("\n") for variant in members]
    figure, axis = plt.subplots(figsize=(WIDTH, 0.5 * sum(heights) + 1.5))
    for place, variant in enumerate(reversed(members)):
        difference = found[variant.name].difference
        tells = difference.leaves_zero_out
        color = COLORS["RIB"] if tells else COLORS["CAM"]
        axis.plot([difference.low, difference.high], [place, place], color=color, linewidth=3, solid_capstyle="round")
        axis.plot(difference.value, place, "o", color=color, markersize=9, markerfacecolor=color if tells else "white")
    axis.axvline(0, color=LINE, linewidth=1)
    axis.set_yticks(range(len(members)), [variant.label for variant in reversed(members)])
    axis.set_ylim(-0.6, len(members) - 0.4)
    axis.grid(axis="y", visible=False)
    axis.set(title=GROUPS[group], xlabel="mIoU less the default's, with its 95 % interval")
    axis.xaxis.set_major_locator(MaxNLocator(5))
    return figure


def curve_figure(table: pd.DataFrame, *, default_steps: int) -> Figure:
    """`ablation.curve` over the number of summed maps; dotted where the preset's own K lies."""
    figure, axis = plt.subplots()
    axis.fill_between(table["steps"], table["low"], table["high"], color=COLORS["RIB"], alpha=0.2, label="95 % interval")
    axis.plot(table["steps"], table["value"], marker="o", color=COLORS["RIB"], label="maps of the first steps, summed")
    axis.axhline(0, color=LINE, linewidth=1)
    axis.axvline(default_steps, color=LINE, linestyle=":", label=f"K of the preset, {default_steps}")
    axis.set(title="One run, step by step", xlabel="maps summed (1: the plain CAM)", ylabel="mIoU less that of the CAM")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.legend(loc="outside lower center", ncols=1)
    return figure
