"""All background thresholds of an image in one pass over its pixels, compared with one confusion matrix per threshold."""

import numpy as np

from ribstudy.bench.measure import BenchError, Plan, ratios, time_in_turn
from ribstudy.bench.records import Measurement
from ribstudy.evaluation.metrics import ConfusionMatrix, threshold_sweep

NUM_CLASSES = 21
KEYS = np.array([3, 11])


def sweep_by_thresholds(maps: np.ndarray, keys: np.ndarray, truth: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """The counts of `threshold_sweep`, [T, 3, C+1], from the argmax over a constant background map and the class maps."""
    counts = []
    for threshold in thresholds:
        stacked = np.concatenate([np.full_like(maps[:1], threshold), maps])
        prediction = np.concatenate([[0], keys + 1])[stacked.argmax(axis=0)]
        matrix = ConfusionMatrix(NUM_CLASSES)
        matrix.update(truth, prediction)
        counts.append([np.diag(matrix.counts), matrix.counts.sum(axis=0), matrix.counts.sum(axis=1)])
    return np.array(counts)


def run(plan: Plan) -> dict[str, Measurement]:
    """Seconds for one image of VOC's median size with two classes and 100 thresholds."""
    size = (30, 40) if plan.quick else (375, 500)
    rng = np.random.default_rng(0)
    maps = rng.random((len(KEYS), *size), dtype=np.float32)
    truth = rng.choice([0, *(KEYS + 1), 255], p=[0.7, 0.15, 0.1, 0.05], size=size).astype(np.uint8)
    thresholds = np.arange(100, dtype=np.float32) / 100
    works = {
        "one confusion matrix a threshold": lambda: sweep_by_thresholds(maps, KEYS, truth, thresholds),
        "study": lambda: threshold_sweep(maps, KEYS, truth, num_classes=NUM_CLASSES, thresholds=thresholds),
    }
    slow, fast = (work() for work in works.values())
    if not np.array_equal(slow, fast):
        raise BenchError("the sweep in one pass and the sweep by thresholds count different pixels")
    seconds = time_in_turn(works, repeats=plan.repeats(5))
    return {
        **{f"{name}: seconds": Measurement.of(seconds[name], "s") for name in works},
        "speed-up": Measurement.of(ratios(*seconds.values()), "times"),
    }
