"""The one style of all figures, and the figures and tables that several chapters use: galleries, sliders, bars by class.

Colours are Okabe and Ito's, which colour-blind readers can distinguish. Figures are a few inches wide with large letters and
few panels in a row, so that they can be read on a phone.
"""

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import HTML
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ribstudy.datasets.base import Dataset
from ribstudy.datasets.pictures import PALETTE, VOID
from ribstudy.evaluation.statistics import Comparison

BLUE, RED, GREEN, PINK, ORANGE, SKY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"  # Okabe and Ito
LINE = "#333333"  # of lines that mark a value
COLORS = {"CAM": BLUE, "CAM, blurred": SKY, "RIB": RED, "RIB as written": GREEN, "truth": PINK, "chosen on val": LINE}
MAP_COLORS = "inferno"
GREY = 225  # of images whose photographs are not at hand
WIDTH = 6.5  # inches: text of 10 points stays readable when a phone shrinks the page


@dataclass(frozen=True)
class Panel:
    """One panel of a gallery: an image, with an optional map in 0..1 or class mask over it."""

    title: str
    image: np.ndarray
    map: np.ndarray | None = None
    mask: np.ndarray | None = None


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


def draw_panel(axis: Axes, panel: Panel) -> None:
    """Draws a panel; background and void of its mask stay transparent. A mask of void alone is not at hand (`true_mask`)."""
    axis.imshow(panel.image)
    if panel.map is not None:
        axis.imshow(panel.map, cmap=MAP_COLORS, vmin=0, vmax=1, alpha=0.65)
    if panel.mask is not None:
        shown = PALETTE[np.where(panel.mask == VOID, 0, panel.mask)]
        alpha = np.where((panel.mask > 0) & (panel.mask != VOID), 0.75, 0.0)
        axis.imshow(np.dstack([shown / 255, alpha]))
        if (panel.mask == VOID).all():
            axis.text(0.5, 0.5, "not at hand", fontsize=10, ha="center", va="center", transform=axis.transAxes)
    axis.set_title(panel.title, fontsize=11)
    axis.set_axis_off()


def photograph(dataset: Dataset, name: str, size: tuple[int, int]) -> np.ndarray:
    """An image, uint8 [H, W, 3]; where the photographs are not at hand, a light grey image of `size` (H, W)."""
    return dataset.image(name) if dataset.has_pictures else np.full((*size, 3), GREY, np.uint8)


def true_mask(dataset: Dataset, name: str, size: tuple[int, int]) -> np.ndarray:
    """A true mask, uint8 [H, W]; where the photographs are not at hand, only void."""
    return dataset.mask(name) if dataset.has_pictures else np.full(size, VOID, np.uint8)


def gallery(rows: Sequence[Sequence[Panel]], *, title: str) -> Figure:
    """Rows of panels; all rows have the same length."""
    num_columns = len(rows[0])
    figure, axes = plt.subplots(len(rows), num_columns, figsize=(WIDTH, WIDTH / num_columns * len(rows) * 1.12), squeeze=False)
    for axis_row, row in zip(axes, rows, strict=True):
        for axis, panel in zip(axis_row, row, strict=True):
            draw_panel(axis, panel)
    figure.suptitle(title)
    return figure


def slider(frames: Sequence[Figure], labels: Sequence[str], *, alt: str) -> HTML:
    """A slider that steps through figures, as plain HTML without a server or anything to load. Closes the figures."""
    images = "".join(
        f'<img src="{_jpeg(frame)}" alt="{alt}, {label}" style="width:100%;{"" if index == 0 else "display:none"}">'
        for index, (frame, label) in enumerate(zip(frames, labels, strict=True))
    )
    show = (
        "const box=this.parentNode.parentNode;"
        "box.querySelectorAll('img').forEach((image,i)=>image.style.display=i==this.value?'':'none');"
        f"box.querySelector('output').textContent={list(labels)}[this.value]"
    )
    return HTML(
        f'<div class="iteration-slider">{images}'
        f'<label style="display:flex;gap:1em;align-items:center">'
        f'<input type="range" min="0" max="{len(frames) - 1}" value="0" autocomplete="off" style="flex:1" '
        f'aria-label="{alt}" oninput="{show}"><output>{labels[0]}</output></label></div>'
    )


def before_after(before: Figure, after: Figure, *, labels: tuple[str, str], alt: str) -> HTML:
    """Two figures of the same size on top of each other; a slider uncovers the second one from the left. Closes the figures."""
    show = "this.closest('.before-after').querySelector('.after').style.clipPath=`inset(0 ${100-this.value}% 0 0)`"
    return HTML(
        f'<div class="before-after"><div class="pictures"><img src="{_jpeg(before)}" alt="{alt}: {labels[0]}">'
        f'<img class="after" src="{_jpeg(after)}" alt="{alt}: {labels[1]}" style="clip-path:inset(0 50% 0 0)"></div>'
        f'<label><span>{labels[0]}</span><input type="range" min="0" max="100" value="50" autocomplete="off" '
        f'aria-label="{alt}: from {labels[0]} to {labels[1]}" oninput="{show}"><span>{labels[1]}</span></label></div>'
    )


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
