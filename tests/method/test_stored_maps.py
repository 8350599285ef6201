from dataclasses import replace

import numpy as np
import pytest

from ribstudy.method.stored_maps import StoredMaps

STEPS = StoredMaps(np.array([0]), (4, 4), steps=(np.arange(12.0).reshape(3, 1, 2, 2),))


def test_maps_of_the_first_steps_are_summed():
    assert STEPS.num_steps == 3
    assert STEPS.maps(steps=2)[0].tolist() == [[[4, 6], [8, 10]]]
    assert STEPS.maps()[0].tolist() == [[[12, 15], [18, 21]]]


def test_the_aggregation_is_read_from_the_stored_maps():
    last = replace(STEPS, aggregation="last")
    assert last.maps()[0].tolist() == [[[8, 9], [10, 11]]]
    assert last.maps(steps=1)[0].tolist() == [[[0, 1], [2, 3]]]


def test_the_normalisation_is_read_from_the_stored_maps():
    stored = StoredMaps(np.array([0]), (16, 32), steps=(np.array([[[[1.0, 3.0]]]], dtype=np.float32),))
    assert stored.normalized().min() == pytest.approx(1 / 3, rel=1e-4)
    assert replace(stored, normalization="range").normalized().min() == 0


@pytest.mark.parametrize(("stride", "expected"), [(1, (33, 46)), (4, (9, 12))])
def test_an_image_without_a_class_has_no_maps(stride, expected):
    stored = StoredMaps(np.array([], int), (33, 46))
    assert stored.num_steps == 1
    assert stored.normalized(stride=stride).shape == (0, *expected)


CASES = {
    "cam": StoredMaps(np.array([1]), (4, 5), steps=(np.ones((1, 1, 2, 2)),), signed=(np.full((1, 2, 2), -1.0),)),
    "two scales": replace(STEPS, steps=(*STEPS.steps, np.ones((3, 1, 4, 4)))),
    "rib": replace(STEPS, logits=np.array([1.0, 2, 3]), stopped_by="margin"),
    "no class": StoredMaps(np.array([], int), (4, 5)),
}
NAMES = {"keys", "size", "scores", "stopped_by"}
OWN_NAMES = {"cam": {"steps_0", "signed_0"}, "two scales": {"steps_0", "steps_1"}, "rib": {"steps_0"}, "no class": set()}


@pytest.mark.parametrize("case", CASES)
def test_arrays_give_back_the_same_maps(case):
    stored = CASES[case]
    found = StoredMaps.of_arrays(stored.to_arrays())
    for name, value in vars(stored).items():
        if isinstance(value, tuple):
            assert len(value) == len(getattr(found, name))
            for expected, loaded in zip(value, getattr(found, name), strict=True):
                np.testing.assert_array_equal(loaded, expected)
        else:
            np.testing.assert_array_equal(getattr(found, name), value)


@pytest.mark.parametrize("case", CASES)
def test_names_of_the_arrays_stay(case):
    assert set(CASES[case].to_arrays()) == NAMES | OWN_NAMES[case]


def test_the_combination_of_the_steps_is_not_stored():
    read = StoredMaps.of_arrays(replace(STEPS, aggregation="last", normalization="range").to_arrays())
    assert (read.aggregation, read.normalization) == ("raw", "maximum")


def test_the_map_of_each_scale_is_blurred_in_its_own_positions():
    peak = np.zeros((1, 1, 9, 9), dtype=np.float32)
    peak[..., 4, 4] = 1
    stored = StoredMaps(np.array([0]), (144, 144), steps=(peak, peak))
    blurred = replace(stored, blur=1.0).maps()
    assert stored.maps()[0].max() == 1
    np.testing.assert_array_equal(blurred[0], blurred[1])
    assert blurred[0].sum() == pytest.approx(1, rel=1e-5)
    assert blurred[0][0, 4, 5] / blurred[0][0, 4, 4] == pytest.approx(np.exp(-0.5), rel=1e-3)  # one position is one deviation
    assert replace(stored, blur=1.0).normalized().max() == pytest.approx(1, rel=1e-3)


def test_a_constant_map_stays_the_same_when_it_is_blurred():
    stored = StoredMaps(np.array([0]), (48, 64), steps=(np.full((1, 1, 3, 4), 2.0, dtype=np.float32),), blur=2.0)
    np.testing.assert_allclose(stored.maps()[0], 2.0, rtol=1e-6)
