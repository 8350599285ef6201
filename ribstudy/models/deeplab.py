"""DeepLab-v2: a backbone at stride 8 or 16, followed by four dilated convolutions whose sum is the scores of the classes.

It follows deeplab-pytorch (github.com/kazuto1011/deeplab-pytorch), whose checkpoints can be passed as weights.
"""

import logging
from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ribstudy.datasets.transforms import Normalization
from ribstudy.models.backbones import IMAGENET_STATISTICS, efficientnet, is_efficientnet
from ribstudy.models.batch_norm import FixedStatistics, batch_norms
from ribstudy.models.deeplab_pytorch import from_deeplab_pytorch, is_deeplab_pytorch
from ribstudy.models.weights import Weights, download_resnet, load_state_dict, read_state_dict
from ribstudy.runtime import torchvision_operators  # noqa: F401  (before timm and torchvision)

if TYPE_CHECKING:
    from torchvision.models import ResNet

log = logging.getLogger(__name__)

RESNETS = ("resnet50", "resnet101")
CAFFE_STATISTICS = ((122.675 / 255, 116.669 / 255, 104.008 / 255), (1 / 255,) * 3)  # red, green, blue
ASPP_RATES = (6, 12, 18, 24)  # at stride 8 (deeplab-pytorch)


class DeepLab(FixedStatistics):
    """Images [N, 3, H, W] -> scores before the softmax, float32 [N, C, h, w]; class 0 is the background.

    Batch norm always uses its running statistics, and its scales and shifts are not trained (deeplab-pytorch optimises the
    weights of convolutions only). Weights from Caffe need other inputs and strides. The state dict records this, and a network
    that loads it follows.

    Args:
        features: images -> features [N, channels, h, w].
        channels: number of feature channels.
        num_classes: C.
        rates: the dilation of every branch of the ASPP.
        normalization: mean and standard deviation of each colour of the input, for values in 0..1.
    """

    def __init__(self, features: nn.Module, channels: int, num_classes: int, rates: list[int], normalization: Normalization):
        super().__init__()
        self.features = features
        self.aspp = nn.ModuleList(nn.Conv2d(channels, num_classes, 3, padding=rate, dilation=rate) for rate in rates)
        for branch in self.aspp:
            nn.init.normal_(branch.weight, std=0.01)
            nn.init.zeros_(branch.bias)
        for norm in batch_norms(self):
            norm.requires_grad_(False)
        self.normalization = self._own_normalization = normalization
        self.from_caffe = False
        self.train()

    def forward(self, images: Tensor) -> Tensor:
        features = self.features(images)
        return sum(branch(features) for branch in self.aspp).float()

    def parameter_groups(self, learning_rate: float, weight_decay: float) -> list[dict]:
        """Parameter groups for an optimiser (deeplab-pytorch): ASPP's weights at 10 and its biases at 20 times the rate."""
        backbone = [parameter for parameter in self.features.parameters() if parameter.requires_grad]
        weights, biases = [branch.weight for branch in self.aspp], [branch.bias for branch in self.aspp]
        return [
            {"params": backbone, "lr": learning_rate, "weight_decay": weight_decay},
            {"params": weights, "lr": 10 * learning_rate, "weight_decay": weight_decay},
            {"params": biases, "lr": 20 * learning_rate, "weight_decay": 0.0},
        ]

    def follow_caffe(self, from_caffe: bool) -> None:
        """Sets the normalisation of the inputs and the convolution with a block's stride: the first for Caffe, else the 3x3."""
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
    """Builds a `DeepLab` from the name of its backbone.

    Args:
        backbone: "resnet101", "resnet50" or one of timm's EfficientNets ("tf_efficientnet_lite0").
        num_classes: C, including the background.
        weights: None (random), "imagenet", the path of a state dict, or a state dict. It comes from torchvision's ResNet
            (`fc.*` is ignored), timm's EfficientNet or deeplab-pytorch, whose ASPP is used if it has C classes.
        output_stride: 8 or 16, of the scores.

    Raises:
        ValueError: an unknown backbone or stride, or weights that are missing or do not fit.
    """
    if output_stride not in (8, 16):
        raise ValueError(f"output_stride {output_stride!r} is not offered; set 8 or 16")
    # On a map of half the size, half the rate covers the same distance in the image.
    rates = [rate * 8 // output_stride for rate in ASPP_RATES]
    if backbone in RESNETS:
        return _on_resnet(backbone, num_classes, weights, output_stride, rates)
    if is_efficientnet(backbone):
        return _on_efficientnet(backbone, num_classes, weights, output_stride, rates)
    known = f"{', '.join(RESNETS)} and timm's EfficientNets, such as tf_efficientnet_lite0"
    raise ValueError(f"backbone {backbone!r} is unknown; known: {known}")


def _on_resnet(name: str, num_classes: int, weights: Weights, output_stride: int, rates: list[int]) -> DeepLab:
    from torchvision.models import get_model

    network = get_model(name, weights=None)
    for block in _bottlenecks(network):
        # With frozen batch norm and random weights, activations stay bounded only if the branches are small. They cannot be
        # zero, because then their convolutions would have no gradient.
        nn.init.constant_(block.bn3.weight, 0.1)
    network.maxpool.ceil_mode = True  # as Caffe pools
    _dilate(network, output_stride)
    stem = [("conv1", network.conv1), ("bn1", network.bn1), ("relu", network.relu), ("maxpool", network.maxpool)]
    stages = [(f"layer{stage}", getattr(network, f"layer{stage}")) for stage in range(1, 5)]
    net = DeepLab(nn.Sequential(OrderedDict([*stem, *stages])), 2048, num_classes, rates, IMAGENET_STATISTICS)
    state = read_state_dict(weights, imagenet=lambda: download_resnet(name))
    if state is not None:
        aspp = {}
        if is_deeplab_pytorch(state):
            state, aspp = from_deeplab_pytorch(state)
            net.follow_caffe(True)
        load_state_dict(net.features, {key: value for key, value in state.items() if not key.startswith("fc.")}, name=name)
        _load_aspp(net.aspp, aspp)
    return net


def _bottlenecks(network: nn.Module) -> list[nn.Module]:
    from torchvision.models.resnet import Bottleneck

    return [module for module in network.modules() if isinstance(module, Bottleneck)]


def _dilate(network: "ResNet", output_stride: int) -> None:
    """Replaces the strides beyond `output_stride` by dilated 3x3 convolutions: dilations 2 and 4 at stride 8, 1 and 2 at 16."""
    for stage, dilation in ((network.layer3, 16 // output_stride), (network.layer4, 32 // output_stride)):
        for block in stage:
            block.conv2.dilation = block.conv2.padding = (dilation, dilation)
            if dilation > 1:
                block.conv2.stride = (1, 1)
                if block.downsample is not None:
                    block.downsample[0].stride = (1, 1)


def _on_efficientnet(name: str, num_classes: int, weights: Weights, output_stride: int, rates: list[int]) -> DeepLab:
    network, statistics = efficientnet(name, weights, output_stride)
    parts = [(part, getattr(network, part)) for part in ("conv_stem", "bn1", "blocks", "conv_head", "bn2")]
    return DeepLab(nn.Sequential(OrderedDict(parts)), network.num_features, num_classes, rates, statistics)


def _load_aspp(aspp: nn.ModuleList, state: Mapping[str, Tensor]) -> None:
    if "0.weight" in state and len(state["0.weight"]) != aspp[0].out_channels:
        log.info("the ASPP of the weights has %d classes, not %d: ignored", len(state["0.weight"]), aspp[0].out_channels)
    elif state:
        load_state_dict(aspp, state, name="ASPP")
