"""The figures and tables of the chapter on pseudo masks: one image step by step, and scores after each step."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from skimage.transform import resize

from ribstudy.datasets.pictures import PALETTE, VOID
from ribstudy.evaluation.protocol import BEST
from ribstudy.evaluation.statistics import NOT_RUN, Estimate
from ribstudy.masks.walked_maps import WalkedMaps
from ribstudy.method.stored_maps import StoredMaps
from ribstudy.report.figures.common import LINE, MAP_COLORS, WIDTH, colors_of, legend_below
from ribstudy.report.figures.panels import Panel
from ribstudy.workflow.costs import seconds_per_item

UNSURE_COLOR = (211, 211, 211)

Step = tuple[str, str]  # method, step


def boundary_panel(title: str, boundary: np.ndarray, size: tuple[int, int]) -> Panel:
    """A boundary map [h, w] in 0..1 as a panel of `size` (H, W); a boundary is bright."""
    enlarged = resize(boundary.astype(np.float32), size, order=1)
    return Panel(title, (plt.get_cmap(MAP_COLORS)(enlarged)[..., :3] * 255).astype(np.uint8))


def affinity_label_picture(label: np.ndarray) -> np.ndarray:
    """The labels uint8 [H, W] of the affinity network as a picture, uint8 [H, W, 3].

    Sure background is black, a sure class has its colour in the devkit, and unsure pixels (255) are light grey.
    """
    return np.where((label == VOID)[..., None], np.array(UNSURE_COLOR, np.uint8), PALETTE[label])


def way_rows(
    image: np.ndarray, seeds: StoredMaps, label: np.ndarray, walked: WalkedMaps, mask: np.ndarray, truth: np.ndarray
) -> list[list[Panel]]:
    """Two rows of panels: the steps from the map of an image's first class to its mask.

    Args:
        image: uint8 [H, W, 3].
        seeds: the maps before the random walk.
        label: uint8 [H, W], labels of the affinity network.
        walked: the maps after the random walk.
        mask, truth: uint8 [H, W].
    """
    boundaries = boundary_panel("boundaries", walked.boundary, image.shape[:2])
    upper = [
        Panel("map of RIB", image, map=seeds.normalized()[0]),
        Panel("sure pixels", affinity_label_picture(label)),
        boundaries,
    ]
    after = Panel("after the walk", image, map=walked.normalized()[0])
    lower = [after, Panel("mask", image, mask=mask), Panel("true mask", image, mask=truth)]
    return [upper, lower]


def steps_table(found: Mapping[Step, Mapping[str, Estimate]]) -> pd.DataFrame:
    """Scores of the masks after each step, means over classes and trainings; a row for each (method, step).

    Columns: mIoU, `low` and `high` of its 95 % interval (nan without one), precision, recall.

    Args:
        found: by (method, step), the estimates of `protocol.values` by one rule.
    """
    rows = {}
    for step, scores in found.items():
        miou = scores["miou"]
        interval = {"low": miou.low, "high": miou.high}
        rows[step] = {"mIoU": miou.value, **interval, **{name: scores[name].value for name in ("precision", "recall")}}
    index = pd.MultiIndex.from_tuples(rows, names=["method", "step"])
    return pd.DataFrame(list(rows.values()), index=index).astype(float)


def step_bars(table: pd.DataFrame) -> Figure:
    """mIoU after each step, below each other for the methods of a `steps_table`; a line is the 95 % interval, if there is one.

    Steps and methods have the table's order.
    """
    methods, steps = (list(table.index.unique(level)) for level in ("method", "step"))
    figure, axis = plt.subplots(figsize=(WIDTH, 0.24 * len(table) + 1.2))
    height, colors = 0.84 / len(methods), colors_of(methods)
    for place, method in enumerate(methods):
        of_method = table.loc[method].reindex(steps)
        places = np.arange(len(steps)) + (place - (len(methods) - 1) / 2) * height
        axis.barh(places, of_method["mIoU"], height=0.94 * height, label=method, color=colors[method])
        _draw_intervals(axis, places, of_method)
    axis.set_yticks(range(len(steps)), steps)
    axis.invert_yaxis()
    axis.grid(axis="y", visible=False)
    axis.set(ylabel="masks after", xlabel="mIoU (line: 95 % interval)" if table["low"].notna().any() else "mIoU")
    axis.set_xlim(0, 1.12 * table[["mIoU", "high"]].max(axis=None))
    legend_below(figure)
    return figure


def _draw_intervals(axis: Axes, places: np.ndarray, rows: pd.DataFrame) -> None:
    """Whiskers with the value to their right; "not run" if there is no value."""
    # The interval may exclude the value: in samples of few images, classes appear and disappear.
    middles, halves = (rows["low"] + rows["high"]) / 2, (rows["high"] - rows["low"]) / 2
    axis.errorbar(middles, places, xerr=halves, fmt="none", ecolor=LINE, capsize=3)
    ends = rows[["mIoU", "high"]].max(axis=1).fillna(0)
    for place, value, end in zip(places, rows["mIoU"], ends, strict=True):
        text = NOT_RUN if np.isnan(value) else f"{value:.2f}"
        axis.annotate(text, (end, place), (3, 0), textcoords="offset points", va="center", fontsize=10)


def losses_table(tables: Mapping[tuple[str, str], pd.DataFrame]) -> pd.DataFrame:
    """The best mIoU on the reported images, and the mIoU that each rule loses, each with its threshold; a row for each table.

    Args:
        tables: by (method, maps), a result of `threshold_rules`, or its mean over trainings.
    """
    rows = {}
    for key, table in tables.items():
        best = table.iloc[0]
        at_best = {BEST: f"{best['best_miou']:.3f} at {best['best_threshold']:.2f}"}
        rows[key] = at_best | {rule: f"{-row['lost']:+.3f} at {row['threshold']:.2f}" for rule, row in table.iterrows()}
    index = pd.MultiIndex.from_tuples(rows, names=["method", "maps"])
    return pd.DataFrame(list(rows.values()), index=index)


def seconds_table(sessions: Mapping[str, Sequence[Mapping]]) -> pd.DataFrame:
    """The number of images and the seconds per image of each stage, over all processes that worked on it.

    Args:
        sessions: by stage, the logs of these processes (`Result.sessions`).
    """
    rows = {
        stage: {
            "images": sum(session.get("items", 0) for session in of_stage),
            "seconds for an image": round(seconds_per_item(of_stage), 2),
        }
        for stage, of_stage in sessions.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("stage")
