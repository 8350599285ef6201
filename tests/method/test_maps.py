import numpy as np
import pytest
import torch

from ribstudy.method.maps import (
    NORMALIZATIONS,
    aggregate,
    merge_mirrored,
    normalize_by_maximum,
    resize_sum,
    seed_maps,
)


def test_mirrored_maps_are_merged_by_hand():
    maps = torch.tensor([[[[1.0, -2.0]]], [[[3.0, 5.0]]]])
    assert merge_mirrored(maps).tolist() == [[[6.0, 3.0]]]


@pytest.mark.parametrize(("stride", "expected"), [(1, (33, 46)), (4, (9, 12))])
def test_sizes(stride, expected):
    maps = [torch.rand(2, 3, 3), torch.rand(2, 5, 6)]
    assert resize_sum(maps, (33, 46), stride=stride).shape == (2, *expected)


def test_resizing_by_hand():
    # 16 x 17 pixels: the next multiples of 16 are 16 and 32; of the resized row of 32, 17 are kept
    row = torch.tensor([[[0.0, 1.0]]])
    out = resize_sum([row], (16, 17), stride=1)[0, 0]
    assert out.tolist() == pytest.approx([min(max((i + 0.5) / 16 - 0.5, 0), 1) for i in range(17)])


def test_normalization_by_hand_and_an_empty_map():
    maps = torch.tensor([[[2.0, 4.0]], [[0.0, 0.0]]])
    assert normalize_by_maximum(maps)[0, 0].tolist() == pytest.approx([2 / 4.00001, 4 / 4.00001])
    assert normalize_by_maximum(maps)[1].abs().sum() == 0


def test_a_positive_factor_does_not_change_the_seed():
    maps = [torch.rand(1, 4, 4)]
    torch.testing.assert_close(seed_maps([1000 * maps[0]], (40, 40)), seed_maps(maps, (40, 40)), rtol=1e-4, atol=1e-4)


def test_normalisations_by_hand():
    """A map of 1..200 and a single peak of 1000: its 99th percentile is between 198 and 200."""
    maps = torch.cat([torch.arange(1.0, 201), torch.tensor([1000.0])]).view(1, 3, 67)
    by = {name: normalize(maps)[0].flatten() for name, normalize in NORMALIZATIONS.items()}
    assert by["maximum"][[0, -1]].tolist() == pytest.approx([0.001, 1])
    assert by["range"][[0, 1, -1]].tolist() == pytest.approx([0, 1 / 999, 1])
    assert by["percentile"][-1] == 1
    assert by["percentile"][99].item() == pytest.approx(100 / np.percentile(maps, 99), rel=1e-4)
    for normalize in NORMALIZATIONS.values():
        assert normalize(torch.zeros(1, 2, 2)).abs().sum() == 0


def test_aggregations_by_hand():
    """Two steps whose maxima are 1 and 4."""
    steps = torch.tensor([[[[0.0, 1.0]]], [[[2.0, 4.0]]]])
    assert aggregate(steps, "raw").tolist() == [[[2, 5]]]
    assert aggregate(steps, "last").tolist() == [[[2, 4]]]
    np.testing.assert_allclose(aggregate(steps, "normalized"), [[[0.5, 2]]], rtol=2e-5)


def test_unknown_choices_are_refused():
    with pytest.raises(ValueError, match="aggregation 'mean' is unknown; known: raw, normalized, last"):
        aggregate(torch.zeros(2, 1, 2, 2), "mean")
    with pytest.raises(ValueError, match="normalization 'median' is unknown; known: maximum, range, percentile"):
        seed_maps([torch.zeros(1, 2, 2)], (32, 32), normalization="median")
