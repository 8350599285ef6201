"""The pictures of the chapters on maps, and the one style of all chapters.

Colours: Okabe and Ito's, told apart by colour-blind readers. Sizes: few inches for large letters, few panels a row, so that
a figure can be read on a telephone.
"""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import HTML
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from skimage.transform import resize

from ribstudy.datasets.pictures import PALETTE, VOID
from ribstudy.evaluation.metrics import Comparison, Sweep, class_mean
from ribstudy.evaluation.scores import DISTANCE_EDGES, Units, num_steps
from ribstudy.method.cam import stored_seed_maps

COLORS = {"CAM": "#0072B2", "RIB": "#D55E00", "RIB as written": "#009E73", "truth": "#CC79A7", "chosen on val": "#333333"}
MAP_COLORS = "inferno"
WIDTH = 6.5  # inches: text of 10 points stays readable when a telephone shrinks the page


@dataclass(frozen=True)
class Panel:
    """One picture of a gallery: an image, with a map in 0..1 or a class mask over it where one is given."""

    title: str
    image: np.ndarray
    map: np.ndarray | None = None
    mask: np.ndarray | None = None


def use_style() -> None:
    """The style of every figure in the book."""
    plt.rcParams.update(
        {
            "figure.figsize": (WIDTH, 4.0),
            "figure.dpi": 120,
            "savefig.dpi": 120,
            "font.size": 12,
            "axes.titlesize": 13,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "grid.alpha": 0.25,
            "legend.frameon": False,
            "figure.constrained_layout.use": True,
            "axes.prop_cycle": plt.cycler(color=["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"]),
        }
    )


def draw_panel(axis: Axes, panel: Panel) -> None:
    axis.imshow(panel.image)
    if panel.map is not None:
        axis.imshow(panel.map, cmap=MAP_COLORS, vmin=0, vmax=1, alpha=0.65)
    if panel.mask is not None:
        shown = PALETTE[np.where(panel.mask == VOID, 0, panel.mask)]
        alpha = np.where((panel.mask > 0) & (panel.mask != VOID), 0.75, 0.0)
        axis.imshow(np.dstack([shown / 255, alpha]))
    axis.set_title(panel.title, fontsize=11)
    axis.set_axis_off()


def gallery(rows: Sequence[Sequence[Panel]], *, title: str) -> Figure:
    """Rows of panels, all of the same number."""
    num_columns = len(rows[0])
    figure, axes = plt.subplots(len(rows), num_columns, figsize=(WIDTH, WIDTH / num_columns * len(rows) * 1.12), squeeze=False)
    for axis_row, row in zip(axes, rows, strict=True):
        for axis, panel in zip(axis_row, row, strict=True):
            draw_panel(axis, panel)
    figure.suptitle(title)
    return figure


def slider(frames: Sequence[Figure], labels: Sequence[str], *, alt: str) -> HTML:
    """Figures that a slider goes through, as plain HTML that needs no server and loads nothing. Closes the figures."""
    pictures = [f"data:image/jpeg;base64,{_jpeg(frame)}" for frame in frames]
    images = "".join(
        f'<img src="{picture}" alt="{alt}, {label}" style="width:100%;{"" if index == 0 else "display:none"}">'
        for index, (picture, label) in enumerate(zip(pictures, labels, strict=True))
    )
    show = (
        "const box=this.parentNode.parentNode;"
        "box.querySelectorAll('img').forEach((image,i)=>image.style.display=i==this.value?'':'none');"
        f"box.querySelector('output').textContent={list(labels)}[this.value]"
    )
    return HTML(
        f'<div class="iteration-slider">{images}'
        f'<label style="display:flex;gap:1em;align-items:center">'
        f'<input type="range" min="0" max="{len(frames) - 1}" value="0" autocomplete="off" style="flex:1" '
        f'aria-label="{alt}" oninput="{show}"><output>{labels[0]}</output></label></div>'
    )


def before_after(before: Figure, after: Figure, *, labels: tuple[str, str], alt: str) -> HTML:
    """Two figures of one size on top of each other and a slider that uncovers the second from the left. Closes the figures."""
    first, second = (f"data:image/jpeg;base64,{_jpeg(figure)}" for figure in (before, after))
    show = "this.closest('.before-after').querySelector('.after').style.clipPath=`inset(0 ${100-this.value}% 0 0)`"
    return HTML(
        f'<div class="before-after"><div class="pictures"><img src="{first}" alt="{alt}: {labels[0]}">'
        f'<img class="after" src="{second}" alt="{alt}: {labels[1]}" style="clip-path:inset(0 50% 0 0)"></div>'
        f'<label><span>{labels[0]}</span><input type="range" min="0" max="100" value="50" autocomplete="off" '
        f'aria-label="{alt}: from {labels[0]} to {labels[1]}" oninput="{show}"><span>{labels[1]}</span></label></div>'
    )


def picture(figure: Figure, *, alt: str) -> HTML:
    """A figure as HTML, for a page other than the one that makes it. Closes the figure."""
    return HTML(f'<img src="data:image/jpeg;base64,{_jpeg(figure)}" alt="{alt}" style="width:100%">')


def gains(rows: Sequence[dict]) -> Figure:
    """What each method adds to the CAM's mIoU, a line for every seed: `evaluation.comparisons` with "seed" and "method".

    A row without a seed is a mean over the seeds, drawn with a diamond.
    """
    figure, axis = plt.subplots(figsize=(WIDTH, 0.42 * len(rows) + 1.5))
    for row, place in zip(rows, range(len(rows))[::-1], strict=True):
        found = row["compared"].difference
        axis.plot([found.low, found.high], [place, place], color=COLORS[row["method"]], linewidth=3)
        axis.plot(found.value, place, "o" if "seed" in row else "D", color=COLORS[row["method"]], markersize=8)
    axis.axvline(0, color="#333333", linewidth=0.8)
    names = [f"{row['method']}, seed {row['seed']}" if "seed" in row else f"{row['method']}, mean" for row in rows]
    axis.set_yticks(range(len(rows))[::-1], names)
    axis.set(
        title="What RIB adds to the CAM", xlabel="difference in mIoU, with its 95 % interval", ylim=(-0.6, len(rows) - 0.4)
    )
    axis.xaxis.set_major_locator(MaxNLocator(5))
    return figure


def growth_slider(images: Mapping[str, np.ndarray], units: Units, class_names: Sequence[str]) -> HTML:
    """RIB's summed map of the first class of each image, after each step; every image has a class."""
    shown = {name: units[name] for name in images}
    steps = range(1, max(map(num_steps, shown.values())) + 1)
    titles = {name: class_names[unit["keys"][0]] for name, unit in shown.items()}
    frames = [
        gallery(
            [[Panel(titles[name], image, map=stored_seed_maps(shown[name], steps=step)[0]) for name, image in images.items()]],
            title="The plain CAM" if step == 1 else f"Sum of the first {step} maps",
        )
        for step in steps
    ]
    return slider(frames, [f"{step} of {len(frames)}" for step in steps], alt="RIB maps over the iterations")


def _jpeg(figure: Figure) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="jpeg", pil_kwargs={"quality": 85})
    plt.close(figure)
    return base64.b64encode(buffer.getvalue()).decode()


def diverging(signed: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A signed map [h, w] as a picture, uint8 [H, W, 3]: red for positive, blue for negative, white for 0."""
    enlarged = resize(signed.astype(np.float32), size, order=1)
    colors = plt.get_cmap("RdBu_r")(plt.Normalize(-1, 1)(enlarged / max(np.abs(signed).max(), 1e-12)))
    return (colors[..., :3] * 255).astype(np.uint8)


def comparison_table(rows: Sequence[dict]) -> pd.DataFrame:
    """mIoU of CAM and RIB and their difference with its interval, a row for each seed and method (`note_comparisons`).

    A row without a seed holds means over the seeds.
    """
    return pd.DataFrame(map(_comparison_row, rows)).set_index(["seed", "method"])


def _comparison_row(row: dict) -> dict:
    shown = {
        "seed": row.get("seed", "mean"),
        "method": row["method"],
        "CAM": f"{row['compared'].first.value:.3f}",
        "method's mIoU": f"{row['compared'].second.value:.3f}",
        "difference (95 %)": row["compared"].difference.in_words(),
        "best threshold: difference (95 %)": row["best"].difference.in_words(),
    }
    if "labelled" in row:
        shown["images with a class: difference (95 %)"] = row["labelled"].difference.in_words()
    return shown


def difference_table(comparisons: Mapping[str, Comparison], *, index: str, first: str, second: str) -> pd.DataFrame:
    """Two mIoUs and their difference with its interval, a row for each comparison."""
    rows = {
        name: {
            first: f"{comparison.first.value:.3f}",
            second: f"{comparison.second.value:.3f}",
            "difference (95 %)": comparison.difference.in_words(),
        }
        for name, comparison in comparisons.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(index)


def learning_curve(history: pd.DataFrame) -> Figure:
    figure, axis = plt.subplots(figsize=(WIDTH, 3))
    axis.plot(history["step"], history["loss"], marker="o")
    axis.set(title="The classifier's training loss", xlabel="step (a point for each epoch)", ylabel="mean loss", ylim=(0, None))
    axis.set_xticks(history["step"])
    return figure


def class_bars(values: Mapping[str, pd.Series], *, title: str, label: str) -> Figure:
    """A bar for each class (index of the series) and method."""
    table = pd.DataFrame(values)
    figure, axis = plt.subplots(figsize=(WIDTH, 0.34 * len(table) + 1.6))
    colors = [COLORS.get(name, "#0072B2") for name in table]
    table[::-1].plot.barh(ax=axis, color=colors, width=0.8, legend=False)
    if len(table.columns) > 1:
        figure.legend(loc="outside lower center", ncols=len(table.columns))
    axis.set(title=title, xlabel=label, ylabel="")
    axis.grid(axis="y", visible=False)
    return figure


def threshold_curves(sweeps: Mapping[str, Sweep], chosen: Mapping[str, int], *, title: str) -> Figure:
    """mIoU over the background threshold, with a dot where the threshold was chosen on other images."""
    figure, axis = plt.subplots()
    for name, sweep in sweeps.items():
        (line,) = axis.plot(sweep.thresholds, sweep.miou(), label=name, color=COLORS.get(name))
        index = chosen[name]
        axis.plot(sweep.thresholds[index], sweep.miou()[index], "o", color=line.get_color())
    axis.set(title=title, xlabel="background threshold (share of the map's maximum)", ylabel="mIoU", ylim=(0, None))
    axis.legend(title="dot: threshold chosen on val")
    return figure


def trade_off(sweep: Sweep, chosen: int) -> Figure:
    """Mean precision, recall, over- and under-activation over the threshold."""
    figure, axis = plt.subplots()
    scores = {name: class_mean(values) for name, values in sweep.scores().items()}
    for name, style in (("precision", "-"), ("recall", "-"), ("over", "--"), ("under", "--")):
        label = f"{name}-activation" if style == "--" else name
        axis.plot(sweep.thresholds, scores[name], label=label, linestyle=style)
    axis.axvline(sweep.thresholds[chosen], color="#333333", linestyle=":", label="threshold chosen on val")
    axis.set(title="What a higher threshold costs and gains", xlabel="background threshold", ylabel="mean over classes")
    axis.set_ylim(0, 1)
    figure.legend(loc="outside lower center", ncols=2)
    return figure


def steps_curves(table: pd.DataFrame, *, cam_miou: float, title: str) -> Figure:
    """mIoU, precision and recall of the summed maps over the number of steps, and the CAM's mIoU at its own threshold."""
    figure, axis = plt.subplots()
    for name, label in (("miou", "mIoU"), ("precision", "precision"), ("recall", "recall")):
        axis.plot(table["steps"], table[name], marker="o", label=label)
    axis.axhline(cam_miou, color="#333333", linestyle=":", label="mIoU of the CAM at its own threshold")
    axis.set(title=title, xlabel="maps summed (1: the plain CAM)", ylabel="mean over classes", xticks=table["steps"])
    figure.legend(loc="outside lower center", ncols=2)
    return figure


def learning_rate_curves(tables: Mapping[float, pd.DataFrame]) -> Figure:
    """mIoU on the tuning images over the number of steps, for each learning rate."""
    figure, axis = plt.subplots()
    for rate, table in tables.items():
        axis.plot(table["steps"], table["miou"], marker="o", label=f"{rate:g}")
    axis.set(title="Learning rates compared on val", xlabel="maps summed (1: the plain CAM)")
    axis.set_ylabel("mIoU at its best threshold")
    axis.set_xticks(next(iter(tables.values()))["steps"])
    axis.legend(title="learning rate")
    return figure


def coverage(curves: Mapping[str, np.ndarray]) -> Figure:
    """Share of the objects' pixels that are found, over their distance from the CAM's peak."""
    figure, axis = plt.subplots()
    centres = DISTANCE_EDGES + (DISTANCE_EDGES[1] - DISTANCE_EDGES[0]) / 2  # the last bin is open
    for name, values in curves.items():
        axis.plot(centres, values, marker="o", label=name, color=COLORS.get(name))
    axis.set(
        title="How far from the CAM's peak the object is found",
        xlabel="distance from the peak (in object sizes, the square root of its area)",
        ylabel="share of pixels found",
        ylim=(0, 1),
    )
    axis.legend()
    return figure


def image_differences(first: np.ndarray, second: np.ndarray) -> Figure:
    """Each image's mIoU under two methods [N], as the sorted difference; an image where it is nan is left out."""
    difference = second - first
    difference = np.sort(difference[~np.isnan(difference)])
    figure, axis = plt.subplots(figsize=(WIDTH, 3.2))
    axis.stairs(difference.clip(max=0), fill=True, color=COLORS["CAM"])
    axis.stairs(difference.clip(min=0), fill=True, color=COLORS["RIB"])
    axis.axhline(0, color="#333333", linewidth=0.8)
    axis.set(title="RIB less CAM, image by image", xlabel="images, sorted", ylabel="difference in mIoU", xticks=[])
    return figure
