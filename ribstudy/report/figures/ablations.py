"""The figures and the table of the chapter on ablations."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ribstudy.config import Settings
from ribstudy.evaluation.statistics import NOT_RUN, Comparison
from ribstudy.report.figures.common import COLORS, LINE, WIDTH
from ribstudy.workflow.variants import GROUPS, Variant, default, in_words


def group_figure(group: str, chosen: Sequence[Variant], found: Mapping[str, Comparison]) -> Figure:
    """The differences of a group's variants from the default, with intervals and a line at 0.

    An interval that includes zero has another colour and a hollow marker, so it can be read without colour.
    """
    members = [variant for variant in chosen if variant.group == group and variant.name in found]
    heights = [1 + 0.7 * variant.label.count("\n") for variant in members]
    figure, axis = plt.subplots(figsize=(WIDTH, 0.5 * sum(heights) + 1.5))
    for place, variant in enumerate(reversed(members)):
        difference = found[variant.name].difference
        filled = difference.excludes_zero
        color = COLORS["RIB" if filled else "CAM"]
        axis.plot([difference.low, difference.high], [place, place], color=color, linewidth=3, solid_capstyle="round")
        axis.plot(difference.value, place, "o", color=color, markersize=9, markerfacecolor=color if filled else "white")
    axis.axvline(0, color=LINE, linewidth=1)
    axis.set_yticks(range(len(members)), [variant.label for variant in reversed(members)])
    axis.set_ylim(-0.6, len(members) - 0.4)
    axis.grid(axis="y", visible=False)
    axis.set(title=GROUPS[group], xlabel="difference in mIoU from the default (95 % interval)")
    axis.xaxis.set_major_locator(MaxNLocator(5))
    return figure


def curve_figure(table: pd.DataFrame, *, default_steps: int) -> Figure:
    """`ablation.curve` over the number of summed maps; a dotted line marks the preset's own K."""
    figure, axis = plt.subplots()
    axis.fill_between(table["steps"], table["low"], table["high"], color=COLORS["RIB"], alpha=0.2, label="95 % interval")
    axis.plot(table["steps"], table["value"], marker="o", color=COLORS["RIB"], label="sum of the maps of the first steps")
    axis.axhline(0, color=LINE, linewidth=1)
    axis.axvline(default_steps, color=LINE, linestyle=":", label=f"K of the preset, {default_steps}")
    axis.set(title="mIoU after each step of one run", xlabel="summed maps (1: the plain CAM)")
    axis.set_ylabel("difference in mIoU from the CAM")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.legend(loc="outside lower center", ncols=1)
    return figure


def summary_table(chosen: Sequence[Variant], found: Mapping[str, Comparison], settings: Settings) -> pd.DataFrame:
    """A row for each variant: its difference or "not run", and its value here, in the preset, in the code and in the paper."""
    rows = {
        variant.name: {
            "difference (95 %)": found[variant.name].difference.text() if variant.name in found else NOT_RUN,
            "setting": variant.setting,
            "here": in_words(variant.value),
            "preset": in_words(default(variant, settings)),
            "code": in_words(variant.code),
            "paper": in_words(variant.paper),
        }
        for variant in chosen
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("variant")
