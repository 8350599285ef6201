"""The figures and the table of the chapter on the size of the discriminative part."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import HTML
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ribstudy.datasets import minivoc
from ribstudy.datasets.settings import MiniVocSettings
from ribstudy.evaluation.protocol import FROM_VAL
from ribstudy.evaluation.statistics import Comparison, Estimate
from ribstudy.evaluation.verdicts import NO_SIZE
from ribstudy.report.figures.common import COLORS, GREEN, LINE, RED, SKY, legend_below
from ribstudy.report.figures.panels import Panel, gallery

GAIN, BEYOND = "RIB − CAM", "RIB − blurred CAM"  # labels of differences


@dataclass(frozen=True)
class OfShare:
    """The results for one size of the part, over the same trainings and images.

    Args:
        precision: average precision of the classifiers on val, a mean over them.
        cam: the scores of the CAM, by rule and measure (`protocol.values`).
        differences: by label, two methods compared by rule (`protocol.compare`).
    """

    precision: float
    cam: Mapping[str, Mapping[str, Estimate]]
    differences: Mapping[str, Mapping[str, Comparison]]


Found = Mapping[float, OfShare]  # by the share of the part


def draw_shares(settings: MiniVocSettings, shares: Sequence[float], *, num_images: int = 3) -> HTML | None:
    """The first images of train, with a column for each share of the part: the same objects at the same places."""
    of_shares = {share: settings.model_copy(update={"part_share": share}) for share in shares}
    rows = [
        [Panel(f"share {share:g}", minivoc.draw_scene(of_one, "train", index).picture) for share, of_one in of_shares.items()]
        for index in range(num_images)
    ]
    return gallery(rows) if shares else None


def activation(found: Found, *, own: float) -> Figure | None:
    """Under- and over-activation of the CAM over the share of the part; a dotted line marks the preset's own share."""
    if not found:
        return None
    figure, axis = plt.subplots()
    for place, (measure, label) in enumerate({"under": "under-activation", "over": "over-activation"}.items()):
        estimates = {share: of_share.cam[FROM_VAL][measure] for share, of_share in found.items()}
        _draw_estimates(axis, estimates, label=label, marker="os"[place], shift=place - 0.5)
    axis.set(ylabel="share of the union", ylim=(0, None))
    _share_axis(figure, axis, found, own)
    return figure


def differences(found: Found, *, own: float) -> Figure | None:
    """Every difference in mIoU over the share of the part, with its interval; the grey band has no size that matters."""
    if not found:
        return None
    figure, axis = plt.subplots()
    axis.axhspan(-NO_SIZE, NO_SIZE, color=LINE, alpha=0.08, linewidth=0)
    axis.axhline(0, color=LINE, linewidth=0.8)
    labels = list(next(iter(found.values())).differences)
    for place, (label, color) in enumerate(zip(labels, (RED, SKY, GREEN), strict=True)):
        estimates = {share: of_share.differences[label][FROM_VAL].difference for share, of_share in found.items()}
        _draw_estimates(axis, estimates, label=label, color=color, shift=place - 1)
    axis.set_ylabel("difference in mIoU")
    _share_axis(figure, axis, found, own)
    return figure


def _draw_estimates(axis: Axes, estimates: Mapping[float, Estimate], *, shift: float, marker: str = "o", **style) -> None:
    """Points with intervals over the share; `shift` moves them a little, so that methods do not hide each other."""
    bounds = [(of.value, of.value) if of.low is None else (of.low, of.high) for of in estimates.values()]
    values = np.array([of.value for of in estimates.values()])
    lengths = np.abs(np.array(bounds).T - values)
    axis.errorbar(np.array(list(estimates)) * 1.04**shift, values, yerr=lengths, marker=marker, capsize=3, **style)


def _share_axis(figure: Figure, axis: Axes, found: Found, own: float) -> None:
    axis.set_xscale("log")
    axis.set_xticks(list(found), [f"{share:g}" for share in found])
    axis.minorticks_off()
    axis.axvline(own, color=COLORS["chosen on val"], linestyle=":", label="share in the other chapters")
    axis.set_xlabel("area of the part as a share of the body")
    legend_below(figure)


def share_table(found: Found) -> pd.DataFrame:
    """The classifier and the CAM for each share of the part, at the thresholds from val."""
    rows = {
        f"{share:g}": {
            "images": of_share.cam[FROM_VAL]["miou"].n,
            "average precision": f"{of_share.precision:.3f}",
            "mIoU of the CAM": of_share.cam[FROM_VAL]["miou"].text(signed=False),
            "under-activation": of_share.cam[FROM_VAL]["under"].text(signed=False),
            "over-activation": of_share.cam[FROM_VAL]["over"].text(signed=False),
        }
        for share, of_share in found.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("share of the part")
