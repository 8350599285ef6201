"""How a notebook shows the study's objects: what each is, how many, where, and a small picture.

`register` hands the functions to IPython, so that the classes themselves need no HTML and no figures. `start` calls it, and
`%load_ext ribstudy` does so in other notebooks.
"""

from collections.abc import Callable, Mapping
from html import escape
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from ribstudy.datasets import Dataset
from ribstudy.evaluation.sweeps import Sweep
from ribstudy.method.stored_maps import StoredMaps
from ribstudy.report.figures.inline import chart_address
from ribstudy.report.figures.panels import Panel, gallery, photograph
from ribstudy.report.notebook import shortened
from ribstudy.store import DamagedError, Result, commit_name


def register(formatters: Mapping[str, Any]) -> None:
    """Lets IPython show the objects. `formatters`: the formatters of a shell, by type of content."""
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
        "place": shortened(result.place),
        "computed": f"{record.get('finished', '')[:10]} by commit {commit_name(record.get('git') or {}) or 'unknown'}",
    }
    return properties(
        rows if record else {**rows, "computed": "not yet"}, _picture_of_item(result, names[0]) if names else None
    )


def _picture_of_item(result: Result, name: str) -> str | None:
    try:
        item = result.read_item(name)
    except DamagedError:
        return None
    if isinstance(item, StoredMaps):
        return _picture_of_maps(item)
    is_mask = isinstance(item, np.ndarray) and item.ndim == 2
    return _drawn(Panel("the first", np.full((*item.shape, 3), 255, np.uint8), mask=item)) if is_mask else None


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


def _picture_of_maps(maps: StoredMaps) -> str | None:
    if not len(maps.classes) or not maps.steps:
        return None
    return _drawn(Panel("the first", np.full((*maps.size, 3), 255, np.uint8), map=maps.normalized()[0]))


def html_of_dataset(dataset: Dataset) -> str:
    """The split, the numbers of images, masks and classes, and the first image if it is at hand."""
    rows = {
        "split": dataset.split,
        "images": str(len(dataset)),
        "with a mask": str(len(dataset.masked_names)),
        "classes": f"{len(dataset.class_names)}: {', '.join(dataset.class_names)}",
    }
    name = dataset.names[0] if dataset.names and dataset.has_pictures else None
    return properties(rows, None if name is None else _drawn(Panel("the first", photograph(dataset, name, (1, 1)))))


def html_of_sweep(sweep: Sweep) -> str:
    """The number of images, the best threshold, and the mIoU over the thresholds."""
    best, miou = sweep.best(), sweep.miou()
    rows = {
        "images": str(len(sweep.names)),
        "thresholds": f"{len(sweep.thresholds)}, from {sweep.thresholds[0]:g} to {sweep.thresholds[-1]:g}",
        "best on these images": f"mIoU {miou[best]:.3f} at {sweep.thresholds[best]:g}",
    }
    figure, axis = plt.subplots(figsize=(3.2, 1.8))
    axis.plot(sweep.thresholds, miou)
    axis.set(xlabel="threshold", ylabel="mIoU")
    source = chart_address(figure, "png")
    plt.close(figure)
    return properties(rows, f'<img src="{source}" alt="mIoU over the thresholds" style="width:20em">')


def _drawn(panel: Panel) -> str:
    return f'<div style="width:9em">{gallery([[panel]]).data}</div>'


def properties(rows: Mapping[str, str], shown: str | None = None) -> str:
    """A table of properties, with a picture next to it. The style is written into it, because JupyterLab has no other."""
    cells = "".join(
        f'<tr><th style="text-align:left">{escape(name)}</th><td style="text-align:left">{escape(value)}</td></tr>'
        for name, value in rows.items()
    )
    table = f"<table>{cells}</table>"
    return table if shown is None else f'<div style="display:flex;gap:1em;align-items:center">{table}{shown}</div>'


_SHOWN: dict[type, Callable[[Any], str]] = {
    Result: html_of_result,
    StoredMaps: html_of_maps,
    Dataset: html_of_dataset,
    Sweep: html_of_sweep,
}
