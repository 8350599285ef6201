"""The figure of a photograph and its maps, and the pictures that a report shows one after another.

Shapes: H x W pixels, S steps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from skimage.segmentation import find_boundaries

from ribstudy.report.figures.common import MAP_COLORS

if TYPE_CHECKING:
    from ribstudy.report.look import Explanation

CONTOUR = 0.3  # share of the maximum at which a line is drawn; the reference code counts positions above it as covered
_LINE = (0, 255, 255)  # cyan, which the colours of the map do not contain


def draw(explanation: Explanation) -> Figure:
    """Up to six panels in two rows: the photograph, and the map after several steps, including the first and the last.

    The maps are drawn over the grey photograph with one colour scale from 0 to 1, and a line at `CONTOUR`.
    """
    steps = np.unique(np.linspace(1, len(explanation.maps), 5).round().astype(int))
    height, width = explanation.image.shape[:2]
    panel_height = min(2 * height / width, 4) + 0.3  # inches, limited for tall photographs; 0.3 for the title
    figure = Figure(figsize=(6, 2 * panel_height + 0.7), layout="constrained")  # at 6 inches, 12 points are 11 px on a phone
    figure.suptitle(title(explanation), fontsize=13)
    figure.supxlabel(f"bright: near the map's maximum; line: {CONTOUR} of it", fontsize=11)
    panels = figure.subplots(2, 3).flat
    for panel in panels:
        panel.axis("off")
    panels = figure.axes
    panels[0].imshow(explanation.image)
    panels[0].set_title("photograph", fontsize=12)
    for panel, step in zip(panels[1:], steps, strict=False):
        _draw_map(panel, explanation.image, explanation.maps[step - 1])
        panel.set_title(step_title(explanation, step), fontsize=12)
    return figure


def title(explanation: Explanation) -> str:
    """The class, without its further names, and its probability."""
    return f"{explanation.class_name.split(',')[0]} ({explanation.probability:.0%})"


def step_title(explanation: Explanation, step: int) -> str:
    """The name of the sum of the first `step` maps. The first map of RIB and AdvCAM is the CAM."""
    if len(explanation.maps) == 1:
        return explanation.method
    return "CAM" if step == 1 else f"{explanation.method}, {step} steps"


def _draw_map(panel, image: np.ndarray, heat: np.ndarray) -> None:
    panel.imshow(image.mean(axis=2), cmap="gray", vmin=0, vmax=255)
    panel.imshow(heat, cmap=MAP_COLORS, vmin=0, vmax=1, alpha=_opacity(heat))
    if heat.min() < CONTOUR < heat.max() and min(heat.shape) > 1:  # otherwise matplotlib warns that there is no line
        panel.contour(heat, [CONTOUR], colors="cyan", linewidths=1)


def overlay(image: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """A map over the grey photograph in the colours of `draw`, with the line at `CONTOUR`: uint8 [H, W, 3].

    Args:
        image: uint8 [H, W, 3].
        heat: [H, W] in 0..1.
    """
    opacity = _opacity(heat)[..., None]
    grey = image.mean(axis=2, keepdims=True)
    colors = 255 * mpl.colormaps[MAP_COLORS](heat)[..., :3]
    picture = (opacity * colors + (1 - opacity) * grey).round().astype(np.uint8)
    picture[find_boundaries(heat > CONTOUR, mode="inner")] = _LINE
    return picture


def _opacity(heat: np.ndarray) -> np.ndarray:
    """How much a map hides of the photograph: nothing of the background, most of what is bright."""
    return np.clip(1.2 * heat, 0, 0.75)
