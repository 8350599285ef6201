"""How well stored maps find the objects: over all thresholds, image by image, and from the peak of the map outwards.

Every function makes one pass over the images, reads each when its turn comes, and keeps sums only, so that memory does not
depend on how many there are. The passes run side by side in `processes` processes; what they return does not depend on that.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from typing import TypeVar

import numpy as np
import pandas as pd

from ribstudy.datasets import Dataset
from ribstudy.evaluation.metrics import (
    DEFAULT_THRESHOLDS,
    Comparison,
    ConfusionMatrix,
    Estimate,
    Sweep,
    bootstrap_comparison,
    bootstrap_over_seeds,
    coverage_by_distance,
    mean_scores,
    miou,
    threshold_sweep,
)
from ribstudy.masks.labelling import mask_of
from ribstudy.masks.random_walk import walked_scores
from ribstudy.masks.settings import CrfSettings
from ribstudy.masks.threshold import AGREEMENT_THRESHOLDS, RULES, crf_agreement, histogram_of, most_agreed
from ribstudy.method.cam import stored_seed_maps
from ribstudy.runtime.processes import map_in_processes
from ribstudy.runtime.progress import track
from ribstudy.store import Result

Unit = dict[str, np.ndarray]  # what a stage stored of an image
Units = Mapping[str, Unit]  # by image name
Part = TypeVar("Part")

DISTANCE_EDGES = np.linspace(0, 1.25, 11)  # in units of the object's size; the last bin is open
NUM_CHUNKS = 100  # of a pass over the images
MAX_GROUPS = 1000  # of images, in a sweep
MAX_ASKED = 10  # images, for a rule that takes seconds for each
WORTH_PROCESSES = 500  # fewer images are scored before other processes have started


class StoredUnits(Mapping[str, Unit]):
    """The units of a stage's result, read from their files each time they are asked for; none is kept."""

    def __init__(self, result: Result, names: Sequence[str]):
        self.result = result
        self.names = dict.fromkeys(names)

    def __getitem__(self, name: str) -> Unit:
        if name not in self.names:
            raise KeyError(name)
        return self.result.read_unit(name)

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


def scored_names(dataset: Dataset, units: Units) -> list[str]:
    """The stored images that have a mask, in order; ValueError where there is none."""
    with_mask = set(dataset.masked_names)
    names = [name for name in units if name in with_mask]
    if not names:
        raise ValueError(f"split {dataset.split}: none of the {len(units)} images that have maps has a mask to score them with")
    return names


def sweep_units(dataset: Dataset, units: Units, *, steps: int | None = None, processes: int = 1) -> Sweep:
    """The threshold sweep of the stored images that have a mask; RIB's maps summed over the first `steps` (None: all).

    Up to 1,000 images each is a group of its own. More are divided by lot, always the same for their number, into 1,000
    groups of one size, but for one image: a list may be periodic, and a rule such as every thousandth image with it.
    """
    names = scored_names(dataset, units)
    order = np.arange(len(names))
    if len(names) > MAX_GROUPS:
        order = np.random.default_rng(0).permutation(order)
    parts = list(_in_chunks(partial(_sweep_chunk, dataset, units, steps), [names[i] for i in order], processes))
    fields = ("counts", "blank", "image_scores", "has_class")
    counts, blank, image_scores, has_class = (_interleaved([getattr(part, field) for part in parts]) for field in fields)
    places = np.argsort(order)  # from the order by lot back to that of the names
    return Sweep(tuple(names), counts, blank, image_scores[places], has_class[places], DEFAULT_THRESHOLDS)


def _sweep_chunk(dataset: Dataset, units: Units, steps: int | None, names: list[str]) -> Sweep:
    num_groups, num_thresholds = min(len(names), MAX_GROUPS // NUM_CHUNKS), len(DEFAULT_THRESHOLDS)
    counts = np.zeros((num_groups, num_thresholds, 3, len(dataset.class_names) + 1), dtype=np.int64)
    blank = np.zeros_like(counts[:, 0])
    image_scores = np.zeros((len(names), num_thresholds), dtype=np.float32)
    has_class = np.zeros(len(names), dtype=bool)
    for place, name in enumerate(names):
        with _naming(name):
            unit = units[name]
            of_image = _counts(dataset, unit, dataset.mask(name), steps=steps)
        group = place % num_groups
        counts[group] += of_image
        image_scores[place] = miou(of_image)
        has_class[place] = len(unit["keys"]) > 0
        if not has_class[place]:
            blank[group] += of_image[0]
    return Sweep(tuple(names), counts, blank, image_scores, has_class, DEFAULT_THRESHOLDS)


def _counts(
    dataset: Dataset, unit: Unit, truth: np.ndarray, *, steps: int | None, thresholds: np.ndarray = DEFAULT_THRESHOLDS
) -> np.ndarray:
    """`threshold_sweep` of a stored image, [T, 3, C+1]."""
    maps, num_classes = scored_maps(unit, steps=steps), len(dataset.class_names) + 1
    return threshold_sweep(maps, unit["keys"], truth, num_classes=num_classes, thresholds=thresholds)


def compare(first: Sweep, second: Sweep, *, at: tuple[int, int] | None = None) -> Comparison:
    """Two sweeps of the same images, at one threshold index each, or (None) at the best one of each on these images."""
    if first.names != second.names:
        raise ValueError("the two sweeps are not of the same images")
    counts = (first.counts, second.counts) if at is None else (first.counts[:, at[0]], second.counts[:, at[1]])
    return bootstrap_comparison(*counts, num_images=len(first.names))


def compare_over_seeds(
    first: Sequence[Sweep], second: Sequence[Sweep], *, at: Sequence[tuple[int, int]] | None = None
) -> Comparison:
    """Two methods with several seeds, a sweep of the same images for each: means over the seeds, intervals over both.

    at: by seed, a threshold index for each method; None: the best of each, by seed and anew in every sample of the interval.
    What the interval holds, and what few seeds can tell: `metrics.bootstrap_over_seeds`.
    """
    if len({sweep.names for sweep in (*first, *second)}) != 1:
        raise ValueError("the sweeps are not of the same images, or there is none")
    sides = [[sweep.counts for sweep in side] for side in (first, second)]
    if at is not None:
        sides = [[counts[:, both[place]] for counts, both in zip(side, at, strict=True)] for place, side in enumerate(sides)]
    return bootstrap_over_seeds(*sides, num_images=len(first[0].names))


def comparisons(first: Sweep, second: Sweep, *, at: tuple[int, int]) -> dict[str, Comparison]:
    """Two sweeps compared at thresholds from other images (`compared`) and at the best ones of these (`best`).

    Where some images have no class there is a third, `labelled`: of the others alone, at the thresholds from other images.
    """
    return comparisons_over_seeds([first], [second], at=[at])


def comparisons_over_seeds(
    first: Sequence[Sweep], second: Sequence[Sweep], *, at: Sequence[tuple[int, int]]
) -> dict[str, Comparison]:
    """As `comparisons`, of several seeds, each with its sweeps and thresholds; see `compare_over_seeds`."""
    found = {"compared": compare_over_seeds(first, second, at=at), "best": compare_over_seeds(first, second)}
    if not first[0].has_class.all():
        of_labelled = ([sweep.labelled() for sweep in side] for side in (first, second))
        found["labelled"] = compare_over_seeds(*of_labelled, at=at)
    return found


def threshold_rules(dataset: Dataset, units: Units, crf: CrfSettings, *, processes: int = 1) -> pd.DataFrame:
    """What thresholds that are found without a true mask lose: a row for each rule of `refine.threshold`.

    Columns: `threshold`, `miou` at it, `best_threshold` and `best_miou` on these images, `lost` = best_miou - miou. The rule
    "crf" looks at 10 of the images at most, at equal distances.
    """
    sweep = sweep_units(dataset, units, processes=processes)
    names = list(sweep.names)
    histogram = sum(_in_chunks(partial(_histogram_chunk, units), names, processes))
    asked = names[:: -(-len(names) // MAX_ASKED)]
    agreement = np.concatenate(list(_in_chunks(partial(_agreement_chunk, dataset, units, crf), asked, processes)))
    found = {rule: find(histogram) for rule, find in RULES.items()} | {"crf": most_agreed(agreement)}
    curve, best = sweep.miou(), sweep.best()
    rows = {}
    for rule, threshold in found.items():
        miou_there = curve[np.abs(sweep.thresholds - threshold).argmin()]
        at_best = {"best_threshold": sweep.thresholds[best], "best_miou": curve[best]}
        rows[rule] = {"threshold": threshold, "miou": miou_there, **at_best, "lost": curve[best] - miou_there}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("rule")


def _histogram_chunk(units: Units, names: list[str]) -> np.ndarray:
    return sum(histogram_of(scored_maps(units[name])) for name in names)


def _agreement_chunk(dataset: Dataset, units: Units, crf: CrfSettings, names: list[str]) -> np.ndarray:
    """[len(names), T]."""
    settings = crf.model_dump()
    return np.stack(
        [crf_agreement(dataset.image(name), scored_maps(units[name]), AGREEMENT_THRESHOLDS, **settings) for name in names]
    )


def summary(sweep: Sweep, index: int) -> dict[str, float]:
    """mIoU, precision, recall, over- and under-activation at a threshold: means over the classes that have a value."""
    return mean_scores(sweep.counts[:, index].sum(axis=0))


def score_table(sweep: Sweep, threshold: int) -> pd.DataFrame:
    """`summary` at a threshold index from other images and at the best one of these.

    Where some images have no class, two more rows are of the others alone.
    """
    sweeps = {"": sweep}
    if not sweep.has_class.all():
        sweeps[", images with a class"] = sweep.labelled()
    rows = {}
    for images, part in sweeps.items():
        rows[f"threshold from val{images}"] = summary(part, threshold)
        rows[f"best threshold (field's protocol){images}"] = summary(part, part.best())
    return pd.DataFrame(rows).T


def extremes(values: np.ndarray, count: int) -> list[int]:
    """Indices of the `count` largest values, falling, and behind them of the `count` smallest, rising; nan is left out."""
    order = [index for index in np.argsort(values) if not np.isnan(values[index])]
    return [*order[::-1][:count], *order[:count]]


def average_precision(labels: np.ndarray, logits: np.ndarray, class_names: Sequence[str]) -> pd.Series:
    """Average precision of each class from labels and logits [N, C]; nan for a class that no image has."""
    from sklearn.metrics import average_precision_score  # takes a second to import, and only one chapter needs it

    values = [average_precision_score(y, s) if y.any() else np.nan for y, s in zip(labels.T, logits.T, strict=True)]
    return pd.Series(values, index=list(class_names), name="average precision")


def predicted_mask(unit: Unit, threshold: float, *, steps: int | None = None) -> np.ndarray:
    """The mask of a stored image, uint8 [H, W], from its seed maps, or from those that have spread (see `mask_of`)."""
    return mask_of(scored_maps(unit, steps=steps), unit["keys"], threshold)


def scored_maps(unit: Unit, *, steps: int | None = None) -> np.ndarray:
    """The maps [n, H, W] in 0..1 that become masks: seeds, or what the stage `walk` has made of them."""
    if "walked" in unit:
        return walked_scores(unit["walked"], unit["size"])
    return stored_seed_maps(unit, steps=steps)


@dataclass(frozen=True)
class MaskScores:
    """How masks agree with the truth.

    counts: [G, 3, C+1], hits, predicted and true pixels, summed over each group of images (see `sweep_units`).
    confusion: [C+1, C+1], pixels of (true class, predicted class) of all images.
    """

    names: tuple[str, ...]
    counts: np.ndarray
    confusion: np.ndarray

    def summary(self) -> dict[str, float]:
        """mIoU, precision, recall, over- and under-activation: means over the classes that have a value."""
        return mean_scores(self.counts.sum(axis=0))


def mask_scores(dataset: Dataset, masks: Mapping[str, np.ndarray], *, processes: int = 1) -> MaskScores:
    """Holds masks uint8 [H, W], by image name, against the true ones; images without a true mask are left out."""
    names = scored_names(dataset, masks)
    order = np.arange(len(names))
    if len(names) > MAX_GROUPS:
        order = np.random.default_rng(0).permutation(order)
    parts = list(_in_chunks(partial(_masks_chunk, dataset, masks), [names[i] for i in order], processes))
    counts = _interleaved([part.counts for part in parts])
    return MaskScores(tuple(names), counts, sum(part.confusion for part in parts))


def _masks_chunk(dataset: Dataset, masks: Mapping[str, np.ndarray], names: list[str]) -> MaskScores:
    num_classes, num_groups = len(dataset.class_names) + 1, min(len(names), MAX_GROUPS // NUM_CHUNKS)
    confusion = np.zeros((num_groups, num_classes, num_classes), dtype=np.int64)
    for place, name in enumerate(names):
        with _naming(name):
            of_image = ConfusionMatrix(num_classes)
            of_image.update(dataset.mask(name), masks[name])
        confusion[place % num_groups] += of_image.counts
    hits = confusion.diagonal(axis1=1, axis2=2)
    counts = np.stack([hits, confusion.sum(axis=1), confusion.sum(axis=2)], axis=1)
    return MaskScores(tuple(names), counts, confusion.sum(axis=0))


def compare_masks(first: MaskScores, second: MaskScores) -> Comparison:
    """Two results on the same images, with paired intervals."""
    if first.names != second.names:
        raise ValueError("the two results are not of the same images")
    return bootstrap_comparison(first.counts, second.counts, num_images=len(first.names))


def compare_steps(scores: Mapping[tuple[str, str], MaskScores], first: str, second: str) -> dict[str, Comparison]:
    """Two methods after each step, of scores by (method, step)."""
    steps = [step for method, step in scores if method == first]
    return {step: compare_masks(scores[first, step], scores[second, step]) for step in steps}


def both_estimates(comparisons: Mapping[str, Comparison], first: str, second: str) -> dict[tuple[str, str], Estimate]:
    """The mIoU of each of the two methods of `compare_steps`, by (method, step)."""
    estimates = {(first, step): comparison.first for step, comparison in comparisons.items()}
    return estimates | {(second, step): comparison.second for step, comparison in comparisons.items()}


@dataclass(frozen=True)
class Coverage:
    """What predicted masks cover, by method.

    Args:
        objects: share of the objects' pixels that are found, [len(DISTANCE_EDGES)] by their distance from the peak of their
            CAM, nan where no object reaches that far.
        background: share of the true background's pixels that are painted as some object.
    """

    objects: dict[str, np.ndarray]
    background: dict[str, float]


def coverage(dataset: Dataset, units: Mapping[str, Units], thresholds: Mapping[str, float], *, processes: int = 1) -> Coverage:
    """What the masks of each method cover, predicted from its units at its threshold; one of the methods is "CAM".

    Each class of each image counts as one object. The peak is the CAM's for all methods, so that they share the distances.
    """
    names = scored_names(dataset, units["CAM"])
    parts = list(_in_chunks(partial(_coverage_chunk, dataset, units, thresholds), names, processes))
    found, painted = (sum(totals) for totals in zip(*parts, strict=True))
    with np.errstate(invalid="ignore"):
        objects, background = found[:, 0] / found[:, 1], painted[:, 0] / painted[:, 1]
    return Coverage(dict(zip(units, objects, strict=True)), dict(zip(units, background, strict=True)))


def _coverage_chunk(
    dataset: Dataset, units: Mapping[str, Units], thresholds: Mapping[str, float], names: list[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Covered and all pixels of the objects, int64 [methods, 2, bins], and of the background, int64 [methods, 2]."""
    found = np.zeros((len(units), 2, len(DISTANCE_EDGES)), dtype=np.int64)
    painted = np.zeros((len(units), 2), dtype=np.int64)
    for name in names:
        with _naming(name):
            truth = dataset.mask(name)
            of_image = {method: stored[name] for method, stored in units.items()}
            masks = [predicted_mask(unit, thresholds[method]) for method, unit in of_image.items()]
            found += _found(of_image["CAM"], truth, masks)
            background = truth == 0
            painted += [[(mask[background] > 0).sum(), background.sum()] for mask in masks]
    return found, painted


def _found(cam: Unit, truth: np.ndarray, masks: list[np.ndarray]) -> np.ndarray:
    """Covered and all pixels of an image's objects by their distance from the peak of their CAM, int64 [masks, 2, bins]."""
    found = np.zeros((len(masks), 2, len(DISTANCE_EDGES)), dtype=np.int64)
    for class_map, key in zip(stored_seed_maps(cam), cam["keys"], strict=True):
        peak = np.unravel_index(class_map.argmax(), class_map.shape)
        found += [coverage_by_distance(truth == key + 1, mask == key + 1, peak, DISTANCE_EDGES) for mask in masks]
    return found


def num_steps(unit: Unit) -> int:
    """How many maps an image's adaptation summed; 1 for an image without a class."""
    return len(unit["iterates_0"]) if len(unit["keys"]) else 1


def steps_table(dataset: Dataset, units: Units, *, threshold: int | None = None, processes: int = 1) -> pd.DataFrame:
    """Scores of RIB's maps summed over the first 1, 2, ... steps, at one threshold index or (None) at each sum's best."""
    thresholds = DEFAULT_THRESHOLDS if threshold is None else DEFAULT_THRESHOLDS[[threshold]]
    names = scored_names(dataset, units)
    rows = []
    totals = reduce(_add_steps, _in_chunks(partial(_steps_chunk, dataset, units, thresholds), names, processes))
    for steps, counts in enumerate(totals, start=1):
        best = int(miou(counts).argmax())
        rows.append({"steps": steps, "threshold": thresholds[best], **mean_scores(counts[best])})
    return pd.DataFrame(rows)


def _steps_chunk(dataset: Dataset, units: Units, thresholds: np.ndarray, names: list[str]) -> np.ndarray:
    """The images' counts after each step, [steps, T, 3, C+1]."""
    return reduce(_add_steps, (_steps_of_image(dataset, units, thresholds, name) for name in names))


def _steps_of_image(dataset: Dataset, units: Units, thresholds: np.ndarray, name: str) -> np.ndarray:
    with _naming(name):
        unit, truth = units[name], dataset.mask(name)
        steps = range(1, num_steps(unit) + 1)
        return np.stack([_counts(dataset, unit, truth, steps=step, thresholds=thresholds) for step in steps])


def _add_steps(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Counts by step, added; those that end earlier stay as they are after their last step."""
    shorter, longer = sorted((first, second), key=len)
    missing = len(longer) - len(shorter)
    return longer + np.concatenate([shorter, np.repeat(shorter[-1:], missing, axis=0)])


def endings(units: Units, *, processes: int = 1) -> pd.DataFrame:
    """How RIB's adaptations ended: `stopped_by`, `first_score`, `last_score`, a row for each image that has a class."""
    rows = {}
    for part in _in_chunks(partial(_endings_chunk, units), list(units), processes):
        rows |= part
    in_order = {name: rows[name] for name in units if name in rows}
    return pd.DataFrame.from_dict(in_order, orient="index", columns=["stopped_by", "first_score", "last_score"])


def _endings_chunk(units: Units, names: list[str]) -> dict[str, tuple[str, float, float]]:
    rows = {}
    for name in names:
        unit = units[name]
        if len(unit["keys"]):
            rows[name] = (str(unit["stopped_by"]), unit["scores"][0], unit["scores"][-1])
    return rows


def _in_chunks(work: Callable[[list[str]], Part], names: list[str], processes: int) -> Iterator[Part]:
    """work(chunk) of every chunk of the images: chunk i holds those at i, i + 100, i + 200, ..."""
    chunks = [names[place::NUM_CHUNKS] for place in range(min(NUM_CHUNKS, len(names)))]
    parts = map_in_processes(work, chunks, processes=processes if len(names) >= WORTH_PROCESSES else 1)
    return (part for _, part in zip(track(chunks, "scores"), parts, strict=True))


def _interleaved(parts: list[np.ndarray]) -> np.ndarray:
    """The rows of all chunks in one array, in the order of the images: one of each chunk in turn."""
    rows = np.empty((sum(map(len, parts)), *parts[0].shape[1:]), dtype=parts[0].dtype)
    for place, part in enumerate(parts):
        rows[place :: len(parts)] = part
    return rows


@contextlib.contextmanager
def _naming(name: str) -> Iterator[None]:
    """Adds the image's name to what goes wrong with it."""
    try:
        yield
    except Exception as error:
        error.add_note(f"image {name}")
        raise
