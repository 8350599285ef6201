import pytest
import torch
from torch import nn
from torchvision.models import resnet50

from ribstudy.models import kernels
from ribstudy.models.cam_net import build_cam_net, build_imagenet_cam_net
from ribstudy.models.kernels import DepthwiseConv2d


@pytest.fixture(scope="module")
def reference():
    """torchvision's ResNet-50 with random weights and running variances from a seed."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = resnet50(weights=None).eval()
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.running_var, 0.5, 1.5)
    return network


def test_resnet50_has_stride_16_and_the_given_weights(reference):
    net = build_cam_net("resnet50", num_classes=7, weights=reference.state_dict()).eval()
    images = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    assert net(images).shape == (2, 7, 4, 6)
    assert net.classifier.weight.shape == (7, 2048, 1, 1)
    assert net.classifier.bias is None
    with torch.no_grad():
        stem = reference.maxpool(reference.relu(reference.bn1(reference.conv1(images))))
        torch.testing.assert_close(net.features(images), reference.layer2(reference.layer1(stem)))
        for block in reference.layer4.modules():  # the last stage without its stride and without dilation
            if isinstance(block, nn.Conv2d):
                block.stride = (1, 1)
        features = reference.layer4(reference.layer3(net.features(images)))
        torch.testing.assert_close(net(images), net.classifier(features))


def test_only_the_part_after_stride_8_is_trained(reference):
    net = build_cam_net("resnet50", num_classes=2, weights=reference.state_dict()).train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    net(torch.randn(2, 3, 64, 64)).mean().backward()
    with_gradient = {name.split(".")[0] for name, parameter in net.named_parameters() if parameter.grad is not None}
    assert with_gradient == {"trained", "classifier"}
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())  # statistics are fixed too
    groups = net.parameter_groups(0.1, 10.0)
    assert [group["lr"] for group in groups] == [0.1, 1.0]
    assert sum(len(group["params"]) for group in groups) == sum(p.requires_grad for p in net.parameters())


def test_the_mean_of_a_map_is_the_logit_of_the_classifier():
    net = build_cam_net("tf_efficientnet_lite0", num_classes=4).eval()
    images = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        features = net.trained(net.features(images)).mean(dim=(2, 3))
        torch.testing.assert_close(net(images).mean(dim=(2, 3)), features @ net.classifier.weight[:, :, 0, 0].T)
        assert net(images).shape == (1, 4, 4, 4)


def test_packaged_imagenet_weights_classify():
    """With the real weights, the unchanged classifier recognises scikit-image's photograph of a cat."""
    import numpy as np
    from PIL import Image
    from skimage.data import chelsea

    from ribstudy.datasets.transforms import normalize

    net = build_imagenet_cam_net()
    photograph = np.array(Image.fromarray(chelsea()).resize((288, 192)))
    with torch.no_grad():
        logits = net(normalize(photograph, net.normalization)[None]).mean(dim=(2, 3))[0]
    assert set(logits.topk(3).indices.tolist()) == {281, 282, 285}  # tabby, tiger cat, Egyptian cat


def test_bad_backbones_and_weights_are_named(tmp_path, reference):
    with pytest.raises(ValueError, match="backbone 'resnet5' is unknown; known: resnet50"):
        build_cam_net("resnet5")
    with pytest.raises(ValueError, match="no such file"):
        build_cam_net("resnet50", weights=str(tmp_path / "none.pth"))
    with pytest.raises(ValueError, match="do not fit resnet50: missing"):
        build_cam_net("resnet50", weights={"conv1.weight": reference.conv1.weight})
    with pytest.raises(ValueError, match="do not fit resnet50"):
        build_cam_net("resnet50", weights={"conv1.weight": torch.zeros(1)})


def test_weights_from_a_file(tmp_path, reference):
    torch.save(reference.state_dict(), tmp_path / "weights.pth")
    net = build_cam_net("resnet50", weights=tmp_path / "weights.pth")
    assert torch.equal(net.frozen.conv1.weight, reference.conv1.weight)


def test_fast_convolutions_compute_the_same_under_the_same_names():
    torch.manual_seed(0)
    net = build_cam_net("tf_efficientnet_lite0", num_classes=3).eval()
    images = torch.randn(2, 3, 80, 112)  # maps of 5 x 7 positions: neither side is even
    plain, names = net(images), list(net.state_dict())
    for _ in range(2):  # the second call changes nothing
        net.compute_with()
    convolutions = [module for module in net.modules() if isinstance(module, nn.Conv2d)]
    pointwise = [module for module in convolutions if module.kernel_size == (1, 1)]
    assert pointwise
    assert all(module.dilation == (2, 2) for module in pointwise)
    dilated = [module for module in convolutions if module not in pointwise and module.dilation != (1, 1)]
    wide = [module for module in convolutions if module.kernel_size == (5, 5) and module.stride == (1, 1)]
    assert dilated
    assert wide
    assert all(isinstance(module, DepthwiseConv2d) for module in dilated + wide)
    assert list(net.state_dict()) == names
    assert torch.allclose(net(images), plain, rtol=1e-4, atol=1e-5 * plain.abs().max().item())


@pytest.mark.parametrize("chunk_values", [1, 10**6])
@pytest.mark.parametrize(
    ("size", "dilation", "kernel"),
    [((6, 8), 2, 5), ((7, 5), 2, 3), ((7, 8), 3, 3), ((2, 1), 4, 5), ((7, 5), 1, 5), ((4, 1), 1, 5)],
)
def test_depthwise_convolution(monkeypatch, size, dilation, kernel, chunk_values):
    """Outputs and the gradients of images, weights and bias equal those of torch's convolution."""
    monkeypatch.setattr(kernels, "CHUNK_VALUES", chunk_values)
    torch.manual_seed(0)
    conv = nn.Conv2d(4, 4, kernel, padding=dilation * (kernel // 2), dilation=dilation, groups=4).double()
    images = torch.randn(2, 4, *size, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(2, 4, *size, dtype=torch.float64)
    inputs = (images, conv.weight, conv.bias)
    expected = conv(images)
    found = DepthwiseConv2d(conv)(images)
    assert torch.allclose(found, expected)
    of_found, of_expected = (torch.autograd.grad((maps * weights).sum(), inputs) for maps in (found, expected))
    for ours, theirs in zip(of_found, of_expected, strict=True):
        assert torch.allclose(ours, theirs)


def test_depthwise_convolution_under_autocast():
    """As in torch, outputs are bfloat16 and gradients float32; the gradients are exact within bfloat16's precision."""
    torch.manual_seed(0)
    conv = nn.Conv2d(4, 4, 5, padding=2, groups=4)
    images = torch.randn(3, 4, 7, 6, requires_grad=True)
    exact = torch.autograd.grad(conv(images).sum(), (images, conv.weight))
    with torch.autocast("cpu", torch.bfloat16):
        found = DepthwiseConv2d(conv)(images)
    assert found.dtype == torch.bfloat16
    for ours, true in zip(torch.autograd.grad(found.sum(), (images, conv.weight)), exact, strict=True):
        assert ours.dtype == torch.float32
        assert torch.allclose(ours, true, atol=0.02 * true.abs().max().item())


@pytest.mark.parametrize(
    "change",
    [
        {"groups": 2},
        {"out_channels": 8},
        {"stride": 2},
        {"padding": 1},
        {"dilation": 1, "padding": 1},
        {"padding_mode": "reflect"},
    ],
)
def test_other_convolutions_stay_torchs(change):
    options = {"out_channels": 4, "padding": 2, "dilation": 2, "groups": 4}
    assert DepthwiseConv2d.can_replace(nn.Conv2d(4, kernel_size=3, **options))
    assert DepthwiseConv2d.can_replace(nn.Conv2d(4, kernel_size=5, **options | {"dilation": 1}))
    assert not DepthwiseConv2d.can_replace(nn.Conv2d(4, kernel_size=3, **options | change))
    assert not DepthwiseConv2d.can_replace(nn.Conv2d(4, kernel_size=7, **options | {"padding": 6}))
