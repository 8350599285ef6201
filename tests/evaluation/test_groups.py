import numpy as np
import pytest

from ribstudy.evaluation.groups import groups_of


@pytest.mark.parametrize("count", [1, 7, 1000])
def test_each_of_few_images_is_a_group(count):
    assert groups_of(count).tolist() == list(range(count))


def test_many_images_are_shuffled_into_groups_of_nearly_equal_size():
    groups = groups_of(2500)
    assert set(np.bincount(groups).tolist()) == {2, 3}
    assert len(np.bincount(groups)) == 1000
    np.testing.assert_array_equal(groups, groups_of(2500))
    assert len(set(groups[::10].tolist())) > 200  # a periodic part of the list is spread over the groups
