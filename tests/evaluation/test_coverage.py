import numpy as np
import pytest
from helpers.scored_maps import ManyMasks, Masks, halves, scored

from ribstudy.evaluation.coverage import coverage, coverage_gain
from ribstudy.evaluation.map_scores import DISTANCE_EDGES
from ribstudy.evaluation.metrics import DEFAULT_THRESHOLDS
from ribstudy.evaluation.predictions import predicted_mask
from ribstudy.evaluation.protocol import BEST, FROM_VAL, RULES, Scored, resample
from ribstudy.evaluation.sweeps import sweep_scores
from ribstudy.method.stored_maps import StoredMaps


def flat(value):
    return StoredMaps(np.array([0]), (16, 16), steps=(np.full((1, 1, 16, 16), value, np.float32),))


def drawn_from(scores, **options):
    return resample([Scored(sweep_scores(scores, **options))], num_samples=50)


def test_coverage_by_hand():
    """The first method finds the object and nothing else, the second covers the whole image, the third nothing."""
    object_alone = StoredMaps(np.array([0]), (16, 16), steps=(halves(1.0, 0.0).steps[0][:1],))
    stored = {"CAM": {"first": object_alone}, "all": {"first": flat(0.5)}, "none": {"first": flat(0)}}
    drawn = {method: drawn_from(scored(Masks(), maps, cam=stored["CAM"])) for method, maps in stored.items()}
    for method, (share_of_objects, share_of_background) in {"CAM": (1, 0), "all": (1, 1), "none": (0, 0)}.items():
        found = coverage(drawn[method])[BEST]
        assert [estimate.value for estimate in found.objects] == [share_of_objects] * len(DISTANCE_EDGES)
        assert found.background.value == share_of_background
    gain = coverage_gain(drawn["all"], drawn["CAM"])[BEST]
    assert (gain.background.value, gain.objects[0].value, gain.objects[0].low) == (-1, 0, 0)


def test_an_object_without_pixels_has_no_coverage():
    """The map, which is the same everywhere, is of a class that the second image does not show."""
    found = coverage(drawn_from(scored(Masks(), {"second": flat(0.5)})))[BEST]
    assert found.background.value == 1
    assert all(np.isnan(estimate.value) and estimate.low is None for estimate in found.objects)


def test_shares_equal_pixels_of_predicted_masks_at_the_threshold_of_each_training():
    data = ManyMasks(40)
    sweep = sweep_scores(data.scores())
    others = ManyMasks(3)
    trainings = [Scored(sweep, sweep_scores({"a": of_image})) for of_image in others.scores().values()]
    drawn = resample(trainings, num_samples=5)
    indices = drawn.chosen[FROM_VAL]
    assert len(set(indices)) == 3
    background, near = [], []
    for index in indices:
        masks = {name: predicted_mask(maps, DEFAULT_THRESHOLDS[index]) for name, maps in data.stored().items()}
        background.append(np.mean(np.concatenate([masks[name][data.mask(name) == 0] for name in masks]) > 0))
        covered = sum(of_image.covered[:, 0, index + 1 :].sum() for of_image in data.scores().values())
        near.append(covered / sum(of_image.distances[:, 0].sum() for of_image in data.scores().values()))
    found = coverage(drawn)
    assert list(found) == list(RULES)
    assert found[FROM_VAL].background.value == pytest.approx(np.mean(background))
    assert found[FROM_VAL].objects[0].value == pytest.approx(np.mean(near))
    assert found[FROM_VAL].background.low < found[FROM_VAL].background.value < found[FROM_VAL].background.high


def test_gains_are_paired_differences():
    """A method has no gain over itself, in any sample."""
    drawn = drawn_from(ManyMasks(30).scores())
    for found in coverage_gain(drawn, drawn).values():
        for estimate in (*found.objects, found.background):
            assert np.isnan(estimate.value) or (estimate.value, estimate.low, estimate.high) == (0, 0, 0)


def test_only_maps_of_all_steps_have_a_coverage():
    scores = ManyMasks(5).scores()
    partial, whole = drawn_from(scores, steps=1), drawn_from(scores)
    assert coverage(partial) == coverage_gain(whole, partial) == {}
    with pytest.raises(ValueError, match="not of the same images"):
        coverage_gain(whole, drawn_from(ManyMasks(6).scores()))
