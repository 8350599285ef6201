import numpy as np
import pytest
import torch
from helpers.networks import tiny_net

from ribstudy.datasets.transforms import random_crop_view, views
from ribstudy.method.cam import (
    NORMALIZATIONS,
    cam_unit,
    merge_mirrored,
    normalize_by_maximum,
    resize_sum,
    seed_maps,
    stored_maps,
    stored_seed_maps,
)

IMAGE = np.random.default_rng(0).integers(0, 256, (33, 46, 3), dtype=np.uint8)


def test_mirrored_maps_are_merged_by_hand():
    maps = torch.tensor([[[[1.0, -2.0]]], [[[3.0, 5.0]]]])
    assert merge_mirrored(maps).tolist() == [[[6.0, 3.0]]]


def test_a_symmetric_image_has_a_symmetric_map():
    half = torch.randn(3, 16, 8, generator=torch.Generator().manual_seed(0))
    image = torch.cat([half, half.flip(-1)], dim=-1)
    maps = merge_mirrored(tiny_net()(torch.stack([image, image.flip(-1)])).detach())
    torch.testing.assert_close(maps, maps.flip(-1))


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


def test_a_positive_factor_leaves_the_seed():
    maps = [torch.rand(1, 4, 4)]
    torch.testing.assert_close(seed_maps([1000 * maps[0]], (40, 40)), seed_maps(maps, (40, 40)), rtol=1e-4, atol=1e-4)


def test_stored_unit_gives_the_maps_of_its_classes():
    net, label = tiny_net(), np.array([False, True, True])
    unit = cam_unit(net, views(IMAGE, (1.0, 0.5), net.normalization), label, (33, 46))
    direct = [merge_mirrored(net(view).detach()) for view in views(IMAGE, (1.0, 0.5), net.normalization)]
    for stored, maps in zip(stored_maps(unit), direct, strict=True):
        np.testing.assert_allclose(stored, maps[[1, 2]].numpy())
    assert unit["keys"].tolist() == [1, 2]
    assert stored_seed_maps(unit).shape == (2, 33, 46)
    assert stored_seed_maps(unit).max() <= 1


def test_image_without_a_class():
    unit = cam_unit(tiny_net(), views(IMAGE, (1.0,), ((0.5,) * 3, (0.5,) * 3)), np.zeros(3, bool), (33, 46))
    assert stored_seed_maps(unit).shape == (0, 33, 46)


def test_rib_units_sum_their_first_steps():
    unit = {"keys": np.array([0]), "size": np.array([4, 4]), "iterates_0": np.arange(12.0).reshape(3, 1, 2, 2)}
    assert stored_maps(unit, steps=2)[0].tolist() == [[[4, 6], [8, 10]]]
    assert stored_maps(unit)[0].tolist() == [[[12, 15], [18, 21]]]


def test_views_round_halves_to_even_and_mirror():
    made = views(IMAGE, (1.0, 0.5, 1.5), ((0.5,) * 3, (0.5,) * 3))
    assert [tuple(view.shape) for view in made] == [(2, 3, 33, 46), (2, 3, 16, 23), (2, 3, 50, 69)]
    torch.testing.assert_close(made[0][1], made[0][0].flip(-1))
    assert made[0][0, :, 0, 0].tolist() == pytest.approx((IMAGE[0, 0] / 127.5 - 1).tolist(), abs=1e-6)


@pytest.mark.parametrize("long_side", [(20, 20), (80, 80)])
def test_random_crop(long_side):
    def crop(seed):
        rng = np.random.default_rng(seed)
        return random_crop_view(IMAGE, long_side=long_side, crop_size=32, normalization=((0.5,) * 3, (0.25,) * 3), rng=rng)

    assert crop(0).shape == (3, 32, 32)
    assert torch.equal(crop(0), crop(0))
    assert not torch.equal(crop(0), crop(1))
    padded = (crop(0) == 0).all(dim=0).float().mean().item()
    assert padded == pytest.approx(1 - 20 * 14 / 32**2 if long_side == (20, 20) else 0, abs=0.01)


def test_how_steps_become_one_map_is_read_from_the_unit():
    """Two steps whose maxima are 1 and 4, by hand."""
    steps = np.array([[[[0.0, 1.0]]], [[[2.0, 4.0]]]], dtype=np.float32)
    unit = {"keys": np.array([0]), "size": np.array([1, 2]), "iterates_0": steps}
    as_read = {how: stored_maps({**unit, "aggregation": np.array(how)})[0] for how in ("raw", "normalized", "last")}
    assert as_read["raw"].tolist() == [[[2, 5]]]
    assert as_read["last"].tolist() == [[[2, 4]]]
    np.testing.assert_allclose(as_read["normalized"], [[[0.5, 2]]], rtol=2e-5)
    assert stored_maps({**unit, "aggregation": np.array("last")}, steps=1)[0].tolist() == [[[0, 1]]]


def test_normalisations_by_hand():
    """A map of 1..200 and a lone peak of 1000: its 99th percentile lies between 198 and 200."""
    maps = torch.cat([torch.arange(1.0, 201), torch.tensor([1000.0])]).view(1, 3, 67)
    by = {name: normalize(maps)[0].flatten() for name, normalize in NORMALIZATIONS.items()}
    assert by["maximum"][[0, -1]].tolist() == pytest.approx([0.001, 1])
    assert by["range"][[0, 1, -1]].tolist() == pytest.approx([0, 1 / 999, 1])
    assert by["percentile"][-1] == 1
    assert by["percentile"][99].item() == pytest.approx(100 / np.percentile(maps, 99), rel=1e-4)
    for normalize in NORMALIZATIONS.values():
        assert normalize(torch.zeros(1, 2, 2)).abs().sum() == 0


def test_the_normalisation_of_a_seed_is_read_from_the_unit():
    unit = {"keys": np.array([0]), "size": np.array([16, 32]), "iterates_0": np.array([[[[1.0, 3.0]]]], dtype=np.float32)}
    assert stored_seed_maps(unit).min() == pytest.approx(1 / 3, rel=1e-4)
    assert stored_seed_maps({**unit, "normalization": np.array("range")}).min() == 0
