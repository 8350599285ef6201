"""DeepLab-v2: strides and dilations, trained parameters and their learning rates, and weights from other projects."""

import pytest
import torch
from torch import nn
from torchvision.models import ResNet101_Weights, resnet50, resnet101
from torchvision.models.resnet import Bottleneck

from ribstudy.models.cam_net import build_cam_net
from ribstudy.models.deeplab import CAFFE_STATISTICS, build_deeplab
from ribstudy.models.deeplab_pytorch import from_deeplab_pytorch, is_deeplab_pytorch


class CaffeUnit(nn.Sequential):
    """A convolution and its batch norm, named as in deeplab-pytorch, with random statistics."""

    def __init__(self, *sizes, stride=1, padding=0, dilation=1):
        super().__init__()
        self.conv = nn.Conv2d(*sizes, stride, padding, dilation, bias=False)
        self.bn = nn.BatchNorm2d(sizes[1])
        nn.init.normal_(self.bn.running_mean, std=0.1)
        nn.init.uniform_(self.bn.running_var, 0.5, 1.5)
        nn.init.uniform_(self.bn.weight, 0.1, 0.3)


class CaffeBlock(nn.Module):
    """Caffe's bottleneck, whose first convolution has the stride."""

    def __init__(self, channels, width, stride, dilation, *, shortcut):
        super().__init__()
        self.reduce = CaffeUnit(channels, width, 1, stride=stride)
        self.conv3x3 = CaffeUnit(width, width, 3, padding=dilation, dilation=dilation)
        self.increase = CaffeUnit(width, 4 * width, 1)
        self.shortcut = CaffeUnit(channels, 4 * width, 1, stride=stride) if shortcut else nn.Identity()

    def forward(self, x):
        branch = self.increase(self.conv3x3(self.reduce(x).relu()).relu())
        return (branch + self.shortcut(x)).relu()


def caffe_network(num_classes):
    """DeepLab-v2 on ResNet-50 as deeplab-pytorch builds and names it; inputs are blue, green, red in 0..255 minus the mean."""
    net = nn.Module()
    net.layer1 = nn.Sequential()
    net.layer1.conv1 = CaffeUnit(3, 64, 7, stride=2, padding=3)
    channels = 64
    for stage, (count, width, stride, dilation) in enumerate(
        [(3, 64, 1, 1), (4, 128, 2, 1), (6, 256, 1, 2), (3, 512, 1, 4)], 2
    ):
        blocks = nn.Sequential()
        for i in range(count):
            first = i == 0
            block = CaffeBlock(channels, width, stride if first else 1, dilation, shortcut=first)
            blocks.add_module(f"block{i + 1}", block)
            channels = 4 * width
        net.add_module(f"layer{stage}", blocks)
    net.aspp = nn.Module()
    for i, rate in enumerate((6, 12, 18, 24)):
        net.aspp.add_module(f"c{i}", nn.Conv2d(channels, num_classes, 3, padding=rate, dilation=rate))
    return net.eval()


def caffe_forward(net, images):
    x = net.layer1.conv1(images).relu()
    x = nn.functional.max_pool2d(x, 3, 2, 1, ceil_mode=True)
    for stage in (net.layer2, net.layer3, net.layer4, net.layer5):
        x = stage(x)
    return sum(branch(x) for branch in net.aspp.children())


@pytest.fixture(scope="module")
def caffe():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return caffe_network(num_classes=5)


@pytest.fixture(scope="module")
def efficient():
    return build_deeplab("tf_efficientnet_lite0", num_classes=4, output_stride=16)


@torch.no_grad()
def test_a_checkpoint_of_deeplab_pytorch_computes_the_same_scores(caffe):
    """There, names differ, first convolutions have the stride, blue comes first, and values of 0..255 are not scaled."""
    net = build_deeplab("resnet50", num_classes=5, weights={f"base.{key}": value for key, value in caffe.state_dict().items()})
    red_first = torch.randint(0, 256, (1, 3, 65, 48), generator=torch.Generator().manual_seed(0)).float()
    expected = caffe_forward(caffe, red_first.flip(1) - torch.tensor([104.008, 116.669, 122.675])[:, None, None])
    mean, deviation = (torch.tensor(values)[:, None, None] for values in net.normalization)
    computed = net((red_first / 255 - mean) / deviation)
    assert computed.shape == (1, 5, 9, 7)
    torch.testing.assert_close(computed, expected, rtol=1e-4, atol=1e-4 * expected.abs().max().item())


def test_a_trained_network_keeps_the_conventions_of_its_weights(caffe):
    trained = build_deeplab("resnet50", num_classes=5, weights=caffe.state_dict())
    again = build_deeplab("resnet50", num_classes=5)
    ours = again.state_dict()
    assert again.normalization != CAFFE_STATISTICS
    again.load_state_dict(trained.state_dict())
    assert again.normalization == trained.normalization == CAFFE_STATISTICS
    assert [again.features.layer2[0].conv1.stride, again.features.layer2[0].conv2.stride] == [(2, 2), (1, 1)]
    again.load_state_dict(ours)
    assert [again.features.layer2[0].conv1.stride, again.features.layer2[0].conv2.stride] == [(1, 1), (2, 2)]
    assert again.normalization == build_deeplab("resnet50", num_classes=5).normalization


def test_names_of_all_versions_of_deeplab_pytorch():
    names = {
        "layer1.conv1.conv.weight": "conv1.weight",
        "scale.layer1.conv1.bn.bias": "bn1.bias",
        "module.base.layer4.block23.reduce.conv.weight": "layer3.22.conv1.weight",
        "base.layer5.block1.conv3x3.bn.running_var": "layer4.0.bn2.running_var",
        "layer3.block4.increase.bn.num_batches_tracked": "layer2.3.bn3.num_batches_tracked",
        "scales.layer2.block1.proj.conv.weight": "layer1.0.downsample.0.weight",
        "base.layer2.block1.shortcut.bn.running_mean": "layer1.0.downsample.1.running_mean",
        "base.fc.weight": "fc.weight",
    }
    state = {name: torch.rand(2, 3, 1, 1) for name in names}
    assert is_deeplab_pytorch(state)
    backbone, aspp = from_deeplab_pytorch(state)
    assert list(backbone) == list(names.values())
    with torch.device("meta"):
        assert set(backbone) <= set(resnet101(weights=None).state_dict())
    assert torch.equal(backbone["conv1.weight"], state["layer1.conv1.conv.weight"][:, [2, 1, 0]])
    assert aspp == {}


def test_aspp_of_a_checkpoint_is_used_if_it_has_as_many_classes(caffe):
    state = {f"module.base.{key}".replace("aspp.c", "aspp.stages.c"): value for key, value in caffe.state_dict().items()}
    same, other = (build_deeplab("resnet50", num_classes, weights=state) for num_classes in (5, 3))
    for i, branch in enumerate(caffe.aspp.children()):
        assert torch.equal(same.aspp[i].weight, branch.weight)
        assert torch.equal(same.aspp[i].bias, branch.bias)
        assert torch.count_nonzero(other.aspp[i].bias) == 0
    assert torch.equal(other.features.layer4[2].conv3.weight, caffe.layer5.block3.increase.conv.weight)
    without = {key: value for key, value in state.items() if "aspp" not in key}
    assert torch.count_nonzero(build_deeplab("resnet50", 5, weights=without).aspp[0].bias) == 0


@torch.no_grad()
def test_weights_of_torchvision_keep_their_conventions():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        reference = resnet50(weights=None, zero_init_residual=True).eval()
    net = build_deeplab("resnet50", weights=reference.state_dict())
    images = torch.randn(1, 3, 65, 49, generator=torch.Generator().manual_seed(0))  # both ways of pooling agree at these sizes
    features = reference.layer1(reference.maxpool(reference.relu(reference.bn1(reference.conv1(images)))))
    torch.testing.assert_close(net.features[:5](images), features)
    torch.testing.assert_close(net.features[:6](images), reference.layer2(features))
    assert not net.from_caffe
    assert net.normalization == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@torch.no_grad()
def test_resnet101_at_stride_8_has_bounded_scores_and_dilations_everywhere():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = build_deeplab("resnet101", num_classes=21).eval()
    logits = net(torch.randn(1, 3, 65, 41, generator=torch.Generator().manual_seed(0)))
    assert logits.shape == (1, 21, 9, 6)
    assert logits.dtype == torch.float32
    assert 0.01 < logits.std() < 100
    dilations = {
        stage: {block.conv2.dilation for block in getattr(net.features, stage) if isinstance(block, Bottleneck)}
        for stage in ("layer1", "layer2", "layer3", "layer4")
    }
    assert dilations == {"layer1": {(1, 1)}, "layer2": {(1, 1)}, "layer3": {(2, 2)}, "layer4": {(4, 4)}}
    assert [len(getattr(net.features, f"layer{i}")) for i in range(1, 5)] == [3, 4, 23, 3]
    assert [branch.dilation[0] for branch in net.aspp] == [6, 12, 18, 24]
    assert all(branch.weight.std().item() == pytest.approx(0.01, rel=0.01) for branch in net.aspp)
    assert all(torch.count_nonzero(branch.bias) == 0 for branch in net.aspp)


@torch.no_grad()
@pytest.mark.parametrize(("height", "width"), [(64, 64), (65, 49), (33, 90)])
@pytest.mark.parametrize(
    ("backbone", "stride"), [("tf_efficientnet_lite0", 8), ("tf_efficientnet_lite0", 16), ("resnet50", 16)]
)
def test_scores_have_the_requested_stride(backbone, stride, height, width):
    net = build_deeplab(backbone, num_classes=3, output_stride=stride).eval()
    assert [branch.dilation[0] * stride for branch in net.aspp] == [48, 96, 144, 192]
    shape = net(torch.zeros(1, 3, height, width)).shape[2:]
    # Caffe's pooling rounds up and can add a row or a column.
    assert all(
        -(-length // stride) <= found <= length // stride + 1 for length, found in zip((height, width), shape, strict=True)
    )


def test_every_trained_parameter_is_in_one_group_and_batch_norm_in_none(efficient):
    groups = efficient.parameter_groups(learning_rate=1e-3, weight_decay=5e-4)
    assert [group["lr"] for group in groups] == pytest.approx([1e-3, 1e-2, 2e-2])
    assert [group["weight_decay"] for group in groups] == [5e-4, 5e-4, 0.0]
    backbone, weights, biases = ({id(parameter) for parameter in group["params"]} for group in groups)
    convolutions = [module for module in efficient.features.modules() if isinstance(module, nn.Conv2d)]
    assert backbone == {id(module.weight) for module in convolutions}
    assert weights == {id(branch.weight) for branch in efficient.aspp}
    assert biases == {id(branch.bias) for branch in efficient.aspp}
    trained = [id(parameter) for parameter in efficient.parameters() if parameter.requires_grad]
    assert sorted(trained) == sorted([*backbone, *weights, *biases])


def test_batch_norm_is_not_trained(efficient):
    norms = [module for module in efficient.modules() if isinstance(module, nn.BatchNorm2d)]
    assert norms
    assert not any(parameter.requires_grad for module in norms for parameter in module.parameters())


def test_from_random_weights_every_convolution_learns():
    net = build_deeplab("resnet50", num_classes=2, output_stride=16)
    net(torch.randn(1, 3, 48, 48, generator=torch.Generator().manual_seed(0))).square().mean().backward()
    gradients = [parameter.grad for parameter in net.parameters() if parameter.requires_grad]
    assert all(torch.count_nonzero(gradient) for gradient in gradients)


def test_packaged_imagenet_weights_are_the_classifiers(efficient):
    net = build_deeplab("tf_efficientnet_lite0", weights="imagenet", output_stride=16)
    cam_net = build_cam_net("tf_efficientnet_lite0", weights="imagenet")
    assert torch.equal(net.features.conv_head.weight, cam_net.trained.conv_head.weight)
    assert not torch.equal(net.features.conv_head.weight, efficient.features.conv_head.weight)
    assert net.normalization == cam_net.normalization


def test_bad_choices_and_weights_are_named(tmp_path, caffe, monkeypatch):
    with pytest.raises(ValueError, match="backbone 'vgg16' is unknown; known: resnet50, resnet101 and timm's"):
        build_deeplab("vgg16")
    with pytest.raises(ValueError, match="output_stride 32 is not offered; set 8 or 16"):
        build_deeplab(output_stride=32)
    with pytest.raises(ValueError, match="do not fit resnet50: missing"):
        build_deeplab("resnet50", weights={"conv1.weight": torch.zeros(64, 3, 7, 7)})
    state = caffe.state_dict()
    with pytest.raises(ValueError, match=r"do not fit resnet50: .*unexpected .*layer4\.block7"):
        build_deeplab("resnet50", weights={**state, "layer4.block7.odd": torch.zeros(1)})
    with pytest.raises(ValueError, match="do not fit ASPP: missing"):
        build_deeplab("resnet50", 5, weights={key: value for key, value in state.items() if key != "aspp.c3.bias"})
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(ValueError, match=r"list\.pth': contains a list, not a state dict"):
        build_deeplab("resnet50", weights=tmp_path / "list.pth")

    def fail(*args, **kwargs):
        raise OSError("no network")

    monkeypatch.setattr(ResNet101_Weights, "get_state_dict", fail)
    with pytest.raises(
        ValueError, match=r"resnet101 could not be .*no network.*segmentation.weights=/path/to/resnet101-63fe2227"
    ):
        build_deeplab("resnet101", weights="imagenet")
