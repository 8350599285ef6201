"""How a notebook shows the study's objects: what each is, how many, where, and a small picture.

`register` hands the functions to IPython, so that the classes themselves need no HTML and no figures. `start` calls it, and
`%load_ext ribstudy` does so in a notebook that is no chapter.
"""

from collections.abc import Callable, Mapping
from html import escape
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from ribstudy.datasets import Dataset
from ribstudy.evaluation.sweeps import Sweep
from ribstudy.method.stored_maps import StoredMaps
from ribstudy.report.figures.common import Panel, draw_panel, photograph, picture
from ribstudy.report.notebook import shortened
from ribstudy.store import DamagedError, Result, commit_name

INCHES = 1.6  # side of a picture


def register(formatters: Mapping[str, Any]) -> None:
    """Lets IPython show the objects. `formatters`: those of a shell, by type of content."""
    for kind, show in _SHOWN.items():
        formatters["text/html"].for_type(kind, show)


def html_of_result(result: Result) -> str:
    """Its name, number of items and folder, who computed it and when, and the picture of an item that is a map or a mask."""
    record = result.record() if result.finished else {}
    names = sorted({*result.item_names(), *(result.bundle.items if result.bundle is not None else ())})
    rows = {
        "result": result.folder.name,
        "state": "here" if result.computed_here else "published" if result.finished else "not finished",
        "items": str(len(names)),
        "place": shortened(result.bundle.path if result.bundle is not None and not result.computed_here else result.folder),
        "computed": f"{record.get('finished', '')[:10]} by commit {commit_name(record.get('git') or {}) or 'unknown'}",
    }
    return properties(
        rows if record else {**rows, "computed": "not yet"}, _picture_of_item(result, names[0]) if names else None
    )


def _picture_of_item(result: Result, name: str) -> Figure | None:
    try:
        item = result.read_item(name)
    except DamagedError:
        return None
    if isinstance(item, StoredMaps):
        return _picture_of_maps(item)
    is_mask = isinstance(item, np.ndarray) and item.ndim == 2
    return _drawn(Panel("", np.full((*item.shape, 3), 255, np.uint8), mask=item)) if is_mask else None


def html_of_maps(maps: StoredMaps) -> str:
    """The size of the image, its classes, the numbers of scales and of steps, and the map of its first class."""
    height, width = maps.size
    rows = {
        "maps of an image": f"{width} x {height} pixels",
        "classes": ", ".join(map(str, maps.classes)) or "none",
        "scales": str(len(maps.steps)),
        "steps": str(maps.num_steps),
        "ended by": maps.stopped_by or "-",
    }
    return properties(rows, _picture_of_maps(maps))


def _picture_of_maps(maps: StoredMaps) -> Figure | None:
    if not len(maps.classes) or not maps.steps:
        return None
    return _drawn(Panel("", np.full((*maps.size, 3), 255, np.uint8), map=maps.normalized()[0]))


def html_of_dataset(dataset: Dataset) -> str:
    """The split, the numbers of images, masks and classes, and the first image if it is at hand."""
    rows = {
        "split": dataset.split,
        "images": str(len(dataset)),
        "with a mask": str(len(dataset.masked_names)),
        "classes": f"{len(dataset.class_names)}: {', '.join(dataset.class_names)}",
    }
    name = dataset.names[0] if dataset.names and dataset.has_pictures else None
    return properties(rows, None if name is None else _drawn(Panel("", photograph(dataset, name, (1, 1)))))


def html_of_sweep(sweep: Sweep) -> str:
    """The number of images, the best threshold, and the mIoU over the thresholds."""
    best, miou = sweep.best(), sweep.miou()
    rows = {
        "images": str(len(sweep.names)),
        "thresholds": f"{len(sweep.thresholds)}, from {sweep.thresholds[0]:g} to {sweep.thresholds[-1]:g}",
        "best on these images": f"mIoU {miou[best]:.3f} at {sweep.thresholds[best]:g}",
    }
    figure, axis = plt.subplots(figsize=(2 * INCHES, INCHES))
    axis.plot(sweep.thresholds, miou)
    axis.set(xlabel="threshold", ylabel="mIoU")
    return properties(rows, figure)


def _drawn(panel: Panel) -> Figure:
    figure, axis = plt.subplots(figsize=(INCHES, INCHES))
    draw_panel(axis, panel)
    return figure


def properties(rows: Mapping[str, str], figure: Figure | None = None) -> str:
    """A table of properties, with a picture beside it. The style is written into it, because JupyterLab has no other."""
    cells = "".join(
        f'<tr><th style="text-align:left">{escape(name)}</th><td style="text-align:left">{escape(value)}</td></tr>'
        for name, value in rows.items()
    )
    table = f"<table>{cells}</table>"
    if figure is None:
        return table
    width = figure.get_figwidth() / INCHES * 8
    shown = picture(figure, alt=next(iter(rows.values()))).data
    return f'<div style="display:flex;gap:1em;align-items:center">{table}<div style="width:{width}em">{shown}</div></div>'


_SHOWN: dict[type, Callable[[Any], str]] = {
    Result: html_of_result,
    StoredMaps: html_of_maps,
    Dataset: html_of_dataset,
    Sweep: html_of_sweep,
}
