import numpy as np
import pytest

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


def test_high_gradient_ratio_by_hand():
    maps = np.array([[[1.0, 0.4], [0.2, 0.0]], [[4.0, 2.0], [1.0, 0.0]]])
    left = np.array([[[True, False], [True, False]]] * 2)

    def ratio(normalization):
        return gradients.high_gradient_ratio(maps, left, threshold=0.3, normalization=normalization)

    # per map: 1.0, 0.2 and 1.0, 0.25 in the left column; common (by 4): 0.25, 0.05 and 1.0, 0.25
    assert ratio("per_map").tolist() == [0.5, 0.5]
    assert ratio("common").tolist() == [0.0, 0.5]
    assert gradients.high_gradient_ratio(maps, ~left, threshold=0.3, normalization="per_map").tolist() == [0.5, 0.5]
    zero = gradients.high_gradient_ratio(np.zeros_like(maps), left, threshold=0.3, normalization="per_map")
    assert zero.tolist() == [0.0, 0.0]
    with pytest.raises(ValueError, match="per_map, common"):
        ratio("none")


def test_mean_ratios_are_ordered_by_normalisation_layer_and_region():
    maps = np.zeros((2, 1, 2, 2))
    maps[0, 0, 0, 0] = 1.0  # layer 0 sees the digit alone, layer 1 everything
    maps[1] = 1.0
    digit = np.array([[[True, False], [False, False]]])
    marker = np.array([[[False, True], [False, False]]])
    regions = dict(zip(REGIONS, (digit, marker, ~(digit | marker)), strict=True))
    ratios = gradients.mean_ratios(maps, regions, threshold=0.3)
    assert ratios.tolist() == [[[1, 0, 0], [1, 1, 1]]] * 2
