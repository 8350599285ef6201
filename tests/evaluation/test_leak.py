import numpy as np

from ribstudy.evaluation.leak import measure_leak, painted_share
from ribstudy.method.stored_maps import StoredMaps


def test_painted_share_by_hand():
    truth = np.array([[0, 0, 0, 0, 2, 255]], np.uint8)
    assert painted_share(np.array([[2, 2, 1, 0, 2, 2]]), truth, 1) == 0.5
    assert np.isnan(painted_share(truth, np.full_like(truth, 2), 1))


class OneImage:
    def mask(self, name):
        return np.array([[1] + [0] * 15] * 16, np.uint8)


def test_leak_over_the_maps():
    """One position at stride 16: the map is the same everywhere, so everything is painted if it is above the threshold."""
    short, longer = (StoredMaps(np.array([0]), (16, 16), steps=(np.ones((steps, 1, 1, 1), np.float32),)) for steps in (2, 3))
    found = measure_leak(OneImage(), {"a": short, "b": longer}, ["a", "b"], 0, cam=1.0, rib=0.5)
    assert found.cam.tolist() == [0, 0]
    assert found.rib.tolist() == [[1, 1, 1]] * 2
    assert found.extra.tolist() == [1, 1]
    assert found.growth.tolist() == [0, 0]
    only_short = measure_leak(OneImage(), {"a": short, "b": longer}, ["a"], 0, cam=1.0, rib=0.5)
    assert only_short.rib.tolist() == [[1, 1, 1]]  # as long as the longest adaptation of its data set
