"""DeepLab-v2: a backbone at stride 8 or 16, and above it four dilated convolutions whose sum are the scores of the classes.

As deeplab-pytorch trains it (github.com/kazuto1011/deeplab-pytorch), whose checkpoints can be passed as weights.
"""

import logging
import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ribstudy.datasets.transforms import Normalization
from ribstudy.models.backbones import (
    IMAGENET_STATISTICS,
    LITE_STATISTICS,
    Weights,
    _download,
    _download_resnet50,
    _load,
    _packaged_weights,
    _state_dict,
    is_efficientnet,
)

if TYPE_CHECKING:
    from torchvision.models import ResNet

log = logging.getLogger(__name__)

RESNETS = ("resnet50", "resnet101")
CAFFE_STATISTICS = ((122.675 / 255, 116.669 / 255, 104.008 / 255), (1 / 255,) * 3)  # red, green, blue
ASPP_RATES = (6, 12, 18, 24)  # at stride 8 (deeplab-pytorch)


class DeepLab(nn.Module):
    """images [N, 3, H, W] -> scores before the softmax, float32 [N, C, h, w]; class 0 is the background.

    Batch norm uses its running statistics always, and its factors and offsets are not trained (deeplab-pytorch's optimiser has
    the weights of convolutions only). Weights that came from Caffe want other inputs and strides; the state dict says so, and a
    network takes that over with it.
    """

    def __init__(
        self, features: nn.Module, channels: int, num_classes: int, rates: Sequence[int], normalization: Normalization
    ):
        super().__init__()
        self.features = features
        self.aspp = nn.ModuleList(nn.Conv2d(channels, num_classes, 3, padding=rate, dilation=rate) for rate in rates)
        for branch in self.aspp:
            nn.init.normal_(branch.weight, std=0.01)
            nn.init.zeros_(branch.bias)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.requires_grad_(False)
        self.normalization = self._own_normalization = normalization
        self.from_caffe = False
        self.train()

    def forward(self, images: Tensor) -> Tensor:
        features = self.features(images)
        return sum(branch(features) for branch in self.aspp).float()

    def train(self, mode: bool = True) -> "DeepLab":
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    def parameter_groups(self, learning_rate: float, weight_decay: float) -> list[dict]:
        """For an optimiser (deeplab-pytorch): the backbone, ASPP's weights 10 times and its biases 20 times as fast."""
        backbone = [parameter for parameter in self.features.parameters() if parameter.requires_grad]
        weights, biases = [branch.weight for branch in self.aspp], [branch.bias for branch in self.aspp]
        return [
            {"params": backbone, "lr": learning_rate, "weight_decay": weight_decay},
            {"params": weights, "lr": 10 * learning_rate, "weight_decay": weight_decay},
            {"params": biases, "lr": 20 * learning_rate, "weight_decay": 0.0},
        ]

    def follow_caffe(self, from_caffe: bool) -> None:
        """Sets mean and deviation of the inputs, and what has a block's stride: Caffe's first convolution, else the 3x3."""
        self.from_caffe = from_caffe
        self.normalization = CAFFE_STATISTICS if from_caffe else self._own_normalization
        for block in _bottlenecks(self):
            stride = max(block.conv1.stride, block.conv2.stride)
            block.conv1.stride, block.conv2.stride = (stride, (1, 1)) if from_caffe else ((1, 1), stride)

    def get_extra_state(self) -> Tensor:
        return torch.tensor(self.from_caffe)

    def set_extra_state(self, state: Tensor) -> None:
        self.follow_caffe(bool(state))


def build_deeplab(
    backbone: str = "resnet101", num_classes: int = 21, weights: Weights = None, output_stride: int = 8
) -> DeepLab:
    """A `DeepLab` by the name of its backbone.

    Args:
        backbone: "resnet101", "resnet50" or one of timm's EfficientNets ("tf_efficientnet_lite0").
        num_classes: C, the background among them.
        weights: None (random), "imagenet", the path of a state dict, or a state dict; of torchvision's ResNet (`fc.*` is
            ignored), of timm's EfficientNet, or a checkpoint of deeplab-pytorch, whose ASPP is taken where it has C classes.
        output_stride: 8 or 16, of the scores.

    Raises:
        ValueError: an unknown backbone or stride, or weights that are missing or do not fit.
    """
    if output_stride not in (8, 16):
        raise ValueError(f"output_stride {output_stride!r} is not offered; set 8 or 16")
    # On a map of half the size a rate of half the size reaches as far in the image.
    rates = [rate * 8 // output_stride for rate in ASPP_RATES]
    if backbone in RESNETS:
        return _on_resnet(backbone, num_classes, weights, output_stride, rates)
    if is_efficientnet(backbone):
        return _on_efficientnet(backbone, num_classes, weights, output_stride, rates)
    raise ValueError(
        f"backbone {backbone!r} is unknown; known: {', '.join(RESNETS)} and timm's EfficientNets, such as tf_efficientnet_lite0"
    )


def _on_resnet(name: str, num_classes: int, weights: Weights, output_stride: int, rates: Sequence[int]) -> DeepLab:
    from torchvision.models import get_model

    network = get_model(name, weights=None)
    for block in _bottlenecks(network):
        # Random weights: as batch norm is frozen, branches must be small for the activations to stay bounded; not zero, or
        # nothing in them would ever learn.
        nn.init.constant_(block.bn3.weight, 0.1)
    network.maxpool.ceil_mode = True  # as Caffe pools
    _dilate(network, output_stride)
    stem = [("conv1", network.conv1), ("bn1", network.bn1), ("relu", network.relu), ("maxpool", network.maxpool)]
    stages = [(f"layer{stage}", getattr(network, f"layer{stage}")) for stage in range(1, 5)]
    net = DeepLab(nn.Sequential(OrderedDict([*stem, *stages])), 2048, num_classes, rates, IMAGENET_STATISTICS)
    state = _state_dict(weights, imagenet=_download_resnet50 if name == "resnet50" else _download_resnet101)
    if state is not None:
        aspp = {}
        if is_deeplab_pytorch(state):
            state, aspp = from_deeplab_pytorch(state)
            net.follow_caffe(True)
        _load(net.features, {key: value for key, value in state.items() if not key.startswith("fc.")}, name=name)
        _load_aspp(net.aspp, aspp)
    return net


def _bottlenecks(network: nn.Module) -> list[nn.Module]:
    from torchvision.models.resnet import Bottleneck

    return [module for module in network.modules() if isinstance(module, Bottleneck)]


def _dilate(network: "ResNet", output_stride: int) -> None:
    """Stride 1 and dilated 3x3 convolutions in place of the strides beyond `output_stride`: 2 and 4 at 8, or 1 and 2 at 16."""
    for stage, dilation in ((network.layer3, 16 // output_stride), (network.layer4, 32 // output_stride)):
        for block in stage:
            block.conv2.dilation = block.conv2.padding = (dilation, dilation)
            if dilation > 1:
                block.conv2.stride = (1, 1)
                if block.downsample is not None:
                    block.downsample[0].stride = (1, 1)


def _on_efficientnet(name: str, num_classes: int, weights: Weights, output_stride: int, rates: Sequence[int]) -> DeepLab:
    import timm

    network = timm.create_model(name, pretrained=False, output_stride=output_stride)
    state = _state_dict(weights, imagenet=lambda: _packaged_weights(name, network))
    if state is not None:
        _load(network, state, name=name)
    parts = [(part, getattr(network, part)) for part in ("conv_stem", "bn1", "blocks", "conv_head", "bn2")]
    statistics = LITE_STATISTICS if "lite" in name else IMAGENET_STATISTICS
    return DeepLab(nn.Sequential(OrderedDict(parts)), network.num_features, num_classes, rates, statistics)


def _download_resnet101() -> Mapping[str, Tensor]:
    from torchvision.models import ResNet101_Weights

    return _download("resnet101", ResNet101_Weights.IMAGENET1K_V1, setting="segmentation.weights")


_PREFIX = re.compile(r"^(module\.|scales?\.|base\.)+")
_STEM = re.compile(r"^layer1\.conv1\.(conv|bn)\.(\w+)$")
_BLOCK = re.compile(r"^layer([2-5])\.block(\d+)\.(reduce|conv3x3|increase|shortcut|proj)\.(conv|bn)\.(\w+)$")
_ASPP = re.compile(r"^aspp\.(?:stages\.)?c(\d+)\.(\w+)$")
_PLACES = {"reduce": 1, "conv3x3": 2, "increase": 3}  # of a convolution in torchvision's bottleneck


def is_deeplab_pytorch(state: Mapping[str, Tensor]) -> bool:
    """Whether the names of a state dict are those of deeplab-pytorch's networks."""
    return any(_BLOCK.match(_PREFIX.sub("", key)) for key in state)


def from_deeplab_pytorch(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """A state dict of deeplab-pytorch under torchvision's names of a ResNet, and that of its ASPP (empty where it has none).

    The first convolution reads blue, green, red; here it reads red, green, blue. Names that are not known stay as they are.
    """
    backbone, aspp = {}, {}
    for key, value in state.items():
        key = _PREFIX.sub("", key)
        if found := _ASPP.match(key):
            aspp[f"{found[1]}.{found[2]}"] = value
        else:
            backbone[_torchvision_name(key)] = value
    if "conv1.weight" in backbone:
        backbone["conv1.weight"] = backbone["conv1.weight"].flip(1)
    return backbone, aspp


def _torchvision_name(key: str) -> str:
    if found := _STEM.match(key):
        return f"{found[1]}1.{found[2]}"
    if not (found := _BLOCK.match(key)):
        return key
    stage, block, unit, kind, name = found.groups()
    block = f"layer{int(stage) - 1}.{int(block) - 1}"
    if unit in _PLACES:
        return f"{block}.{kind}{_PLACES[unit]}.{name}"
    return f"{block}.downsample.{0 if kind == 'conv' else 1}.{name}"


def _load_aspp(aspp: nn.ModuleList, state: Mapping[str, Tensor]) -> None:
    if "0.weight" in state and len(state["0.weight"]) != aspp[0].out_channels:
        log.info("the ASPP of the weights has %d classes, not %d: left out", len(state["0.weight"]), aspp[0].out_channels)
    elif state:
        _load(aspp, state, name="ASPP")
