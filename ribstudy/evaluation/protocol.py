"""The protocol of every comparison: thresholds by three rules, and intervals that include everything that was drawn or chosen.

A background threshold turns maps into masks. Each training of each method has its own, by one of three rules (`RULES`), whose
results are shown side by side:

- "from val": the best threshold on other images with masks, the images for choices. This is the headline.
- "best on these images": the best threshold on the reported images, as is usual in the field. It flatters both sides.
- "without masks": Otsu's threshold, from the values of the maps of the reported images.

A bootstrap sample draws the reported images, the images for choices and the trainings, each with replacement, and chooses every
threshold again. The draws of all methods on the same images are the same, so that differences are paired:

    drawn = {method: resample([Scored(reported, choices), ...]) for method in ...}  # an entry for each training
    compare(drawn["CAM"], drawn["RIB"])["from val"].difference

Masks after the CRF, and predictions of a segmentation network, are made at one threshold, which cannot be chosen again. They
have only the rule "from val", and their intervals draw the reported images and the trainings (`resample_masks`).

Both kinds of images may be groups of images (`groups.groups_of`). Groups are formed without regard to content, so that their
sums are as independent as images, and a ratio of sums, such as the IoU, varies over drawn groups as it does over the same
images drawn one by one. With 1,000 groups the width of an interval is known to about 2 %.

The trainings are drawn as `statistics.mean_over_trainings` describes. The spread of three trainings is itself uncertain, and no
sample goes far beyond their range: if a difference varied with the training alone, such an interval would contain the true
value in about four of five studies. If trainings differ on every image in another way, the scheme counts this part of the
variance three times (Owen, 2007, "The pigeonhole bootstrap"), and intervals are too wide.

Shapes: C classes, with the background as class 0; T thresholds; G groups of images; S trainings; B bootstrap samples; D bins of
distance.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ribstudy.evaluation.mask_scores import MaskScores
from ribstudy.evaluation.metrics import class_mean, class_scores
from ribstudy.evaluation.statistics import (
    NUM_SAMPLES,
    Comparison,
    Estimate,
    draw_weights,
    mean_over_trainings,
    sample_estimate,
)
from ribstudy.evaluation.sweeps import Sweep
from ribstudy.evaluation.thresholds import best_indices, otsu_indices

RULES = FROM_VAL, BEST, WITHOUT_MASKS = ("from val", "best on these images", "without masks")
# The reported scores and their names in `class_scores`.
MEASURES = {"miou": "iou", "precision": "precision", "recall": "recall", "over": "over", "under": "under"}
AT_ONCE = 100  # bootstrap samples whose counts at all thresholds are in memory together
# Independent draws have different streams (`draw_weights`).
_REPORTED, _CHOICES, _TRAININGS = range(3)


@dataclass(frozen=True)
class Scored:
    """The scored maps of one training.

    Args:
        reported: the images on which results are reported.
        choices: other images with masks, on which thresholds are chosen; None leaves out the rule "from val".
    """

    reported: Sweep
    choices: Sweep | None = None


@dataclass(frozen=True)
class Resampled:
    """The counts of a method at the thresholds of each rule, for the data (first) and for each bootstrap sample.

    Args:
        names: the N reported images.
        choices: the images on which thresholds were chosen; () if they cannot be chosen again.
        counts: by rule, [B+1, S, 3, C+1], hits, predicted and true pixels.
        coverage: by rule, [B+1, S, 2, D+1], see `sweeps.image_coverage`; {} for masks, and for maps of only the first steps.
        chosen: by rule, the threshold index of each training, [S]; {} for masks.
    """

    names: tuple[str, ...]
    choices: tuple[str, ...]
    counts: Mapping[str, np.ndarray]
    coverage: Mapping[str, np.ndarray]
    chosen: Mapping[str, list[int]]

    def measured(self, rule: str, measure: str = "miou") -> np.ndarray:
        """One of `MEASURES`, a mean over the classes, of each training in the data (first) and in each sample: [B+1, S]."""
        return class_mean(class_scores(self.counts[rule])[MEASURES[measure]])

    def estimate(self, values: np.ndarray) -> Estimate:
        """The estimate from a value [B+1, S] of each training in the data (first) and in each sample."""
        weights = draw_weights(_TRAININGS, values.shape[1], len(values) - 1)
        return sample_estimate(mean_over_trainings(values, weights), len(self.names))


def resample(trainings: Sequence[Scored], *, num_samples: int = NUM_SAMPLES) -> Resampled:
    """Draws images and chooses thresholds again, for the maps of a method with each of S trainings.

    Raises ValueError if the trainings are not scored on the same images, or there is none.
    """
    _check_images([(training.reported.names, _names_of(training.choices)) for training in trainings])
    first = trainings[0]
    draws = draw_weights(_REPORTED, len(first.reported.counts), num_samples)
    of_choices = None if first.choices is None else draw_weights(_CHOICES, len(first.choices.counts), num_samples)
    found = [_of_training(training, draws, of_choices) for training in trainings]
    counts, coverage = (
        {rule: np.stack([part[kind][rule] for part in found], axis=1) for rule in RULES if rule in found[0][kind]}
        for kind in ("counts", "coverage")
    )
    chosen = {rule: [int(part["indices"][rule][0]) for part in found] for rule in counts}
    return Resampled(first.reported.names, _names_of(first.choices), counts, coverage, chosen)


def resample_masks(trainings: Sequence[MaskScores], *, num_samples: int = NUM_SAMPLES) -> Resampled:
    """Draws images for the masks of a method with each of S trainings. Their threshold is from val and stays as it is.

    Raises ValueError if the trainings are not scored on the same images, or there is none.
    """
    _check_images([(scores.names, ()) for scores in trainings])
    draws = draw_weights(_REPORTED, len(trainings[0].counts), num_samples)
    counts = np.stack([_sums(draws, scores.counts.astype(np.float64)) for scores in trainings], axis=1)
    return Resampled(trainings[0].names, (), {FROM_VAL: counts}, {}, {})


def _names_of(sweep: Sweep | None) -> tuple[str, ...]:
    return () if sweep is None else sweep.names


def _check_images(images: Sequence[tuple[tuple[str, ...], tuple[str, ...]]]) -> None:
    """Reported images and images for choices, of each training or method."""
    if len(set(images)) != 1:
        raise ValueError("the results are not of the same images, or there is none")


def _of_training(training: Scored, draws: np.ndarray, of_choices: np.ndarray | None) -> dict[str, dict[str, np.ndarray]]:
    """`indices` [B+1], `counts` [B+1, 3, C+1] and `coverage` [B+1, 2, D+1] of one training, by rule."""
    reported = _tables(training.reported)
    choices = None if training.choices is None else training.choices.counts.astype(np.float64)
    parts = []
    for rows in np.array_split(np.arange(len(draws)), -(-len(draws) // AT_ONCE)):
        sums = {name: _sums(draws[rows], table) for name, table in reported.items()}
        indices = {BEST: best_indices(sums["counts"])}
        if choices is not None:
            indices[FROM_VAL] = best_indices(_sums(of_choices[rows], choices))
        if "histograms" in sums:
            indices[WITHOUT_MASKS] = otsu_indices(sums.pop("histograms"))
        at = {name: {rule: table[np.arange(len(rows)), at] for rule, at in indices.items()} for name, table in sums.items()}
        parts.append({"indices": indices, "coverage": {}, **at})
    return {kind: {rule: np.concatenate([part[kind][rule] for part in parts]) for rule in parts[0][kind]} for kind in parts[0]}


def _tables(sweep: Sweep) -> dict[str, np.ndarray]:
    """The counts that are summed over drawn images, by name, in double precision, which holds sums of pixels exactly."""
    tables = {"counts": sweep.counts, "histograms": sweep.histograms, "coverage": sweep.coverage}
    return {name: table.astype(np.float64) for name, table in tables.items() if table is not None}


def _sums(draws: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Counts [G, ...] summed over the drawn groups of each sample: draws [b, G] -> [b, ...]."""
    return (draws @ counts.reshape(len(counts), -1)).reshape(len(draws), *counts.shape[1:])


def compare(first: Resampled, second: Resampled, *, measure: str = "miou") -> dict[str, Comparison]:
    """Two methods compared by each rule that both have, in the order of `RULES`; means over the trainings.

    Args:
        first, second: on the same images, with the same number of trainings.
        measure: one of `MEASURES`.

    Raises ValueError if they are not of the same images, or numbers of trainings differ.
    """
    check_paired(first, second)
    found = {}
    for rule in RULES:
        if rule in first.counts and rule in second.counts:
            sides = [of_method.measured(rule, measure) for of_method in (first, second)]
            found[rule] = Comparison(*map(first.estimate, (*sides, sides[1] - sides[0])))
    return found


def check_paired(first: Resampled, second: Resampled) -> None:
    """Raises ValueError if two methods are not of the same images and the same number of trainings."""
    both = first.choices and second.choices
    _check_images([(of_method.names, of_method.choices if both else ()) for of_method in (first, second)])
    counts = [next(iter(of_method.counts.values())).shape[1] for of_method in (first, second)]
    if counts[0] != counts[1]:
        raise ValueError(f"{counts[0]} and {counts[1]} trainings: both sides need the same number")


def values(drawn: Resampled) -> dict[str, dict[str, Estimate]]:
    """The scores of a method by rule and measure (`RULES`, `MEASURES`); means over classes and trainings."""
    return {rule: {measure: drawn.estimate(drawn.measured(rule, measure)) for measure in MEASURES} for rule in drawn.counts}
