"""Scores of one image's maps: everything that a summary needs to know about them, so that maps and masks are read only once.

Shapes: C classes; n of them in the image; K steps; T thresholds (`DEFAULT_THRESHOLDS`); D bins of distance (`DISTANCE_EDGES`);
H x W pixels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

import numpy as np

from ribstudy.datasets.pictures import VOID
from ribstudy.evaluation.metrics import DEFAULT_THRESHOLDS, largest_and_level, level_counts, level_histograms
from ribstudy.evaluation.predictions import AnyMaps
from ribstudy.masks.threshold import histogram_of
from ribstudy.method.stored_maps import StoredMaps

DISTANCE_EDGES = np.linspace(0, 1.25, 11)  # in units of the object's size (square root of its area); the last bin is open
NUM_LEVELS = len(DEFAULT_THRESHOLDS) + 1


@dataclass(frozen=True, eq=False)
class MapScores:
    """The agreement of one image's maps with its true mask, at every threshold and step.

    The level of a pixel is the number of thresholds below its largest map: it is foreground at thresholds[:level]. Void pixels
    are only in `histogram`. All arrays of numbers of pixels are int64.

    Args:
        classes: int [n], indices of the image's classes.
        size: (H, W) of the image.
        true: [C+1], true pixels of the background and of each class.
        predicted: [K, n, T+1], pixels whose largest map is the class's, by level; maps of the first 1, 2, ... K steps.
        hits: [K, n, T+1], those of them whose true class it is.
        background: [K, n, T+1], those of them that are true background.
        distances: [n, D], pixels of each class's object by distance from the peak of its CAM; one class is one object.
        covered: [n, D, T+1], those of them whose largest map (all steps) is the class's, by level.
        histogram: [256], `masks.threshold.histogram_of` the maps of all steps.
        logits: float [steps], as in `StoredMaps`.
        stopped_by: as in `StoredMaps`.
    """

    classes: np.ndarray
    size: tuple[int, int]
    true: np.ndarray
    predicted: np.ndarray
    hits: np.ndarray
    background: np.ndarray
    distances: np.ndarray
    covered: np.ndarray
    histogram: np.ndarray
    logits: np.ndarray = field(default_factory=lambda: np.zeros(0))
    stopped_by: str = ""

    @property
    def num_steps(self) -> int:
        """K: the number of sums of maps that are scored, at least 1."""
        return len(self.predicted)

    def counts(self, steps: int | None = None) -> np.ndarray:
        """Hits, predicted and true pixels at every threshold, int64 [T, 3, C+1], as of `metrics.threshold_sweep`.

        Args:
            steps: number of first steps whose maps are summed, at least 1; None, or more than K: all.
        """
        last = self.num_steps - 1 if steps is None else min(steps, self.num_steps) - 1
        levels = np.stack([self.predicted[last], self.hits[last], self.background[last]])
        return level_counts(levels, self.classes, self.true)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """The stored arrays by name; whole numbers have the smallest type that holds them.

        Of numbers that follow from each other, only the smaller ones are stored. `others`: predicted pixels whose true class is
        another one of the image. `hits`: of all but the last step, whose hits are the sums of `covered`.
        """
        values = {**vars(self), "others": self.predicted - self.hits - self.background, "hits": self.hits[:-1]}
        del values["predicted"]
        return {name: _smallest(np.asarray(value)) for name, value in values.items()}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "MapScores":
        """The scores whose `to_arrays` this is."""
        values = {name: of.astype(np.int64) if of.dtype.kind == "u" else of for name, of in arrays.items()}
        height, width = values.pop("size").tolist()
        values["hits"] = np.concatenate([values["hits"], values["covered"].sum(axis=1)[None]])
        predicted = values.pop("others") + values["hits"] + values["background"]
        return cls(size=(height, width), stopped_by=str(values.pop("stopped_by")), predicted=predicted, **values)


def _smallest(values: np.ndarray) -> np.ndarray:
    """The values, if they are whole numbers, in the smallest type that holds them; all of them are at least 0."""
    return values.astype(np.min_scalar_type(values.max(initial=0))) if values.dtype.kind in "iu" else values


def foreground(levels: np.ndarray, threshold: int) -> np.ndarray:
    """Numbers of pixels by level [..., T+1] -> [...], the pixels that are foreground at a threshold index."""
    return levels[..., threshold + 1 :].sum(axis=-1)


def score_maps(maps: AnyMaps, cam: AnyMaps, truth: np.ndarray, *, num_classes: int, every_step: bool) -> MapScores:
    """Scores the maps of one image.

    Args:
        maps: the stored maps.
        cam: the stored CAM of the same image and classes; only its peaks are used.
        truth: [H, W], 0 background, 1..C classes, 255 void.
        num_classes: C, without the background.
        every_step: whether every sum of the first 1, 2, ... steps is scored, or only the sum of all steps (K = 1). Maps after
            the random walk have only one.

    Raises ValueError if maps and CAM have different classes, sizes differ, the truth contains a class above C, or a map is not
    in 0..1.
    """
    if not (np.array_equal(maps.classes, cam.classes) and maps.size == cam.size):
        described = [f"classes {of.classes.tolist()} and size {of.size}" for of in (maps, cam)]
        raise ValueError(f"maps have {described[0]}, but the CAM has {described[1]}")
    true = np.bincount(truth[truth != VOID], minlength=num_classes + 1)
    if len(true) > num_classes + 1:
        raise ValueError(f"truth contains class {len(true) - 1}; expected 0 to {num_classes}")
    all_steps = maps.normalized()
    num_steps = maps.num_steps if every_step and isinstance(maps, StoredMaps) else 1
    of_steps = chain((maps.normalized(steps=steps) for steps in range(1, num_steps)), [all_steps])
    levels = np.stack([level_histograms(of_step, maps.classes, truth) for of_step in of_steps], axis=1)
    distances, covered = _by_distance(all_steps, cam, truth)
    adapted = {"logits": maps.logits, "stopped_by": maps.stopped_by} if isinstance(maps, StoredMaps) else {}
    return MapScores(maps.classes, maps.size, true, *levels, distances, covered, histogram_of(all_steps), **adapted)


def _by_distance(maps: np.ndarray, cam: AnyMaps, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`distances` and `covered` of an image's objects (see `MapScores`)."""
    distances = np.zeros((len(maps), len(DISTANCE_EDGES)), dtype=np.int64)
    covered = np.zeros((*distances.shape, NUM_LEVELS), dtype=np.int64)
    for place, (key, class_map) in enumerate(zip(cam.classes, cam.normalized(), strict=True)):
        region = truth == key + 1
        bins = distance_bins(region, np.unravel_index(class_map.argmax(), class_map.shape))
        largest, level = largest_and_level(maps, region)
        found = largest == place
        distances[place] = np.bincount(bins, minlength=len(DISTANCE_EDGES))
        np.add.at(covered[place], (bins[found], level[found]), 1)
    return distances, covered


def distance_bins(region: np.ndarray, peak: Sequence[int]) -> np.ndarray:
    """The bin of `DISTANCE_EDGES` of each pixel of an object, by its distance from the peak of its map in the object's size.

    Args:
        region: bool [H, W], the P pixels of the object; its size is the square root of P.
        peak: row and column.

    Returns:
        int [P], in the order of the rows.
    """
    rows, columns = np.nonzero(region)
    distance = np.hypot(rows - peak[0], columns - peak[1]) / np.sqrt(max(len(rows), 1))
    return np.searchsorted(DISTANCE_EDGES, distance, side="right") - 1
