"""The figures and the table of the chapter that compares CAM and RIB with other methods."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ribstudy.evaluation.statistics import Estimate
from ribstudy.evaluation.sweeps import Sweep
from ribstudy.method.stored_maps import StoredMaps
from ribstudy.report.figures.common import COLORS, GREEN, ORANGE, PINK, SKY, WIDTH, legend_below
from ribstudy.report.figures.panels import Panel

# Two methods with the same colour have different lines. The curve of Grad-CAM is the same as the CAM's, or close to it.
STYLES = {
    "CAM": (COLORS["CAM"], "-"),
    "CAM, blurred": (COLORS["CAM"], "--"),
    "Grad-CAM": (COLORS["CAM"], ":"),
    "Grad-CAM, stride 8": (SKY, ":"),
    "Grad-CAM++": (PINK, "-"),
    "LayerCAM": (ORANGE, "-"),
    "LayerCAM, two layers": (ORANGE, "--"),
    "AdvCAM": (GREEN, "-"),
    "RIB": (COLORS["RIB"], "-"),
}


def method_panels(image: np.ndarray, truth: np.ndarray, maps: Mapping[str, StoredMaps], *, class_name: str) -> list[Panel]:
    """An image, its true mask, and the map of its first class by each method."""
    shown = [Panel(f"{name}: {class_name}", image, map=stored.normalized()[0]) for name, stored in maps.items()]
    return [Panel("image", image), Panel("true mask", image, mask=truth), *shown]


def method_curves(sweeps: Mapping[str, Sequence[Sweep]], chosen: Mapping[str, Sequence[int]]) -> Figure:
    """mIoU of each method over the background threshold, a mean over the trainings; a dot is at its mean threshold from val.

    Args:
        sweeps: by method, the sweep of the reported images with each training.
        chosen: by method, the threshold index from other images with each training.
    """
    figure, axis = plt.subplots(figsize=(WIDTH, 4.6))
    for name, of_method in sweeps.items():
        color, line = STYLES[name]
        curves = np.stack([sweep.miou() for sweep in of_method])
        axis.plot(of_method[0].thresholds, curves.mean(axis=0), line, color=color, label=name)
        at = list(chosen[name])
        axis.plot(of_method[0].thresholds[at].mean(), curves[range(len(at)), at].mean(), "o", color=color)
    axis.set(xlabel="background threshold", ylabel="mIoU", ylim=(0, None))
    legend_below(figure)
    return figure


def detail_table(
    scores: Mapping[str, Mapping[str, Estimate]], painted: Mapping[str, Estimate], seconds: Mapping[str, float]
) -> pd.DataFrame:
    """A row for each method.

    Args:
        scores: of each method by one rule, `protocol.values`; the mIoU is left out.
        painted: share of the background that is predicted as an object.
        seconds: for an image; nan if unknown.
    """
    names = {"precision": "precision", "recall": "recall", "over": "over-activation", "under": "under-activation"}
    rows = {
        method: {
            **{column: of_method[name].value for name, column in names.items()},
            "background painted": painted[method].value,
            "seconds": seconds[method],
        }
        for method, of_method in scores.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("method")
