"""The figures of the chapter on the simulated experiment. `runs` has the arrays of each seed (`toy.experiment.read_seed`)."""

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import HTML
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ribstudy.evaluation.statistics import student_interval
from ribstudy.report import paper
from ribstudy.report import toy as summary
from ribstudy.report.figures.common import BLUE, MAP_COLORS, RED, WIDTH, legend_below
from ribstudy.report.figures.panels import Panel, gallery
from ribstudy.toy.data import REGIONS
from ribstudy.toy.experiment import LABELS, THRESHOLDS, reading_names
from ribstudy.toy.gradients import normalize
from ribstudy.toy.information import PROBES

COLORS = {"discriminative": BLUE, "non_discriminative": RED, "irrelevant": "#666666"}
NAMES = {"discriminative": "digit", "non_discriminative": "marker", "irrelevant": "rest"}
PROBE_STYLES = dict(zip(PROBES, ((BLUE, "linear probe"), (RED, "small network")), strict=True))
NORMALIZATION_STYLES = {
    "per_map": (RED, "o", "each map by its own maximum"),
    "common": (BLUE, "s", "one maximum for all images"),
}


def examples(run: dict[str, np.ndarray]) -> HTML:
    """Some held-out images with their markers, of each digit as many."""
    images = run["example_images"]
    digits = np.repeat(("2 with a diamond", "8 with a square"), len(images) // 2)
    return gallery([[Panel(digit, _colored(image, "gray")) for digit, image in zip(digits, images, strict=True)]])


def gradient_maps(run: dict[str, np.ndarray]) -> HTML:
    """The maps G_k of the first example of each class, each normalised by its own maximum."""
    shown = (0, len(run["example_images"]) // 2)
    last = run["example_maps"].shape[1] - 1
    titles = [*(f"G{k}" for k in range(1, last)), f"G{last} before the sigmoid", f"G{last} after it"]
    rows = []
    for example in shown:
        maps = normalize(run["example_maps"][example], normalization="per_map")
        panels = [Panel(title, _colored(values, MAP_COLORS)) for title, values in zip(titles, maps, strict=True)]
        rows.append([Panel("image", _colored(run["example_images"][example], "gray")), *panels])
    return gallery(rows)


def _colored(values: np.ndarray, colors: str) -> np.ndarray:
    """Values [H, W] in 0..1 as a picture, uint8 [H, W, 3]."""
    return (plt.get_cmap(colors)(values)[..., :3] * 255).round().astype(np.uint8)


def hgr_curves(runs: list[dict]) -> Figure:
    """HGR of each region over the layers, for both normalisations; the paper's curve is next to the first."""
    figure, axes = plt.subplots(len(REGIONS), 2, figsize=(WIDTH, 6.6), sharex=True, sharey=True)
    titles = {"per_map": "each map by\nits own maximum", "common": "one maximum\nfor all images"}
    for column, (normalization, title) in enumerate(titles.items()):
        curves = summary.hgr_curves(runs, normalization=normalization)  # [S, layers, regions]
        mean, low, high = student_interval(curves)
        layers = np.arange(1, len(mean) + 1)
        for index, region in enumerate(REGIONS):
            axis = axes[index, column]
            axis.plot(layers, curves[:, :, index].T, color=COLORS[region], alpha=0.35, linewidth=0.8)
            _band(axis, layers, mean[:, index], low[:, index], high[:, index], color=COLORS[region])
            axis.set_title(f"{title}\n{NAMES[region]}" if index == 0 else NAMES[region], fontsize=10)
    if len(layers) == len(summary.paper_curve().columns):
        for axis, region in zip(axes[:, 0], REGIONS, strict=True):
            _paper_curve(axis, region)
    axes[0, 0].set(ylim=(-0.04, 1.06), xticks=layers, xticklabels=[f"$G_{k}$" for k in layers])
    figure.supylabel("High Gradient Ratio", fontsize=10)
    return figure


def _band(axis: Axes, x: np.ndarray, mean: np.ndarray, low: np.ndarray, high: np.ndarray, **style) -> None:
    """A line with its interval, clipped to 0..1, the range of the quantity."""
    axis.plot(x, mean, marker="o", markersize=4, **style)
    axis.fill_between(x, np.clip(low, 0, 1), np.clip(high, 0, 1), color=style["color"], alpha=0.18, linewidth=0)


def _paper_curve(axis: Axes, region: str) -> None:
    rows = paper.values("toy_hgr").query("row == @region")
    layers = rows["column"].str.removeprefix("G").astype(int)
    style = {"color": "black", "linestyle": ":", "marker": "x", "markersize": 5, "capsize": 2, "linewidth": 1}
    axis.errorbar(layers, rows["value"], rows["error"], **style)
    axis.annotate("paper", (layers.iloc[-2], rows["value"].iloc[-2]), (0, 6), textcoords="offset points", fontsize=10)


def slopes(runs: list[dict]) -> Figure:
    """Histogram of the factor by which the sigmoid scales the gradient of each image, on a logarithmic scale."""
    values = np.log10(np.maximum(summary.stack(runs, "slopes"), 1e-16))
    figure, axis = plt.subplots(figsize=(WIDTH, 2.8))
    axis.hist(values.ravel(), bins=40, color=BLUE)
    axis.axvline(np.log10(0.25), color="black", linestyle="--", linewidth=1)
    axis.annotate("at most 1/4 ", (np.log10(0.25), 0.95 * axis.get_ylim()[1]), ha="right", fontsize=10)
    axis.set(xlabel="$\\log_{10}$ of the sigmoid's slope at an image", ylabel="images")
    return figure


def thresholds(runs: list[dict]) -> Figure:
    """The fall of HGR in the marker minus the fall in the digit, at several thresholds of HGR."""
    mean, low, high = student_interval(summary.extra_fall_by_threshold(runs))
    figure, axis = plt.subplots(figsize=(WIDTH, 2.8))
    axis.errorbar(THRESHOLDS, mean, whiskers(mean, low, high), fmt="o", color=RED, capsize=3)
    axis.axhline(0, color="black", linewidth=0.8)
    axis.set(xlabel="threshold of the High Gradient Ratio", ylabel="marker minus digit")
    return figure


def comparison(runs: list[dict]) -> Figure:
    """The fall of HGR in the marker minus the fall in the digit, for each reading of the last map and both normalisations."""
    names = list(summary.READINGS)
    figure, axis = plt.subplots(figsize=(WIDTH, 4.6))
    for shift, (normalization, (color, marker, label)) in zip((-0.15, 0.15), NORMALIZATION_STYLES.items(), strict=True):
        values = [summary.extra_fall(runs, reading=name, normalization=normalization) for name in names]
        mean, low, high = student_interval(np.stack(values, axis=1))
        y = np.arange(len(names)) + shift
        axis.errorbar(mean, y, xerr=whiskers(mean, low, high), fmt=marker, color=color, capsize=2, markersize=5, label=label)
    axis.axvline(0, color="black", linewidth=0.8)
    axis.set_yticks(range(len(names)), names)
    axis.invert_yaxis()
    axis.set_xlabel("fall in the last step: marker minus digit")
    legend_below(figure)
    return figure


def whiskers(mean: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray | None:
    return None if np.isnan(low).any() else np.stack([mean - low, high - mean])


def information(runs: list[dict], *, depth: int) -> Figure:
    """Bits about the marker and the digit that the probes find in each layer, in the logit and after the sigmoid."""
    panels = {"marker": "is there a marker?", "digit": "is it a 2 or an 8?"}
    ticks = [f"$T_{k}$" for k in range(1, depth + 1)] + ["logit", "sigmoid"]
    mean, low, high = student_interval(summary.stack(runs, "bits"))
    shown = slice(0, reading_names(depth).index("sigmoid") + 1)
    figure, axes = plt.subplots(2, 1, figsize=(WIDTH, 5.0), sharex=True)
    for axis, label in zip(axes, LABELS, strict=True):
        for probe, (color, name) in enumerate(PROBE_STYLES.values()):
            part = [array[shown, LABELS.index(label), probe] for array in (mean, low, high)]
            _band(axis, np.arange(len(ticks)), *part, color=color, label=name)
        axis.axhline(1, color="black", linestyle="--", linewidth=1)
        axis.set(title=panels[label], ylabel="bits (at most 1)", ylim=(-0.03, 1.05))
    axes[0].legend()
    axes[1].set_xticks(range(len(ticks)), ticks)
    return figure
