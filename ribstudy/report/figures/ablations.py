"""The figures and the table of the chapter on ablations."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ribstudy.config import Settings
from ribstudy.evaluation.protocol import BEST, WITHOUT_MASKS
from ribstudy.evaluation.statistics import NOT_RUN, Comparison, Estimate
from ribstudy.report.figures.common import COLORS, LINE, WIDTH, legend_below
from ribstudy.workflow.variants import GROUPS, Variant, base, default, in_words


def all_differences(chosen: Sequence[Variant], found: Mapping[str, Comparison]) -> Figure | None:
    """The differences of all variants from the default on one axis, by group, the best first; None if there is none.

    A bar is the 95 % interval. If it includes zero, it has another colour and a hollow marker, so that colour is not needed.
    """
    lines = _lines(chosen, found)
    if not lines:
        return None
    ends = np.cumsum([1 + 0.7 * label.count("\n") for label, _ in lines])
    places = (ends + np.r_[0, ends[:-1]]) / 2
    figure, axis = plt.subplots(figsize=(WIDTH, 0.23 * ends[-1] + 0.8))
    for place, (_, difference) in zip(places, lines, strict=True):
        if difference is not None:
            filled = difference.excludes_zero
            color = COLORS["RIB" if filled else "CAM"]
            axis.plot([difference.low, difference.high], [place, place], color=color, linewidth=2.5, solid_capstyle="round")
            axis.plot(difference.value, place, "o", color=color, markerfacecolor=color if filled else "white")
    axis.axvline(0, color=LINE, linewidth=1)
    axis.set_yticks(places, [label for label, _ in lines])
    for label, (_, difference) in zip(axis.get_yticklabels(), lines, strict=True):
        label.set_fontweight("bold" if difference is None else "normal")
    axis.tick_params(axis="y", length=0)
    axis.set_ylim(ends[-1], 0)
    axis.grid(axis="y", visible=False)
    axis.set_xlabel("difference in mIoU")
    axis.xaxis.set_major_locator(MaxNLocator(3))
    return figure


def _lines(chosen: Sequence[Variant], found: Mapping[str, Comparison]) -> list[tuple[str, Estimate | None]]:
    """The lines from the top: each group, without a difference, and below it its variants."""
    lines = []
    for group, title in GROUPS.items():
        members = [variant for variant in chosen if variant.group == group and variant.name in found]
        members.sort(key=lambda variant: -found[variant.name].difference.value)
        lines += [(title, None)] if members else []
        lines += [(variant.label, found[variant.name].difference) for variant in members]
    return lines


def curve_figure(table: pd.DataFrame, *, default_steps: int) -> Figure:
    """`ablations.steps_table` over the number of summed maps; a dotted line marks the preset's own K."""
    figure, axis = plt.subplots()
    axis.fill_between(table["steps"], table["low"], table["high"], color=COLORS["RIB"], alpha=0.2, label="95 % interval")
    axis.plot(table["steps"], table["value"], marker="o", color=COLORS["RIB"], label="sum of the first maps")
    axis.axhline(0, color=LINE, linewidth=1)
    axis.axvline(default_steps, color=LINE, linestyle=":", label=f"K of the preset, {default_steps}")
    axis.set(xlabel="summed maps", ylabel="difference in mIoU")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend_below(figure)
    return figure


def summary_table(
    shown: Sequence[Variant],
    found: Mapping[str, Mapping[str, Comparison]],
    adjusted: Mapping[str, float],
    settings: Settings,
) -> pd.DataFrame:
    """A row for each variant: its differences by rule, the smallest that could be told, its p-value, and its values.

    Args:
        shown: the variants, including those that were not run.
        found: by rule, the comparisons with the default by variant.
        adjusted: p-values of the first rule, adjusted for the number of variants.
        settings: the preset, for the default's values.
    """
    rows = {variant.name: {**_evidence(variant.name, found, adjusted), **_values(variant, settings)} for variant in shown}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("variant")


def _evidence(name: str, found: Mapping[str, Mapping[str, Comparison]], adjusted: Mapping[str, float]) -> dict[str, str]:
    differences = {rule: of_rule[name].difference for rule, of_rule in found.items() if name in of_rule}
    told = differences[BEST].detectable if BEST in differences else None
    return {
        **{f"{rule} (95 %)": differences[rule].text() if rule in differences else NOT_RUN for rule in (BEST, WITHOUT_MASKS)},
        "could tell": "–" if told is None else f"{told:.3f}",
        "adjusted p": "–" if name not in adjusted else "< 0.001" if adjusted[name] < 0.001 else f"{adjusted[name]:.3f}",
    }


def _values(variant: Variant, settings: Settings) -> dict[str, str]:
    return {
        "setting": variant.setting,
        "here": in_words(variant.value),
        "default": in_words(base(settings).get(variant.setting, default(variant, settings))),
        "code": in_words(variant.code),
        "paper": in_words(variant.paper),
    }
