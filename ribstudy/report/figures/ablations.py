"""The figures and the tables of the chapter on ablations."""

from collections.abc import Collection, Mapping, Sequence

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
    axis.xaxis.set_major_locator(MaxNLocator(4))
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


def evidence_table(
    chosen: Sequence[Variant], found: Mapping[str, Mapping[str, Comparison]], adjusted: Mapping[str, float]
) -> pd.DataFrame:
    """A row for each variant, that with the largest effect first: its differences by rule, and how sure they are.

    Args:
        chosen: the variants that were run.
        found: by rule, the comparisons with the default by variant.
        adjusted: p-values of the first rule, adjusted for the number of variants.
    """
    names = sorted((variant.name for variant in chosen), key=lambda name: -abs(found[BEST][name].difference.value))
    rows = {name: _evidence(name, found, adjusted) for name in names}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("variant")


def _evidence(name: str, found: Mapping[str, Mapping[str, Comparison]], adjusted: Mapping[str, float]) -> dict[str, str]:
    told = found[BEST][name].difference.detectable
    return {
        **{f"{rule} (95 %)": found[rule][name].difference.text() for rule in (BEST, WITHOUT_MASKS)},
        "could tell": "–" if told is None else f"{told:.3f}",
        "adjusted p": "< 0.001" if adjusted[name] < 0.001 else f"{adjusted[name]:.3f}",
    }


def values_table(shown: Sequence[Variant], run: Collection[str], settings: Settings) -> pd.DataFrame:
    """A row for each variant, also if it was not run: its setting and value, and the values of default, code and paper.

    Args:
        run: the names of the variants that were run.
        settings: the preset, for the default's values.
    """
    rows = {variant.name: {**_values(variant, settings), "run": "yes" if variant.name in run else NOT_RUN} for variant in shown}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("variant")


def _values(variant: Variant, settings: Settings) -> dict[str, str]:
    return {
        "setting": variant.setting,
        "here": in_words(variant.value),
        "default": in_words(base(settings).get(variant.setting, default(variant, settings))),
        "code": in_words(variant.code),
        "paper": in_words(variant.paper),
    }
