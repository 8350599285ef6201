import numpy as np
import pytest
import torch
from helpers.networks import tiny_net
from torchcam.methods import GradCAMpp

from ribstudy.config import load_settings
from ribstudy.datasets.transforms import views
from ribstudy.method.cam import compute_cam
from ribstudy.method.other.gradcam import PooledClassifier, class_maps, compute_gradcam, gradient_weights
from ribstudy.method.settings import BaselineSettings
from ribstudy.models.cam_net import build_cam_net

IMAGE = np.random.default_rng(0).integers(0, 256, (33, 46, 3), dtype=np.uint8)
LABEL = np.array([True, False, True])
METHODS = ("cam", "gradcam", "gradcam++", "layercam")


def maps_of(net, method, layers=("trained",), scales=(1.0,), label=LABEL):
    made = views(IMAGE, scales, net.normalization)
    return compute_gradcam(net, made, label, IMAGE.shape[:2], BaselineSettings(method=method, layers=layers))


def test_cam_of_torchcam_is_ours():
    net = tiny_net()
    scales = (1.0, 0.5)
    ours = compute_cam(net, views(IMAGE, scales, net.normalization), LABEL, IMAGE.shape[:2])
    theirs = maps_of(net, "cam", scales=scales)
    assert theirs.classes.tolist() == [0, 2]
    for their_maps, our_maps in zip(theirs.steps, ours.steps, strict=True):
        np.testing.assert_allclose(their_maps, our_maps, rtol=1e-4, atol=1e-6)


def test_gradcam_at_the_last_layer_is_the_cam_divided_by_the_number_of_positions():
    net = tiny_net()
    cam, grad = maps_of(net, "cam").steps[0][0], maps_of(net, "gradcam").steps[0][0]
    assert cam.max() > 0
    np.testing.assert_allclose(grad * cam[0].size, cam, rtol=1e-4, atol=1e-6)


def test_gradcam_at_an_earlier_layer_is_another_map():
    net = tiny_net()
    cam, early = maps_of(net, "cam"), maps_of(net, "gradcam", layers=("frozen",))
    assert early.steps[0].shape[-2] > cam.steps[0].shape[-2]  # this layer has a higher resolution
    assert np.abs(early.normalized() - cam.normalized()).max() > 0.1


@pytest.mark.parametrize("layer", ["trained", "frozen"])
def test_layercam_against_a_slow_version(layer):
    net, label = tiny_net(), np.array([False, True, False])
    (view,) = views(IMAGE, (1.0,), net.normalization)
    frozen = net.frozen(view).detach().requires_grad_()
    last = net.trained(frozen)
    features = {"frozen": frozen, "trained": last}[layer]
    logit = net.classifier(last).mean(dim=(2, 3))[:, 1].sum()
    (gradient,) = torch.autograd.grad(logit, features)
    expected = torch.zeros(features.shape[2:])
    for side in (0, 1):
        one = sum((gradient[side, k].clamp(min=0) * features[side, k]).detach() for k in range(features.shape[1])).clamp(min=0)
        expected += one.flip(-1) if side else one
    found = maps_of(net, "layercam", layers=(layer,), label=label).steps[0][0][0]
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-4, atol=1e-6)


def test_gradient_weights_by_hand():
    # alpha = 1 / (2 + g * sum(A)): 1/2 for g = 0.5 and sum 0; a gradient of 0 or less contributes nothing
    gradients = torch.tensor([[[[0.5, -0.5]], [[0.0, 0.25]]]])
    activations = torch.tensor([[[[1.0, -1.0]], [[3.0, 5.0]]]])
    expected = [0.5 * 0.5, 0.25 / (2 + 0.25 * 8)]
    assert gradient_weights(gradients, activations)[0].tolist() == pytest.approx(expected)


def test_torchcam_loses_the_coefficients_of_gradcampp():
    """If this fails, torch-cam has fixed the error and `WeightedGradCAMpp` is no longer needed."""
    net = PooledClassifier(tiny_net())
    (view,) = views(IMAGE, (1.0,), ((0.5,) * 3, (0.5,) * 3))
    with GradCAMpp(net, "net.trained") as extractor:
        scores = net(view.requires_grad_())
        (weights,) = extractor._get_weights(0, scores)
        gradients = extractor.hook_g[0]
    torch.testing.assert_close(weights, (gradients.square() * gradients.relu()).sum(dim=(2, 3)))


@pytest.mark.parametrize("method", METHODS)
def test_a_method_leaves_the_network_as_it_was(method):
    net = tiny_net()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    maps_of(net, method)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(parameter.grad is None for parameter in net.parameters())
    assert not any(module._forward_hooks for module in net.modules())


@pytest.mark.parametrize("method", METHODS)
def test_classes_do_not_depend_on_each_other(method):
    net = tiny_net()
    both = maps_of(net, method).steps[0][0]
    alone = maps_of(net, method, label=np.array([False, False, True])).steps[0][0]
    np.testing.assert_allclose(both[1], alone[0], rtol=1e-5, atol=1e-7)


def test_layers_are_put_together_by_the_largest_of_their_sharpened_maps():
    net = tiny_net()
    (view,) = views(IMAGE, (1.0,), net.normalization)
    fused = class_maps(net, view, [0], BaselineSettings(method="layercam", layers=("frozen", "trained")))
    assert fused.shape[1:] == net.frozen(view).shape[2:]
    assert fused.min() >= 0
    assert fused.max() <= 2 * np.tanh(2) + 1e-6  # of two views
    early = class_maps(net, view, [0], BaselineSettings(method="layercam", layers=("frozen",)))
    assert torch.isfinite(fused).all()
    assert early.shape == fused.shape


def test_image_without_a_class():
    found = maps_of(tiny_net(), "gradcam", label=np.zeros(3, bool))
    assert found.normalized().shape == (0, 33, 46)


def test_a_real_backbone_has_gradients_at_both_layers():
    net = build_cam_net("resnet50", 3, weights=None).eval()
    torch.nn.init.normal_(net.classifier.weight, std=0.1)
    for layers in (("trained",), ("frozen",), ("frozen", "trained.layer3", "trained")):
        assert maps_of(net, "layercam", layers=layers).steps[0][0].max() > 0


def test_a_layer_that_is_not_there_is_named():
    with pytest.raises(ValueError, match=r"baseline\.layers: the network has no module 'trainde'; did you mean trained"):
        maps_of(tiny_net(), "gradcam", layers=("trainde",))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "cam", "layers": ["frozen"]}, "needs the classifier's input"),
        ({"method": "gradcam", "layers": ["frozen", "trained"]}, "only LayerCAM"),
        ({"layers": []}, "at least 1"),
    ],
)
def test_choices_that_do_not_go_together_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        load_settings("study", {f"baseline.{name}": value for name, value in settings.items()})
