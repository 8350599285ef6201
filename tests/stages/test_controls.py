from types import SimpleNamespace

import numpy as np

from ribstudy.config import load_settings
from ribstudy.method.maps import dilated
from ribstudy.method.stored_maps import StoredMaps
from ribstudy.stages.controls import COARSE, DILATED

PEAK = np.zeros((1, 2, 5, 5), np.float32)
PEAK[0, 0, 1, 2] = 3.0


def run_of(maps, **settings):
    return SimpleNamespace(stored=lambda stage: {"a": maps}, settings=load_settings("mini", settings))


def test_a_dilation_spreads_the_largest_value_over_a_square_of_the_same_class():
    found = dilated(PEAK[0], 1)
    assert found[0, :3, 1:4].tolist() == [[3.0] * 3] * 3
    assert found.sum() == 27
    assert dilated(np.zeros((0, 5, 5)), 2).shape == (0, 5, 5)


def test_the_stage_dilates_every_scale_of_the_cam():
    cam = StoredMaps(np.array([0, 4]), (80, 80), steps=(PEAK, PEAK[:, :, :4]), signed=(PEAK[0],))
    found = DILATED.worker(run_of(cam, **{"dilation.width": 2}), ["a"])("a")
    assert [maps.shape for maps in found.steps] == [(1, 2, 5, 5), (1, 2, 4, 5)]
    assert found.steps[0][0, 0, :4].min() == 3.0
    assert found.steps[0][0, 1].max() == 0
    assert found.signed == ()


def test_coarse_maps_are_of_the_maps_as_they_are_read():
    cam = StoredMaps(np.array([0, 4]), (80, 80), steps=(PEAK,))
    blurred = StoredMaps(np.array([0, 4]), (80, 80), steps=(PEAK,), blur=1.0)
    sharp, smooth = (COARSE["cam"].worker(run_of(maps), ["a"])("a")["maps"] for maps in (cam, blurred))
    assert sharp.shape == smooth.shape == (2, 5, 5)
    assert (sharp[0] > 0.1).sum() < (smooth[0] > 0.1).sum()
