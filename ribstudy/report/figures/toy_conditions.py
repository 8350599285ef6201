"""The figures of the simulated experiment under other conditions."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ribstudy.evaluation.statistics import student_interval, student_mean
from ribstudy.report import toy as summary
from ribstudy.report.figures.common import MAP_COLORS, WIDTH, legend_below
from ribstudy.report.figures.toy import NORMALIZATION_STYLES, whiskers
from ribstudy.report.toy_conditions import Conditions, factor_name
from ribstudy.toy.conditions import DEFAULT, Condition, axis

NUM_COLUMNS = 2


def sweep(conditions: Conditions) -> Figure:
    """The effect for each value of each setting, with both normalisations; the paper's effect is dotted."""
    factors = conditions.factors
    num_rows = -(-len(factors) // NUM_COLUMNS)
    figure, axes = plt.subplots(num_rows, NUM_COLUMNS, figsize=(WIDTH, 1.9 * num_rows + 0.8), sharey=True, squeeze=False)
    for axes_of_factor in axes.flat[len(factors) :]:
        axes_of_factor.set_axis_off()
    for panel, (name, values) in zip(axes.flat, factors.items(), strict=False):
        for shift, (normalization, (color, marker, label)) in zip((-0.1, 0.1), NORMALIZATION_STYLES.items(), strict=True):
            shown = [student_interval(conditions.extra_fall(each, normalization=normalization)) for each in values.values()]
            mean, low, high = np.array(shown).T
            x = np.arange(len(values)) + shift
            panel.errorbar(x, mean, whiskers(mean, low, high), fmt=marker, color=color, capsize=2, markersize=4, label=label)
        panel.axhline(0, color="black", linewidth=0.8)
        panel.axhline(summary.paper_extra_fall(), color="black", linestyle=":")
        panel.set_xticks(range(len(values)), [f"{value}{'*' if each == DEFAULT else ''}" for value, each in values.items()])
        panel.set_title(factor_name(name), fontsize=11)
    figure.supylabel("fall in the last step: marker minus digit", fontsize=10)
    legend_below(figure)
    return figure


def map_of_two(conditions: Conditions) -> Figure | None:
    """The mean effect for every pair of values of two settings; the default is framed. None without pairs."""
    if not conditions.cells:
        return None
    rows, columns = (axis(conditions.settings, name) for name in conditions.settings.conditions.map)
    effects = {pair: student_mean(conditions.extra_fall(each)) for pair, each in conditions.cells.items()}
    means = np.array([[effects[row, column].value for column in columns] for row in rows])
    figure, panel = plt.subplots(figsize=(WIDTH, 0.62 * len(rows) + 1.4))
    limits = {"vmin": min(0, means.min()), "vmax": max(summary.paper_extra_fall(), means.max())}
    shown = panel.imshow(means, cmap=MAP_COLORS, aspect="auto", **limits)
    middle = np.mean(shown.get_clim())
    for y, row in enumerate(rows):
        for x, column in enumerate(columns):
            color = "white" if means[y, x] < middle else "black"
            text = _cell_text(conditions, conditions.cells[row, column])
            panel.text(x, y, text, ha="center", va="center", fontsize=10, color=color)
            if conditions.cells[row, column] == DEFAULT:
                panel.add_patch(plt.Rectangle((x - 0.48, y - 0.48), 0.96, 0.96, fill=False, color=color, linewidth=1.5))
    _name_axes(panel, conditions, rows, columns)
    bar = figure.colorbar(shown, label="effect")
    bar.ax.axhline(summary.paper_extra_fall(), color="black", linestyle=":")
    return figure


def _cell_text(conditions: Conditions, condition: Condition) -> str:
    """The effect, and below it half the width of its interval."""
    effect = student_mean(conditions.extra_fall(condition))
    margin = "" if effect.high is None else f"\n± {effect.high - effect.value:.2f}"
    return f"{effect.value:+.2f}{margin}"


def _name_axes(panel: Axes, conditions: Conditions, rows: list, columns: list) -> None:
    vertical, horizontal = map(factor_name, conditions.settings.conditions.map)
    panel.set(ylabel=vertical, xlabel=horizontal)
    panel.set_yticks(range(len(rows)), rows)
    panel.set_xticks(range(len(columns)), columns)
    panel.grid(visible=False)
