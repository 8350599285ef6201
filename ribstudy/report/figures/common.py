"""The one style of all figures, and the charts that several chapters use.

Colours are Okabe and Ito's, which colour-blind readers can distinguish. A chart has no title, because its caption says what it
shows, and it is as wide as a phone.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

BLUE, RED, GREEN, PINK, ORANGE, SKY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"  # Okabe and Ito
LINE = "#333333"  # of lines that mark a value
COLORS = {"CAM": BLUE, "CAM, blurred": SKY, "RIB": RED, "RIB as written": GREEN, "truth": PINK, "chosen on val": LINE}
MAP_COLORS = "inferno"
WIDTH = 4.8  # inches: a phone shows a chart at about this width, where a text of 10 points has 10 pixels
LINE_LENGTH = 56  # letters of 10 points in a line of this width


def use_style() -> None:
    """Sets the style of every figure in the book."""
    plt.rc("figure", figsize=(WIDTH, 3.4), dpi=120)
    plt.rc("figure.constrained_layout", use=True)
    plt.rc("savefig", dpi=120)
    plt.rc("svg", fonttype="none", hashsalt="ribstudy")  # text stays text, in a font of the reader's system
    plt.rc("font", size=10)
    plt.rc("axes", titlesize=11, grid=True, prop_cycle=plt.cycler(color=[BLUE, RED, GREEN, PINK, ORANGE, SKY]))
    plt.rc("axes.spines", top=False, right=False)
    plt.rc("grid", alpha=0.25)
    plt.rc("legend", frameon=False, fontsize=10)


def show_plain_ticks(axis: Axis) -> None:
    """Labels a logarithmic axis with 1, 2, 5, 10, ..., which do not overlap on a short one as powers of ten between them do."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_formatter(NullFormatter())


def legend_below(figure: Figure, *, title: str | None = None) -> None:
    """A legend of the first panel's marks, below all panels, in as many columns as fit side by side."""
    handles, labels = figure.axes[0].get_legend_handles_labels()
    fitting = (number for number in range(len(labels), 1, -1) if _line_length(labels, number) <= LINE_LENGTH)
    figure.legend(handles, labels, loc="outside lower center", ncols=next(fitting, 1), title=title)


def _line_length(labels: Sequence[str], number: int) -> int:
    """The letters of a line of a legend with this number of columns; a mark with its distances takes eight."""
    return sum(8 + max(map(len, column)) for column in np.array_split(np.array(labels, dtype=object), number))


def colors_of(names: Iterable[str]) -> dict[str, str]:
    """Colours by name: a method's own colour, or one that no other name has, rather one that no method has."""
    style, names = plt.rcParams["axes.prop_cycle"].by_key()["color"], list(names)
    own = {COLORS.get(name) for name in names}
    free = cycle(sorted((color for color in style if color not in own), key=lambda color: color in COLORS.values()) or style)
    return {name: COLORS.get(name) or next(free) for name in names}


def class_bars(values: Mapping[str, pd.Series], *, label: str) -> Figure:
    """A bar for each class (index of the series) and method."""
    table = pd.DataFrame(values)
    figure, axis = plt.subplots(figsize=(WIDTH, 0.12 * len(table) * (1 + len(table.columns)) + 1.2))
    colors = [COLORS.get(name, BLUE) for name in table]
    table.plot.barh(ax=axis, color=colors, width=0.8, legend=False)
    axis.invert_yaxis()
    if len(table.columns) > 1:
        legend_below(figure)
    axis.set(xlabel=label, ylabel="")
    axis.grid(axis="y", visible=False)
    return figure
