"""Pictures side by side, as HTML: galleries, a slider over frames, and a slider between two maps.

Titles are text of the page, so that they have its size on every screen and its colours in the dark. Nothing is loaded. Only the
sliders use a script; without it, and on paper, the style sheet shows what they hide.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import HTML
from PIL import Image

from ribstudy.datasets.base import Dataset
from ribstudy.datasets.pictures import PALETTE, VOID
from ribstudy.report.figures.common import MAP_COLORS
from ribstudy.report.figures.inline import picture_address

GREY = 225  # of images whose photographs are not at hand
LONG_SIDE = 360  # pixels of a panel's picture: a panel is seldom wider than 180 on the page, and screens have 2 for each
SHORT_SIDE = 120  # pixels; smaller pictures are enlarged without smoothing
MOST_COLUMNS = 5


@dataclass(frozen=True)
class Panel:
    """One panel of a gallery: an image uint8 [H, W, 3], with an optional map in 0..1 or class mask over it."""

    title: str
    image: np.ndarray
    map: np.ndarray | None = None
    mask: np.ndarray | None = None


def photograph(dataset: Dataset, name: str, size: tuple[int, int]) -> np.ndarray:
    """An image, uint8 [H, W, 3]; where the photographs are not at hand, a light grey stand-in of `size` (H, W)."""
    return dataset.image(name) if dataset.has_pictures else np.full((*size, 3), GREY, np.uint8)


def true_mask(dataset: Dataset, name: str, size: tuple[int, int]) -> np.ndarray:
    """A true mask, uint8 [H, W]; where the photographs are not at hand, only void."""
    return dataset.mask(name) if dataset.has_pictures else np.full(size, VOID, np.uint8)


def picture(panel: Panel) -> np.ndarray:
    """The panel's image with its map or mask over it, uint8 [H, W, 3]; background and void of a mask stay transparent."""
    shown = panel.image.astype(np.float64)
    if panel.map is not None:
        shown = 0.35 * shown + 0.65 * 255 * plt.get_cmap(MAP_COLORS)(panel.map)[..., :3]
    if panel.mask is not None:
        painted = (panel.mask > 0) & (panel.mask != VOID)
        shown[painted] = 0.25 * shown[painted] + 0.75 * PALETTE[panel.mask[painted]]
    return shown.round().astype(np.uint8)


def gallery(rows: Sequence[Sequence[Panel]]) -> HTML:
    """Rows of panels with their titles. A narrow screen breaks a row, so every panel needs a title."""
    return HTML(f'<div class="gallery">{"".join(map(_row, rows))}</div>')


def slider(frames: Sequence[Sequence[Panel]], labels: Sequence[str]) -> HTML:
    """A slider that steps through rows of panels. It begins at the first row."""
    shown = "".join(
        f'<div class="frame" data-label="{escape(label)}"{"" if index == 0 else " hidden"}>{_row(panels)}</div>'
        for index, (panels, label) in enumerate(zip(frames, labels, strict=True))
    )
    show = (
        "const frames=this.closest('.frames').querySelectorAll('.frame');"
        "frames.forEach((frame,i)=>frame.hidden=i!=this.value);"
        "this.nextElementSibling.textContent=frames[this.value].dataset.label"
    )
    ends = f'min="0" max="{len(frames) - 1}" value="0"'
    control = _control(ends, "step", show, output=f"<output>{escape(labels[0])}</output>")
    return HTML(f'<div class="frames">{shown}{control}</div>')


def before_after(pairs: Sequence[tuple[Panel, Panel]], *, labels: tuple[str, str]) -> HTML:
    """Pairs of pictures on top of each other, and a slider that moves the dividing line of all pairs.

    In every pair, the first picture is to the left of the line, and the second to its right.

    Args:
        pairs: each has the title of its first panel.
        labels: the names of the first and the second pictures.
    """
    both = "".join(f'<div class="pair">{_pair(*pair, labels)}<div>{escape(pair[0].title)}</div></div>' for pair in pairs)
    show = "this.closest('.before-after').style.setProperty('--at',this.value+'%')"
    name = f"dividing line: {labels[0]} to its left, {labels[1]} to its right"
    control = _control('min="0" max="100" value="50"', name, show)
    return HTML(f'<div class="before-after" style="--at:50%">{_grid(both, len(pairs))}{control}</div>')


def _control(ends: str, name: str, show: str, *, output: str = "") -> str:
    """A slider, which runs `show` when it moves, and to its right what it shows."""
    return (
        f'<div class="control" style="display:flex;gap:1em"><input type="range" {ends} autocomplete="off" '
        f'style="flex:1" aria-label="{escape(name)}" oninput="{show}">{output}</div>'
    )


def _pair(first: Panel, second: Panel, labels: tuple[str, str]) -> str:
    """Both pictures with their labels. The second covers the first, and its label, to the right of the dividing line."""
    label = '<span class="label" style="position:absolute;bottom:0;{}:0;background:#000c;color:#fff;padding:0 .3em">{}</span>'
    left, right = (label.format(side, escape(text)) for side, text in zip(("left", "right"), labels, strict=True))
    cover = "position:absolute;inset:0;clip-path:inset(0 0 0 var(--at))"
    line = '<div class="line" style="position:absolute;inset:0 auto 0 var(--at);border-left:2px solid #fff"></div>'
    return (
        f'<div class="pictures" style="position:relative">{_img(first, labels[0])}{left}'
        f'<div class="second" style="{cover}">{_img(second, labels[1])}{right}</div>{line}</div>'
    )


def _row(panels: Sequence[Panel]) -> str:
    """The panels side by side, without those that show nothing because the data are not at hand."""
    panels = [panel for panel in panels if _shows_something(panel)]
    shown = (f'<div class="panel">{_img(panel, panel.title)}<div>{escape(panel.title)}</div></div>' for panel in panels)
    return _grid("".join(shown), len(panels)) if panels else ""


def _shows_something(panel: Panel) -> bool:
    """Whether it is more than the stand-in of `photograph` or of `true_mask`."""
    if panel.mask is not None:
        return bool((panel.mask != VOID).any())
    return panel.map is not None or bool((panel.image != GREY).any())


def _grid(content: str, number: int) -> str:
    columns = f"grid-template-columns:repeat({min(number, MOST_COLUMNS)},minmax(0,1fr))"
    return f'<div class="panels" style="display:grid;gap:.5em;margin-bottom:.5em;{columns}">{content}</div>'


def _img(panel: Panel, alt: str) -> str:
    image = Image.fromarray(picture(panel))
    factor = -(-SHORT_SIDE // min(image.size))
    image = image.resize((factor * image.width, factor * image.height), Image.Resampling.NEAREST)
    image.thumbnail((LONG_SIDE, LONG_SIDE))
    source = picture_address(np.asarray(image), "webp")
    size = f'width="{image.width}" height="{image.height}" style="display:block;width:100%;height:auto"'
    return f'<img class="dark-light" src="{source}" alt="{escape(alt)}" {size}>'
