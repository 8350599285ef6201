import itertools

import numpy as np
import pytest

from ribstudy.config import load_settings
from ribstudy.toy import experiment, gradients, network
from ribstudy.toy.data import REGIONS


@pytest.mark.parametrize("depth", [2, 5])
def test_first_gradient_map_is_uniform_up_to_the_border(settings, scenes, depth):
    net = network.build_net(settings.model_copy(update={"depth": depth}), num_outputs=1, seed=0)
    images, _ = experiment.as_tensors(scenes)
    maps = gradients.gradient_maps(net, images[:3], activation=network.ACTIVATIONS["sigmoid"])
    assert maps.shape == (depth + 2, 3, settings.canvas, settings.canvas)
    assert len(gradients.layer_names(depth)) == len(maps)
    np.testing.assert_allclose(maps[0], maps[0, 0, 0, 0], rtol=1e-4)
    assert maps[1].std() > 0


@pytest.mark.parametrize("name", ["sigmoid", "softmax", "tanh", "softplus"])
def test_last_activation_leaves_the_map_normalised_by_its_maximum(settings, scenes, name):
    activation = network.ACTIVATIONS[name]
    net = network.build_net(settings, num_outputs=activation.num_outputs, seed=0)
    images, _ = experiment.as_tensors(scenes)
    before, after = gradients.gradient_maps(net, images[:4], activation=activation)[-2:]
    assert not np.allclose(before, after)
    normalized = [gradients.normalize(maps, normalization="per_map") for maps in (before, after)]
    np.testing.assert_allclose(*normalized, atol=1e-5)
    common = [gradients.normalize(maps, normalization="common") for maps in (before, after)]
    assert not np.allclose(*common, atol=1e-3)


def at(ratios, threshold):
    return ratios[..., gradients.threshold_index(threshold)].tolist()


def test_high_gradient_ratio_by_hand():
    maps = np.array([[[1.0, 0.4], [0.2, 0.0]], [[4.0, 2.0], [1.0, 0.0]]])
    left = np.array([[[True, False], [True, False]]] * 2)
    per_map, common = (
        gradients.high_gradient_ratios(maps, {"left": left, "right": ~left}, normalization=name)
        for name in gradients.NORMALIZATIONS
    )
    # per map: 1.0, 0.2 and 1.0, 0.25 in the left column; common (by 4): 0.25, 0.05 and 1.0, 0.25
    assert at(per_map, 0.3) == [[0.5, 0.5], [0.5, 0.5]]
    assert at(common, 0.3) == [[0.0, 0.5], [0.0, 0.5]]
    assert at(per_map, 0.25) == [[0.5, 0.5], [0.5, 0.5]]  # a gradient of exactly the threshold is not above it
    assert at(per_map, 0.24) == [[0.5, 1.0], [0.5, 0.5]]
    assert at(per_map, 0.99) == [[0.5, 0.5], [0.0, 0.0]]
    with pytest.raises(ValueError, match="per_map, common"):
        gradients.high_gradient_ratios(maps, {"left": left}, normalization="none")


def test_a_map_of_zeros_has_no_high_gradient_and_a_region_without_pixels_no_ratio():
    maps, everywhere = np.zeros((1, 2, 2)), np.ones((1, 2, 2), dtype=bool)
    ratios = gradients.high_gradient_ratios(maps, {"all": everywhere, "none": ~everywhere}, normalization="per_map")
    assert (ratios[0] == 0).all()
    assert np.isnan(ratios[1]).all()


def test_mean_ratios_equal_a_comparison_with_each_threshold():
    rng = np.random.default_rng(0)
    maps = rng.choice(np.linspace(0, 2, 201, dtype=np.float32), (2, 5, 6, 6))  # many equal one of the thresholds
    regions = {name: rng.random(maps.shape[1:]) < 0.5 for name in REGIONS}

    def slow(layer, normalization, mask, threshold):
        high = gradients.normalize(layer, normalization=normalization) > threshold
        return ((high & mask).sum(axis=(1, 2)) / mask.sum(axis=(1, 2))).mean()

    parts = itertools.product(gradients.NORMALIZATIONS, maps, regions.values(), gradients.THRESHOLDS.tolist())
    expected = [slow(layer, normalization, mask, threshold) for normalization, layer, mask, threshold in parts]
    ratios = gradients.mean_ratios(maps, regions)
    assert ratios.shape == (len(gradients.NORMALIZATIONS), 2, len(REGIONS), len(gradients.THRESHOLDS))
    np.testing.assert_array_equal(ratios.astype(np.float32).ravel(), np.float32(expected))


def test_mean_ratios_are_ordered_by_normalisation_layer_and_region():
    maps = np.zeros((2, 1, 2, 2))
    maps[0, 0, 0, 0] = 1.0  # layer 0 sees the digit alone, layer 1 everything
    maps[1] = 1.0
    digit = np.array([[[True, False], [False, False]]])
    marker = np.array([[[False, True], [False, False]]])
    regions = dict(zip(REGIONS, (digit, marker, ~(digit | marker)), strict=True))
    assert at(gradients.mean_ratios(maps, regions), 0.3) == [[[1, 0, 0], [1, 1, 1]]] * 2


def test_every_possible_setting_of_the_threshold_is_known_and_nothing_else():
    for index, threshold in enumerate(gradients.THRESHOLDS):
        assert load_settings("mini", {"toy.hgr_threshold": float(threshold)}).toy.hgr_threshold == threshold
        assert gradients.threshold_index(threshold) == index
    for threshold in (0.0, 0.305, 1.0):
        with pytest.raises(ValueError, match=r"toy.hgr_threshold = .*: Input should be"):
            load_settings("mini", {"toy.hgr_threshold": threshold})
        with pytest.raises(ValueError, match=r"known at 0.01, 0.02, \.\.\., 0.99"):
            gradients.threshold_index(threshold)


def test_the_effect_is_the_fall_in_the_marker_minus_the_fall_in_the_digit():
    before = np.array([[0.6], [0.9], [0.5]])  # digit, marker, rest, at one threshold
    after = np.array([[0.4], [0.1], [0.5]])
    assert gradients.extra_falls(before, after) == pytest.approx([0.8 - 0.2])
    assert gradients.extra_falls(before[:2], after[:2]) == pytest.approx([0.8 - 0.2])  # the rest has no part in it
