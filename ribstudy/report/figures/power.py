"""The figure of the page on the size of the study."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from ribstudy.evaluation.power import VarianceParts
from ribstudy.report.figures.common import LINE, WIDTH, legend_below
from ribstudy.report.power import EFFECT, LABELS, TRAININGS

IMAGES = np.unique(np.geomspace(20, 5000, 40).round().astype(int))


def power_curves(parts: Mapping[str, VarianceParts], *, num_images: int) -> Figure | None:
    """The smallest difference that is told, over the number of images, a line for each number of trainings; None without parts.

    Args:
        parts: by the name of the comparison.
        num_images: the reported images, which a vertical line marks.
    """
    if not parts:
        return None
    figure, axes = plt.subplots(len(parts), figsize=(WIDTH, 1.8 * len(parts) + 1), sharex=True, sharey=True, squeeze=False)
    for axis, (name, of_one) in zip(axes[:, 0], parts.items(), strict=True):
        for trainings in TRAININGS:
            axis.plot(IMAGES, [of_one.detectable(images, trainings) for images in IMAGES], label=f"{trainings} trainings")
        axis.axhline(EFFECT, color=LINE, linestyle=":")
        axis.axvline(num_images, color=LINE, linestyle=":")
        axis.set(title=LABELS[name], xscale="log", yscale="log")
    axes[-1, 0].set_xlabel("images")
    figure.supylabel("smallest difference in mIoU that is told", fontsize=10)
    legend_below(figure)
    return figure
