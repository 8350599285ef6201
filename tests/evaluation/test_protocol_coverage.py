"""How often the intervals of the protocol contain the true value, in simulations with a known one."""

import numpy as np
from helpers.sweeps import masks_with_iou, sweep_with_iou

from ribstudy.evaluation.protocol import FROM_VAL, Scored, compare, resample, resample_masks

NUM_TRIALS, NUM_SAMPLES = 150, 300
GAIN = 0.02


def covered(found) -> bool:
    return found.difference.low <= GAIN <= found.difference.high


def share_of(trial, *, seed: int) -> float:
    """The share of trials whose interval contains the true gain."""
    rng = np.random.default_rng(seed)
    return np.mean([covered(trial(rng)) for _ in range(NUM_TRIALS)])


def gain_of(differences):
    """The comparison of two methods whose IoU differs so on the images with each training, [S, N]."""
    sides = ([masks_with_iou(*ious, size=10_000) for ious in (0.5 + share * differences)] for share in (0, 1))
    return compare(*(resample_masks(side, num_samples=NUM_SAMPLES) for side in sides))[FROM_VAL]


def test_intervals_cover_images_and_trainings():
    """Differences vary between images, between trainings, and between images within a training."""

    def trial(rng):
        return gain_of(GAIN + 0.1 * rng.normal(size=40) + 0.01 * rng.normal(size=(3, 1)) + 0.05 * rng.normal(size=(3, 40)))

    assert 0.9 <= share_of(trial, seed=0) <= 0.99


def test_three_trainings_that_vary_more_than_images_are_too_few():
    def trial(rng):
        return gain_of(GAIN + 0.01 * rng.normal(size=40) + 0.02 * rng.normal(size=(3, 1)))

    assert 0.7 <= share_of(trial, seed=3) <= 0.9


def test_intervals_cover_the_choice_of_thresholds():
    """The best thresholds of both methods are 0.5 and 0.52 high, and the images for choices often prefer another one."""
    means = np.array([[0.49, 0.5, 0.48], [0.52, 0.51, 0.5]])

    def trial(rng):
        def images(count):
            shared = 0.05 * rng.normal(size=(1, count, 1))
            ious = (means[:, None] + shared + 0.05 * rng.normal(size=(2, count, 3))).clip(0, 1)
            return [sweep_with_iou(of_method, size=10_000) for of_method in ious]

        sides = zip(images(60), images(30), strict=True)
        return compare(*(resample([Scored(*side)], num_samples=NUM_SAMPLES) for side in sides))[FROM_VAL]

    assert 0.9 <= share_of(trial, seed=1) <= 1


def test_intervals_of_nothing_leave_zero_out_in_one_of_twenty_cases():
    def trial(rng):
        sides = rng.normal(0.5, 0.1, (2, 60)).clip(0, 1)
        return compare(*(resample_masks([masks_with_iou(*side, size=10_000)], num_samples=NUM_SAMPLES) for side in sides))

    rng = np.random.default_rng(2)
    assert 0.01 <= np.mean([trial(rng)[FROM_VAL].difference.excludes_zero for _ in range(NUM_TRIALS)]) <= 0.1
