import numpy as np
import pytest
from helpers.scored_maps import ManyMasks, Masks, halves, scored

from ribstudy.evaluation.coverage import measure_coverage
from ribstudy.evaluation.metrics import DEFAULT_THRESHOLDS
from ribstudy.evaluation.predictions import predicted_mask
from ribstudy.method.stored_maps import StoredMaps


def test_coverage_by_hand():
    """The first method finds the object and nothing else, the second covers the whole image, the third nothing."""
    everywhere = StoredMaps(np.array([0]), (16, 16), steps=(np.full((1, 1, 16, 16), 0.5, np.float32),))
    object_alone = StoredMaps(np.array([0]), (16, 16), steps=(halves(1.0, 0.0).steps[0][:1],))
    empty = StoredMaps(np.array([0]), (16, 16), steps=(np.zeros((1, 1, 16, 16), np.float32),))
    stored = {"CAM": {"first": object_alone}, "all": {"first": everywhere}, "none": {"first": empty}}
    scores = {method: scored(Masks(), maps, cam=stored["CAM"]) for method, maps in stored.items()}
    covered = measure_coverage(scores, dict.fromkeys(scores, 50))
    reached = ~np.isnan(covered.objects["CAM"])
    assert reached.any()
    for method, (share_of_objects, share_of_background) in {"CAM": (1, 0), "all": (1, 1), "none": (0, 0)}.items():
        assert (covered.objects[method][reached] == share_of_objects).all()
        assert covered.background[method] == share_of_background


def test_shares_equal_pixels_of_predicted_masks():
    data = ManyMasks(40)
    stored, scores = data.stored(), data.scores()
    covered = measure_coverage({"a": scores, "b": scores}, {"a": 20, "b": 70})
    for method, index in (("a", 20), ("b", 70)):
        masks = {name: predicted_mask(maps, DEFAULT_THRESHOLDS[index]) for name, maps in stored.items()}
        background = np.concatenate([masks[name][data.mask(name) == 0] for name in stored])
        assert covered.background[method] == (background > 0).mean()
        objects = sum(of_image.distances.sum(axis=0) for of_image in scores.values())
        pairs = [(masks[name], data.mask(name), key + 1) for name, maps in stored.items() for key in maps.classes]
        found = sum(((mask == value) & (truth == value)).sum() for mask, truth, value in pairs)
        assert np.nansum(covered.objects[method] * objects) == pytest.approx(found)


def test_methods_are_covered_on_the_same_images():
    scores = ManyMasks(3).scores()
    with pytest.raises(ValueError, match="not scored on the same images"):
        measure_coverage({"CAM": scores, "RIB": {"0001": scores["0001"]}}, {"CAM": 1, "RIB": 1})
