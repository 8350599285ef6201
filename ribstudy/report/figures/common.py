"""The one style of all figures, and the charts and tables that several chapters use.

Colours are Okabe and Ito's, which colour-blind readers can distinguish. Figures are a few inches wide with large letters and
few panels in a row, so that they can be read on a phone.
"""

import base64
import io
from collections.abc import Iterable, Mapping
from itertools import cycle

import matplotlib.pyplot as plt
import pandas as pd
from IPython.display import HTML
from matplotlib.figure import Figure

from ribstudy.evaluation.statistics import Comparison

BLUE, RED, GREEN, PINK, ORANGE, SKY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"  # Okabe and Ito
LINE = "#333333"  # of lines that mark a value
COLORS = {"CAM": BLUE, "CAM, blurred": SKY, "RIB": RED, "RIB as written": GREEN, "truth": PINK, "chosen on val": LINE}
MAP_COLORS = "inferno"
GREY = 225  # of images whose photographs are not at hand
WIDTH = 6.5  # inches: text of 10 points stays readable when a phone shrinks the page


def use_style() -> None:
    """Sets the style of every figure in the book."""
    plt.rc("figure", figsize=(WIDTH, 4.0), dpi=120)
    plt.rc("figure.constrained_layout", use=True)
    plt.rc("savefig", dpi=120)
    plt.rc("font", size=12)
    plt.rc("axes", titlesize=13, grid=True, prop_cycle=plt.cycler(color=[BLUE, RED, GREEN, PINK, ORANGE, SKY]))
    plt.rc("axes.spines", top=False, right=False)
    plt.rc("grid", alpha=0.25)
    plt.rc("legend", frameon=False)


def picture(figure: Figure, *, alt: str) -> HTML:
    """A figure as HTML, for use on another page than the one that computes it. Closes the figure."""
    return HTML(f'<img src="{_jpeg(figure)}" alt="{alt}" style="width:100%">')


def _jpeg(figure: Figure) -> str:
    """The figure as an address of an image, which contains the image itself. Closes the figure."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="jpeg", pil_kwargs={"quality": 85})
    plt.close(figure)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def blank(text: str) -> Figure:
    """A figure that contains only a sentence, in place of one that cannot be drawn."""
    figure, axis = plt.subplots(figsize=(WIDTH, 1))
    axis.text(0.5, 0.5, text, ha="center", va="center", transform=axis.transAxes)
    axis.set_axis_off()
    return figure


def colors_of(names: Iterable[str]) -> dict[str, str]:
    """Colours by name: a method's own colour, or a colour that no method has."""
    style = plt.rcParams["axes.prop_cycle"].by_key()["color"]
    free = cycle([color for color in style if color not in COLORS.values()] or style)
    return {name: COLORS.get(name) or next(free) for name in names}


def class_bars(values: Mapping[str, pd.Series], *, title: str, label: str) -> Figure:
    """A bar for each class (index of the series) and method."""
    table = pd.DataFrame(values)
    figure, axis = plt.subplots(figsize=(WIDTH, 0.34 * len(table) + 1.6))
    colors = [COLORS.get(name, BLUE) for name in table]
    table[::-1].plot.barh(ax=axis, color=colors, width=0.8, legend=False)
    if len(table.columns) > 1:
        figure.legend(loc="outside lower center", ncols=len(table.columns))
    axis.set(title=title, xlabel=label, ylabel="")
    axis.grid(axis="y", visible=False)
    return figure


def difference_table(comparisons: Mapping[str, Comparison], *, index: str, first: str, second: str) -> pd.DataFrame:
    """Two mIoUs and their difference with its interval, a row for each comparison."""
    rows = {
        name: {
            first: f"{comparison.first.value:.3f}",
            second: f"{comparison.second.value:.3f}",
            "difference (95 %)": comparison.difference.text(),
        }
        for name, comparison in comparisons.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(index)
