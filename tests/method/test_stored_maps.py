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
    "steps": replace(STEPS, steps=(*STEPS.steps, np.ones((3, 1, 4, 4)))),
    "rib": replace(STEPS, aggregation="last", normalization="range", logits=np.array([1.0, 2, 3]), stopped_by="margin"),
    "steps of another aggregation": replace(STEPS, aggregation="last", normalization="range"),
    "one step": replace(STEPS, steps=(np.ones((1, 1, 2, 2)),), logits=np.array([1.0]), stopped_by="spread"),
    "no class": StoredMaps(np.array([], int), (4, 5)),
}
NAMES = {
    "cam": {"keys", "size", "maps_0", "signed_0"},
    "steps": {"keys", "size", "iterates_0", "iterates_1"},
    "rib": {"keys", "size", "iterates_0", "aggregation", "normalization", "scores", "stopped_by"},
}


@pytest.mark.parametrize("case", CASES)
def test_a_file_gives_back_the_same_maps(tmp_path, case):
    stored = CASES[case]
    stored.save(tmp_path / "a.npz")
    found = StoredMaps.load(tmp_path / "a.npz")
    for name, value in vars(stored).items():
        if isinstance(value, tuple):
            assert len(value) == len(getattr(found, name))
            for expected, loaded in zip(value, getattr(found, name), strict=True):
                np.testing.assert_array_equal(loaded, expected)
        else:
            np.testing.assert_array_equal(getattr(found, name), value)


@pytest.mark.parametrize("case", NAMES)
def test_names_in_the_file_stay(tmp_path, case):
    CASES[case].save(tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as file:
        assert set(file.files) == NAMES[case]
