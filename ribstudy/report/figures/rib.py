"""The figures and the table of the chapter on RIB: its gain over the CAM, its steps, and where it finds more of the object."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import HTML
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ribstudy.evaluation.map_scores import DISTANCE_EDGES
from ribstudy.method.stored_maps import StoredMaps
from ribstudy.report.figures.common import COLORS, LINE, WIDTH, Panel, gallery, slider


def gains(rows: Sequence[dict]) -> Figure:
    """The gain in mIoU of each method over the CAM, a line for each row.

    Args:
        rows: results of `sweeps.comparisons` with "method" and "seed". A row without a seed is a mean over the seeds and has a
            diamond.
    """
    figure, axis = plt.subplots(figsize=(WIDTH, 0.42 * len(rows) + 1.5))
    for row, place in zip(rows, range(len(rows))[::-1], strict=True):
        found = row["compared"].difference
        axis.plot([found.low, found.high], [place, place], color=COLORS[row["method"]], linewidth=3)
        axis.plot(found.value, place, "o" if "seed" in row else "D", color=COLORS[row["method"]], markersize=8)
    axis.axvline(0, color=LINE, linewidth=0.8)
    names = [f"{row['method']}, seed {row['seed']}" if "seed" in row else f"{row['method']}, mean" for row in rows]
    axis.set_yticks(range(len(rows))[::-1], names)
    axis.set(title="Gain of RIB over the CAM", xlabel="difference in mIoU (95 % interval)", ylim=(-0.6, len(rows) - 0.4))
    axis.xaxis.set_major_locator(MaxNLocator(5))
    return figure


def growth_slider(images: Mapping[str, np.ndarray], stored: Mapping[str, StoredMaps], class_names: Sequence[str]) -> HTML:
    """RIB's summed map of the first class of each image after each step; every image has a class."""
    shown = {name: stored[name] for name in images}
    steps = range(1, max(maps.num_steps for maps in shown.values()) + 1)
    titles = {name: class_names[maps.classes[0]] for name, maps in shown.items()}
    frames = [
        gallery(
            [[Panel(titles[name], image, map=shown[name].normalized(steps=step)[0]) for name, image in images.items()]],
            title="The plain CAM" if step == 1 else f"Sum of the first {step} maps",
        )
        for step in steps
    ]
    return slider(frames, [f"{step} of {len(frames)}" for step in steps], alt="RIB maps over the iterations")


def comparison_table(rows: Sequence[dict]) -> pd.DataFrame:
    """mIoU of CAM and RIB and their difference with its interval, a row for each seed and method; see `gains`."""
    return pd.DataFrame(map(_comparison_row, rows)).set_index(["seed", "method"])


def _comparison_row(row: dict) -> dict:
    shown = {
        "seed": row.get("seed", "mean"),
        "method": row["method"],
        "CAM": f"{row['compared'].first.value:.3f}",
        "method's mIoU": f"{row['compared'].second.value:.3f}",
        "difference (95 %)": row["compared"].difference.text(),
        "best threshold: difference (95 %)": row["best"].difference.text(),
    }
    if "labelled" in row:
        shown["images with a class: difference (95 %)"] = row["labelled"].difference.text()
    return shown


def steps_curves(table: pd.DataFrame, *, cam_miou: float, title: str) -> Figure:
    """mIoU, precision and recall of the summed maps over the number of steps, and the CAM's mIoU at its own threshold."""
    figure, axis = plt.subplots()
    for name, label in (("miou", "mIoU"), ("precision", "precision"), ("recall", "recall")):
        axis.plot(table["steps"], table[name], marker="o", label=label)
    axis.axhline(cam_miou, color=LINE, linestyle=":", label="mIoU of the CAM at its own threshold")
    axis.set(title=title, xlabel="summed maps (1: the plain CAM)", ylabel="mean over classes", xticks=table["steps"])
    figure.legend(loc="outside lower center", ncols=2)
    return figure


def learning_rate_curves(tables: Mapping[float, pd.DataFrame]) -> Figure:
    """mIoU on images of `choices` over the number of steps, for each learning rate."""
    figure, axis = plt.subplots()
    for rate, table in tables.items():
        axis.plot(table["steps"], table["miou"], marker="o", label=f"{rate:g}")
    axis.set(title="Learning rates compared on val", xlabel="summed maps (1: the plain CAM)")
    axis.set_ylabel("mIoU at the best threshold")
    axis.set_xticks(next(iter(tables.values()))["steps"])
    axis.legend(title="learning rate")
    return figure


def coverage(curves: Mapping[str, np.ndarray]) -> Figure:
    """Share of the objects' pixels that are found, over their distance from the CAM's peak (`coverage.Coverage.objects`)."""
    figure, axis = plt.subplots()
    centres = DISTANCE_EDGES + (DISTANCE_EDGES[1] - DISTANCE_EDGES[0]) / 2  # the last bin is open
    for name, values in curves.items():
        axis.plot(centres, values, marker="o", label=name, color=COLORS.get(name))
    axis.set(title="Found share of the objects by distance from the CAM's peak", ylabel="share of pixels found", ylim=(0, 1))
    axis.set_xlabel("distance from the peak (in object sizes, the square root of its area)")
    axis.legend()
    return figure


def image_differences(first: np.ndarray, second: np.ndarray) -> Figure:
    """The sorted differences of the images' mIoU under two methods [N]; images whose difference is nan are left out."""
    difference = second - first
    difference = np.sort(difference[~np.isnan(difference)])
    figure, axis = plt.subplots(figsize=(WIDTH, 3.2))
    axis.stairs(difference.clip(max=0), fill=True, color=COLORS["CAM"])
    axis.stairs(difference.clip(min=0), fill=True, color=COLORS["RIB"])
    axis.axhline(0, color=LINE, linewidth=0.8)
    axis.set(title="Difference between RIB and CAM for each image", xlabel="images, sorted", xticks=[])
    axis.set_ylabel("difference in mIoU")
    return figure
