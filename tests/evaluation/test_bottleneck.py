"""Gradients and logits of one image: hand-computed cases, and that measuring changes nothing."""

import numpy as np
import pytest
import torch
from helpers.networks import tiny_net

from ribstudy.evaluation import bottleneck
from ribstudy.evaluation.bottleneck import OUTPUTS
from ribstudy.method.rib import adapt_features, stored_adaptation
from ribstudy.method.settings import RibSettings
from ribstudy.models.cam_net import build_cam_net

SETTINGS = RibSettings(iterations=3, learning_rate=0.05, scales=(1.0,), loss_scales=(1.0,), spread_ratio=1.0)


@pytest.fixture
def case():
    """A small network, an image with two of three classes, and what its adaptation needs."""
    net, generator = tiny_net(), torch.Generator().manual_seed(0)
    plain = torch.randn(3, 24, 32, generator=generator)
    view = torch.stack([plain, plain.flip(-1)])
    truth = np.zeros((24, 32), np.uint8)
    truth[4:12, 4:20], truth[14:20, 10:30], truth[0] = 1, 3, 255
    aux = [(net.features(torch.randn(2, 3, 16, 16, generator=generator)), torch.eye(3)[[1, 1]]) for _ in range(2)]
    return net, view, [net.features(view)], np.array([1, 0, 1], bool), truth, aux


@pytest.mark.parametrize(
    ("backbone", "stages"),
    [
        ("resnet50", ["stem", *(f"stage {number}" for number in range(1, 5))]),
        ("tf_efficientnet_lite0", ["stem", *(f"stage {number}" for number in range(7)), "head"]),
    ],
)
def test_every_stage_of_a_backbone_is_a_depth_and_together_they_are_the_network(backbone, stages):
    net = build_cam_net(backbone, num_classes=2).eval()
    assert bottleneck.depth_names(net) == [*stages, *OUTPUTS]
    image = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    values = image
    with torch.no_grad():
        for modules in bottleneck._stages(net).values():
            for module in modules:
                values = module(values)
        assert torch.equal(net.classifier(values), net(image))
    gradients = bottleneck.depth_gradients(net, image, torch.tensor([1.0, 0.0]))
    assert gradients.shape == (len(stages) + len(OUTPUTS), 64, 64)
    assert (gradients.max(axis=(1, 2)) > 0).all()


def test_gradients_are_slopes(case):
    """The logits' map is the slope of the pooled class map: moving the image along one pixel's gradient shows it."""
    net, view, _, label, *_ = case
    net = net.double()
    image, labels = view[:1].double(), torch.as_tensor(label, dtype=torch.float64)
    gradients = bottleneck.depth_gradients(net, image, labels)
    step, slopes = 1e-5, []
    for colour in range(3):
        moved = [image.clone(), image.clone()]
        moved[0][0, colour, 9, 13] += step
        moved[1][0, colour, 9, 13] -= step
        up, down = (net.classifier(net.trained(net.frozen(m))).mean(dim=(2, 3))[0, [0, 2]].sum().item() for m in moved)
        slopes.append((up - down) / (2 * step))
    at = bottleneck.depth_names(net).index("logits")
    assert gradients[at, 9, 13] == pytest.approx(np.linalg.norm(slopes), rel=1e-4)


def test_a_sigmoid_of_one_logit_changes_no_ratio(case):
    net, view, *_ = case
    gradients = bottleneck.depth_gradients(net, view[:1], torch.tensor([0.0, 1.0, 0.0]))
    regions = np.ones((3, 24, 32), bool)
    counts = bottleneck.high_counts(gradients, regions)
    assert np.array_equal(counts[-1], counts[-2])
    assert not np.allclose(gradients[-1], gradients[-2])


def test_regions_by_hand():
    truth = np.array([[0, 1, 1, 255], [0, 3, 3, 2]], np.uint8)
    maps = np.array([[[0.9, 0.9, 0.1, 0.9], [0.9] * 4], [[0.9] * 4, [0.9, 0.3, 0.31, 0.9]]])  # of classes 0 and 2
    inside, rest, background = bottleneck.region_masks(truth, np.array([0, 2]), maps, 0.3)
    assert inside.tolist() == [[False, True, False, False], [False, False, True, False]]
    assert rest.tolist() == [[False, False, True, False], [False, True, False, False]]
    assert background.tolist() == [[True, False, False, False], [True, False, False, False]]


def test_high_counts_by_hand():
    gradients = np.array([[[10.0, 4.0], [3.0, 1.0]], [[0.0, 0.0], [0.0, 0.0]]])
    regions = np.array([[[1, 1], [0, 0]], [[0, 0], [1, 1]], [[0, 0], [0, 0]]], bool)
    counts = bottleneck.high_counts(gradients, regions, (0.3, 0.4))
    assert counts.tolist() == [[[2, 1], [0, 0], [0, 0]], [[0, 0]] * 3]  # 0.3 and 0.4 do not exceed themselves
    assert np.array_equal(bottleneck.high_counts(1000 * gradients, regions, (0.3, 0.4)), counts)


def test_measuring_leaves_the_network_and_the_adaptation_as_they_are(case):
    net, view, features, label, truth, aux = case
    before = {name: value.clone() for name, value in net.state_dict().items()}
    arrays = bottleneck.measure_image(net, view, features, label, truth, iter(aux), SETTINGS)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(parameter.grad is None for parameter in net.parameters())

    labels = torch.as_tensor(label, dtype=torch.float32)
    adaptation = adapt_features(net, features, labels, iter(aux), SETTINGS)
    plain = stored_adaptation(adaptation, label, truth.shape)
    # RIB sums the labelled logits over both views; `gndrp` is their mean.
    assert 2 * arrays["gndrp"][:, label].sum(axis=1) == pytest.approx(plain.logits, rel=1e-5)
    assert arrays["gap"].shape == arrays["gndrp"].shape == (3, 3)
    assert np.array_equal(arrays["gap"][:, ~label], arrays["gndrp"][:, ~label])


def test_after_is_the_last_state_whose_map_counts(case):
    net, view, features, label, truth, aux = case
    arrays = bottleneck.measure_image(net, view, features, label, truth, iter(aux), SETTINGS)
    first = bottleneck.measure_image(
        net, view, features, label, truth, iter(aux), SETTINGS.model_copy(update={"iterations": 1})
    )
    assert np.array_equal(first["high"][0], first["high"][1])
    assert np.array_equal(first["high"][0], arrays["high"][0])
    assert not np.array_equal(arrays["high"][0], arrays["high"][1])
    assert (arrays["high"] <= arrays["pixels"][:, None]).all()
    assert arrays["pixels"][0] + arrays["pixels"][1] == ((truth > 0) & (truth < 255)).sum()


def test_an_image_without_a_class_has_its_label_alone(case):
    net, view, features, label, truth, aux = case
    assert list(bottleneck.measure_image(net, view, features, 0 * label, truth, iter(aux), SETTINGS)) == ["label"]
