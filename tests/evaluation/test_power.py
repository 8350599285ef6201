"""Power analysis: known parts of a variance are found again, and predict what larger designs report."""

import numpy as np
import pytest
from helpers.sweeps import counts_with_iou, masks_with_iou, sweep_with_iou

from ribstudy.evaluation.mask_scores import MaskScores
from ribstudy.evaluation.power import VarianceParts, variance_parts
from ribstudy.evaluation.protocol import BEST, FROM_VAL, Scored, compare, resample, resample_masks
from ribstudy.evaluation.statistics import DETECTABLE

PARTS = VarianceParts(images=0.08**2, trainings=0.01**2, rest=0.04**2)


def pilot(num_images, num_trainings, *, seed, parts=PARTS, num_samples=400):
    """Two methods whose differences in IoU have a variance of these parts; their IoU is the mean over the images."""
    rng = np.random.default_rng(seed)
    difference = 0.1 + parts.images**0.5 * rng.normal(size=(1, num_images))
    difference = difference + parts.trainings**0.5 * rng.normal(size=(num_trainings, 1))
    difference = difference + parts.rest**0.5 * rng.normal(size=(num_trainings, num_images))
    sides = (np.full((num_trainings, num_images), 0.4), 0.4 + difference)
    return [resample_masks([masks(ious) for ious in side], num_samples=num_samples) for side in sides]


def masks(ious):
    return MaskScores(tuple(map(str, range(len(ious)))), counts_with_iou(ious, size=10_000), np.zeros((1, 1)))


def test_the_parts_of_a_known_variance_are_found():
    """Means over pilots; one pilot of few trainings knows the part of trainings only roughly."""
    found = [variance_parts(*pilot(40, 4, seed=seed)) for seed in range(60)]
    for part, expected in vars(PARTS).items():
        assert np.mean([getattr(parts, part) for parts in found]) == pytest.approx(expected, rel=0.15)


def test_a_large_pilot_knows_the_parts():
    found = variance_parts(*pilot(400, 30, seed=0, num_samples=1500))
    assert (found.images, found.trainings, found.rest) == pytest.approx((PARTS.images, PARTS.trainings, PARTS.rest), rel=0.3)


@pytest.mark.parametrize("parts", [PARTS, VarianceParts(images=0.03**2, trainings=0.0, rest=0.1**2)])
def test_predicted_standard_errors_are_those_of_the_protocol(parts):
    """They are not smaller than the deviation of the differences, and larger if trainings differ on every image."""
    differences = [compare(*pilot(100, 3, seed=seed, parts=parts))[FROM_VAL].difference for seed in range(60)]
    reported = np.sqrt(np.mean([found.standard_error**2 for found in differences]))
    assert parts.standard_error(100, 3) == pytest.approx(reported, rel=0.1)
    deviation = np.sqrt(parts.images / 100 + parts.trainings / 3 + parts.rest / 300)
    assert np.std([found.value for found in differences]) == pytest.approx(deviation, rel=0.2)
    assert deviation < reported < 3**0.5 * deviation


def test_predictions_by_hand():
    parts = VarianceParts(images=0.03, trainings=0.0003, rest=0.01)
    assert parts.standard_error(100, 3) ** 2 == pytest.approx(0.0003 + 0.0001 + 0.0001)
    assert parts.detectable(100, 3) == pytest.approx(DETECTABLE * 0.0005**0.5)
    assert parts.images_for(DETECTABLE * 0.0005**0.5 + 1e-9, 3) == 100
    assert parts.images_for(DETECTABLE * 0.0002**0.5 + 1e-9, 3) == 400
    assert parts.images_for(DETECTABLE * 0.0001**0.5 - 1e-9, 3) is None  # three trainings vary by as much, on all images
    assert parts.images_for(10, 3) == 1


@pytest.mark.parametrize("effect", [0.02, 0.035, 0.05])
def test_the_number_of_images_is_the_smallest(effect):
    count = PARTS.images_for(effect, 4)
    assert PARTS.detectable(count, 4) <= effect < PARTS.detectable(count - 1, 4)


def test_without_a_difference_nothing_varies():
    side = resample([Scored(sweep_with_iou(np.random.default_rng(0).uniform(0.2, 0.8, (9, 3))))] * 2, num_samples=50)
    assert variance_parts(side, side, rule=BEST) == VarianceParts(0, 0, 0)


def test_a_pilot_needs_two_trainings_and_images():
    for trainings in ([masks_with_iou(0.2, 0.4)], [masks_with_iou(0.2)] * 2):
        drawn = resample_masks(trainings, num_samples=10)
        with pytest.raises(ValueError, match="a pilot needs at least two of each"):
            variance_parts(drawn, drawn)
