"""The images and trainings that the comparisons of the study need, from the images for choices as a pilot."""

from collections.abc import Mapping
from math import inf, nan

import numpy as np
import pandas as pd

from ribstudy.evaluation.power import VarianceParts, variance_parts
from ribstudy.evaluation.protocol import BEST, Resampled
from ribstudy.evaluation.statistics import NOT_RUN
from ribstudy.evaluation.verdicts import NO_SIZE, TO_TELL
from ribstudy.workflow.methods import AS_WRITTEN, BLURRED, BLURRED_RIB, CAM_NAME, RIB_NAME

EFFECT = NO_SIZE  # the difference in mIoU that the study wants to tell from none
TRAININGS = (2, 3, 5, 10)  # compared numbers of trainings
# The compared methods, by the name of the comparison in records.
COMPARISONS = {
    "rib": (CAM_NAME, RIB_NAME),
    "as_written": (CAM_NAME, AS_WRITTEN),
    "blur": (CAM_NAME, BLURRED),
    "rib_less_blur": (BLURRED, RIB_NAME),
    "blurred_rib": (BLURRED, BLURRED_RIB),
}
LABELS = {name: f"{second} − {first}" for name, (first, second) in COMPARISONS.items()}
MISSING = f"{NOT_RUN}: a pilot needs both methods, at least two images and two trainings"

Parts = Mapping[str, VarianceParts]  # by the name of the comparison; {} if the pilot is too small


def pilot(drawn: Mapping[str, Resampled]) -> dict[str, VarianceParts]:
    """The parts of the variance of each comparison; {} if there are fewer than two images or trainings.

    Each method has its best threshold on the images of the pilot.

    Args:
        drawn: by method, the resampled scores of the images for choices.
    """
    first = next(iter(drawn.values()))
    if len(first.names) < 2 or first.counts[BEST].shape[1] < 2:
        return {}
    run = {name: pair for name, pair in COMPARISONS.items() if set(pair) <= set(drawn)}
    return {name: variance_parts(*(drawn[method] for method in pair), rule=BEST) for name, pair in run.items()}


def parts_table(parts: Parts) -> pd.DataFrame:
    """The standard deviations that images, trainings and single images of a training add to a difference in mIoU."""
    rows = {
        LABELS[name]: {"images": of_one.images, "trainings": of_one.trainings, "rest": of_one.rest}
        for name, of_one in parts.items()
    }
    return np.sqrt(pd.DataFrame.from_dict(rows, orient="index").rename_axis("comparison"))


def needs_table(parts: Parts) -> pd.DataFrame:
    """The number of images that each comparison needs, by the difference to tell and the number of trainings."""
    rows = {
        LABELS[name]: {
            (f"tells {effect:.2f}", f"{trainings} trainings"): _count(of_one.images_for(effect, trainings))
            for effect in (EFFECT, TO_TELL)
            for trainings in TRAININGS
        }
        for name, of_one in parts.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("comparison")


def _count(images: int | None) -> str:
    return "no number" if images is None else f"{images:,}"


def design_table(parts: Parts, designs: Mapping[str, tuple[int, int]]) -> pd.DataFrame:
    """The smallest difference that each design tells from none, for each comparison.

    Args:
        designs: the number of images and of trainings, by name.
    """
    rows = {
        design: {
            "images": images,
            "trainings": trainings,
            **{LABELS[name]: f"{of_one.detectable(images, trainings):.3f}" for name, of_one in parts.items() if trainings > 1},
        }
        for design, (images, trainings) in designs.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("chapter")


def size_of(name: str, parts: Parts, *, num_images: int, num_trainings: int) -> tuple[float, float, str]:
    """The difference that a comparison tells, the number of images with which it tells `EFFECT`, and both in a sentence.

    The numbers are nan if the pilot is too small; the number of images is infinite if no number suffices.

    Args:
        name: of `COMPARISONS`.
        num_images, num_trainings: of the study.
    """
    if name not in parts:
        return nan, nan, f"{LABELS[name]}: {MISSING}."
    told, needed = parts[name].detectable(num_images, num_trainings), parts[name].images_for(EFFECT, num_trainings)
    start, has = f"{LABELS[name]}, with {num_trainings} trainings:", f"The study has {num_images:,}, which tell {told:.3f}"
    if needed is None:
        reason = f"no number of images tells {EFFECT:.2f} from none, because the trainings differ too much"
        return told, inf, f"{start} {reason}. {has}."
    enough = "enough" if num_images >= needed else "too few"
    return told, needed, f"{start} a difference of {EFFECT:.2f} needs at least {_count(needed)} images. {has} ({enough})."
