"""Tables and pictures of the chapter that compares CAM and RIB with other methods."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ribstudy.evaluation.metrics import Comparison, Estimate, Sweep
from ribstudy.evaluation.scores import Unit, scored_maps
from ribstudy.report.figures.common import COLORS, WIDTH, Panel, gallery

COLUMNS = 5  # panels side by side
# Where two methods share a colour, they are told apart by the line. Grad-CAM lies on the CAM or close to it.
STYLES = {
    "CAM": (COLORS["CAM"], "-"),
    "Grad-CAM": (COLORS["CAM"], ":"),
    "Grad-CAM, stride 8": ("#56B4E9", ":"),
    "Grad-CAM++": ("#CC79A7", "-"),
    "LayerCAM": ("#E69F00", "-"),
    "LayerCAM, two layers": ("#E69F00", "--"),
    "AdvCAM": ("#009E73", "-"),
    "RIB": (COLORS["RIB"], "-"),
}


def method_gallery(image: np.ndarray, truth: np.ndarray, units: Mapping[str, Unit], *, class_name: str) -> Figure:
    """An image, its true mask, and the map of its first class by each method, in rows of five."""
    panels = [Panel("image", image), Panel("truth", image, mask=truth)]
    panels += [Panel(name.replace(", ", "\n"), image, map=scored_maps(unit)[0]) for name, unit in units.items()]
    panels += [Panel("", np.full_like(image, 255))] * (-len(panels) % COLUMNS)
    rows = [panels[start : start + COLUMNS] for start in range(0, len(panels), COLUMNS)]
    return gallery(rows, title=f"One classifier, one image: {class_name}")


def method_curves(sweeps: Mapping[str, Sweep], chosen: Mapping[str, int]) -> Figure:
    """mIoU of each method over the background threshold, with a dot where the threshold was chosen on other images."""
    figure, axis = plt.subplots(figsize=(WIDTH, 5.2))
    for name, sweep in sweeps.items():
        color, line = STYLES.get(name, ("#333333", "-"))
        axis.plot(sweep.thresholds, sweep.miou(), line, color=color, label=name)
        axis.plot(sweep.thresholds[chosen[name]], sweep.miou()[chosen[name]], "o", color=color)
    axis.set(title="Seeds at every threshold (dot: chosen on val)", ylabel="mIoU", ylim=(0, None))
    axis.set_xlabel("background threshold (share of the map's maximum)")
    figure.legend(loc="outside lower center", ncols=2)
    return figure


def method_table(comparisons: Mapping[str, Comparison]) -> pd.DataFrame:
    """The mIoU of each method and its difference to the first of each comparison, both with their 95 % intervals."""
    rows = {
        name: {"mIoU (95 %)": _shown(found.second, ".3f"), "difference to CAM (95 %)": _shown(found.difference, "+.3f")}
        for name, found in comparisons.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("method")


def _shown(estimate: Estimate, form: str) -> str:
    return f"{estimate.value:{form}} ({estimate.low:{form}} to {estimate.high:{form}})"


def detail_table(
    summaries: Mapping[str, Mapping[str, float]], painted: Mapping[str, float], seconds: Mapping[str, float]
) -> pd.DataFrame:
    """A row for each method: `evaluation.summary` without the mIoU, painted background, seconds for an image (nan: unknown)."""
    rows = {}
    for name, scores in summaries.items():
        activation = {f"{side}-activation": scores[side] for side in ("over", "under")}
        rows[name] = {"precision": scores["precision"], "recall": scores["recall"], **activation}
        rows[name] |= {"background painted": painted[name], "seconds": seconds[name]}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("method")
