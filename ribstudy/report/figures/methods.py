"""The figures and tables of the chapter that compares CAM and RIB with other methods."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ribstudy.evaluation.statistics import Comparison
from ribstudy.evaluation.sweeps import Sweep
from ribstudy.method.stored_maps import StoredMaps
from ribstudy.report.figures.common import COLORS, GREEN, LINE, ORANGE, PINK, SKY, WIDTH, Panel, gallery

COLUMNS = 5  # panels side by side
# Two methods with the same colour have different lines. The curve of Grad-CAM is the same as the CAM's, or close to it.
STYLES = {
    "CAM": (COLORS["CAM"], "-"),
    "Grad-CAM": (COLORS["CAM"], ":"),
    "Grad-CAM, stride 8": (SKY, ":"),
    "Grad-CAM++": (PINK, "-"),
    "LayerCAM": (ORANGE, "-"),
    "LayerCAM, two layers": (ORANGE, "--"),
    "AdvCAM": (GREEN, "-"),
    "RIB": (COLORS["RIB"], "-"),
}


def method_gallery(image: np.ndarray, truth: np.ndarray, maps: Mapping[str, StoredMaps], *, class_name: str) -> Figure:
    """An image, its true mask, and the map of its first class by each method, in rows of five."""
    panels = [Panel("image", image), Panel("truth", image, mask=truth)]
    panels += [Panel(name.replace(", ", "\n"), image, map=stored.normalized()[0]) for name, stored in maps.items()]
    panels += [Panel("", np.full_like(image, 255))] * (-len(panels) % COLUMNS)
    rows = [panels[start : start + COLUMNS] for start in range(0, len(panels), COLUMNS)]
    return gallery(rows, title=f"One classifier, one image: {class_name}")


def method_curves(sweeps: Mapping[str, Sweep], chosen: Mapping[str, int]) -> Figure:
    """mIoU of each method over the background threshold; a dot marks the threshold chosen on other images."""
    figure, axis = plt.subplots(figsize=(WIDTH, 5.2))
    for name, sweep in sweeps.items():
        color, line = STYLES.get(name, (LINE, "-"))
        axis.plot(sweep.thresholds, sweep.miou(), line, color=color, label=name)
        axis.plot(sweep.thresholds[chosen[name]], sweep.miou()[chosen[name]], "o", color=color)
    axis.set(title="Seeds at every threshold (dot: chosen on val)", ylabel="mIoU", ylim=(0, None))
    axis.set_xlabel("background threshold (share of the map's maximum)")
    figure.legend(loc="outside lower center", ncols=2)
    return figure


def method_table(comparisons: Mapping[str, Comparison]) -> pd.DataFrame:
    """The mIoU of each method and its difference from the CAM, with intervals; each comparison is of CAM and method."""
    rows = {
        name: {"mIoU (95 %)": found.second.text(signed=False), "difference from the CAM (95 %)": found.difference.text()}
        for name, found in comparisons.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("method")


def detail_table(
    summaries: Mapping[str, Mapping[str, float]], painted: Mapping[str, float], seconds: Mapping[str, float]
) -> pd.DataFrame:
    """A row for each method.

    Args:
        summaries: `sweeps.summary` of each method; the mIoU is left out.
        painted: share of the background that is predicted as an object.
        seconds: for an image; nan if unknown.
    """
    rows = {}
    for name, scores in summaries.items():
        activation = {f"{side}-activation": scores[side] for side in ("over", "under")}
        rows[name] = {"precision": scores["precision"], "recall": scores["recall"], **activation}
        rows[name] |= {"background painted": painted[name], "seconds": seconds[name]}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("method")
