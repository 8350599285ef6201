import numpy as np
from helpers.scored_maps import Masks, halves

from ribstudy.evaluation.coverage import coverage_by_distance, measure_coverage
from ribstudy.method.stored_maps import StoredMaps


def test_coverage_by_hand():
    """The first method finds the object and nothing else, the second covers the whole image, the third nothing."""
    everywhere = StoredMaps(np.array([0]), (16, 16), steps=(np.ones((1, 1, 16, 16), np.float32),))
    object_alone = StoredMaps(np.array([0]), (16, 16), steps=(halves(1.0, 0.0).steps[0][:1],))
    stored = {"CAM": {"first": object_alone}, "all": {"first": everywhere}, "none": {"first": everywhere}}
    covered = measure_coverage(Masks(), stored, {"CAM": 0.5, "all": 0.5, "none": 1.0})
    reached = ~np.isnan(covered.objects["CAM"])
    assert reached.any()
    for method, (share_of_objects, share_of_background) in {"CAM": (1, 0), "all": (1, 1), "none": (0, 0)}.items():
        assert (covered.objects[method][reached] == share_of_objects).all()
        assert covered.background[method] == share_of_background


def test_coverage_by_distance_by_hand():
    region = np.zeros((1, 4), bool)
    region[0] = True
    predicted = np.array([[True, True, False, False]])
    covered, everything = coverage_by_distance(region, predicted, (0, 0), edges=[0, 0.75])
    # four pixels in a row, object size 2: distances 0, 0.5, 1, 1.5
    assert covered.tolist() == [2, 0]
    assert everything.tolist() == [2, 2]
