"""The figures and the table of the chapter on ablations."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ribstudy.config import Settings
from ribstudy.evaluation.protocol import BEST, WITHOUT_MASKS
from ribstudy.evaluation.statistics import NOT_RUN, Comparison
from ribstudy.report.figures.common import COLORS, LINE, WIDTH
from ribstudy.workflow.variants import GROUPS, Variant, base, default, in_words


def group_figure(group: str, chosen: Sequence[Variant], found: Mapping[str, Comparison]) -> Figure | None:
    """The differences of a group's variants from the default, with intervals and a line at 0; None if it has no variant.

    An interval that includes zero has another colour and a hollow marker, so it can be read without colour.
    """
    members = [variant for variant in chosen if variant.group == group and variant.name in found]
    if not members:
        return None
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
    """`ablations.steps_table` over the number of summed maps; a dotted line marks the preset's own K."""
    figure, axis = plt.subplots()
    axis.fill_between(table["steps"], table["low"], table["high"], color=COLORS["RIB"], alpha=0.2, label="95 % interval")
    axis.plot(table["steps"], table["value"], marker="o", color=COLORS["RIB"], label="sum of the maps of the first steps")
    axis.axhline(0, color=LINE, linewidth=1)
    axis.axvline(default_steps, color=LINE, linestyle=":", label=f"K of the preset, {default_steps}")
    axis.set(title="mIoU after each step of one run", xlabel="summed maps")
    axis.set_ylabel("difference in mIoU from the default")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.legend(loc="outside lower center", ncols=1)
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
