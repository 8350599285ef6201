import numpy as np
import pytest
import torch
from helpers.networks import tiny_net

from ribstudy.datasets.transforms import random_crop_view, views
from ribstudy.method.cam import compute_cam
from ribstudy.method.maps import merge_mirrored

IMAGE = np.random.default_rng(0).integers(0, 256, (33, 46, 3), dtype=np.uint8)


def test_a_symmetric_image_has_a_symmetric_map():
    half = torch.randn(3, 16, 8, generator=torch.Generator().manual_seed(0))
    image = torch.cat([half, half.flip(-1)], dim=-1)
    maps = merge_mirrored(tiny_net()(torch.stack([image, image.flip(-1)])).detach())
    torch.testing.assert_close(maps, maps.flip(-1))


def test_maps_are_of_the_classes_of_the_image():
    net, label = tiny_net(), np.array([False, True, True])
    own = views(IMAGE, (1.0, 0.5), net.normalization)
    found = compute_cam(net, own, label, (33, 46))
    assert found.classes.tolist() == [1, 2]
    for stored, signed, view in zip(found.steps, found.signed, own, strict=True):
        maps = net(view).detach()
        np.testing.assert_allclose(stored, merge_mirrored(maps)[None, [1, 2]].numpy())
        np.testing.assert_allclose(signed, maps[0, [1, 2]].numpy())
    assert found.normalized().shape == (2, 33, 46)
    assert found.normalized().max() <= 1


def test_image_without_a_class():
    found = compute_cam(tiny_net(), views(IMAGE, (1.0,), ((0.5,) * 3, (0.5,) * 3)), np.zeros(3, bool), (33, 46))
    assert found.normalized().shape == (0, 33, 46)


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
