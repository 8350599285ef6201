"""The numbers that a figure shows, read from what is drawn, so that they cannot differ from it."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.category import StrCategoryFormatter, StrCategoryLocator
from matplotlib.collections import LineCollection, PolyCollection, QuadMesh
from matplotlib.container import BarContainer
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import StepPatch
from matplotlib.ticker import FixedFormatter, FixedLocator, FuncFormatter

COLUMNS = ["panel", "series", "mark", "x", "y", "low", "high"]
NAMING = (FixedFormatter, FuncFormatter, StrCategoryFormatter)  # of the ticks of an axis of names


def drawn_numbers(figure: Figure) -> pd.DataFrame:
    """A row for each number of a figure.

    Columns: panel (its title), series (as in the legend), mark (point, bar, interval, band, cell), x, y, and low and high of
    an interval. A position on an axis of names has the name. Lines that mark a value, which span a whole panel, are left out.
    """
    rows = [row for axes in figure.axes if axes.get_label() != "<colorbar>" for row in _rows(axes)]
    table = pd.DataFrame(rows, columns=COLUMNS)
    return table.dropna(axis="columns", how="all").drop_duplicates()


def _rows(axes: Axes) -> Iterator[dict]:
    names_x, names_y = _names(axes.xaxis), _names(axes.yaxis)
    for row in _marks(axes):
        yield {
            **row,
            "panel": axes.get_title().replace("\n", " ") or None,
            "x": _named(row.get("x"), names_x),
            "y": _named(row.get("y"), names_y),
        }


def _marks(axes: Axes) -> Iterator[dict]:
    for line in axes.lines:
        if line.get_transform() == axes.transData:
            yield from _line(line)
    for container in axes.containers:
        if isinstance(container, BarContainer):
            yield from _bars(container)
    for artist in (*axes.collections, *axes.images, *axes.patches):
        yield from _area(artist)


def _line(line: Line2D) -> Iterator[dict]:
    for x, y in zip(*(np.asarray(values, dtype=float) for values in line.get_data(orig=False)), strict=True):
        yield {"series": _label(line), "mark": "point", "x": x, "y": y}


def _bars(container: BarContainer) -> Iterator[dict]:
    for bar in container.patches:
        left, bottom, width, height = bar.get_x(), bar.get_y(), bar.get_width(), bar.get_height()
        x, y = (
            (left + width, bottom + height / 2)
            if container.orientation == "horizontal"
            else (left + width / 2, bottom + height)
        )
        yield {"series": _label(container), "mark": "bar", "x": x, "y": y}


def _area(artist: object) -> Iterator[dict]:
    label = _label(artist)
    if isinstance(artist, LineCollection):  # of intervals
        for (left, low), (right, high) in (segment for segment in artist.get_segments() if len(segment) == 2):
            if left == right:
                yield {"series": label, "mark": "interval", "x": left, "low": low, "high": high}
            else:
                yield {"series": label, "mark": "interval", "y": low, "low": left, "high": right}
    elif isinstance(artist, PolyCollection):
        for path in artist.get_paths():
            band = pd.DataFrame(path.vertices, columns=["x", "y"]).groupby("x")["y"].agg(["min", "max"])
            for x, (low, high) in band.iterrows():
                yield {"series": label, "mark": "band", "x": x, "low": low, "high": high}
    elif isinstance(artist, StepPatch):
        for x, value in enumerate(artist.get_data().values):
            yield {"series": label, "mark": "bar", "x": x, "y": value}
    elif isinstance(artist, QuadMesh | AxesImage) and artist.get_array().ndim == 2:
        half = 0.5 if isinstance(artist, QuadMesh) else 0  # the middle of a cell
        for (y, x), value in np.ndenumerate(artist.get_array()):
            yield {"series": label, "mark": "cell", "x": x + half, "y": y + half, "low": value, "high": value}


def _label(artist: object) -> str | None:
    label = artist.get_label()
    return None if label is None or str(label).startswith("_") else str(label)


def _names(axis: Axis) -> dict[float, str]:
    """The names on an axis of names, by their positions; {} on an axis of numbers."""
    locator, formatter = axis.get_major_locator(), axis.get_major_formatter()
    if isinstance(locator, FixedLocator | StrCategoryLocator) and isinstance(formatter, NAMING):
        return {place: str(formatter(place, index)) for index, place in enumerate(axis.get_majorticklocs())}
    return {}


def _named(position: float | None, names: dict[float, str]) -> float | str | None:
    """The name at a position, from which a mark of several series may be shifted by less than half of the distance."""
    if position is None or not names:
        return position
    nearest = min(names, key=lambda place: abs(place - position))
    distance = min((abs(a - b) for a in names for b in names if a != b), default=1)
    return names[nearest].replace("\n", " ") if abs(nearest - position) < distance / 2 else position
