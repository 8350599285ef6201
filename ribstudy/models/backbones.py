"""Backbones at stride 16, each cut into a frozen part and a trained part.

The cut is at stride 8, as in the reference code, which stops the gradient of its ResNet-50 there. timm and torchvision are
imported inside the functions that need them because their import takes seconds.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor, nn

from ribstudy.datasets.transforms import Normalization
from ribstudy.models.weights import Weights, download_resnet, load_state_dict, packaged_efficientnet, read_state_dict
from ribstudy.runtime import torchvision_operators  # noqa: F401  (before timm and torchvision)

IMAGENET_STATISTICS = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
LITE_STATISTICS = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@dataclass(frozen=True)
class Backbone:
    """A backbone in two parts.

    Args:
        frozen: images [N, 3, H, W] -> features at stride 8.
        trained: features at stride 8 -> features [N, channels, h, w] at stride 16.
        channels: number of output channels.
        normalization: mean and standard deviation of each colour of the input, for values in 0..1.
        last_stage: the modules of `trained` that form its last stage.
        imagenet_head: [1000, channels], the class weights that came with ImageNet weights.
    """

    frozen: nn.Module
    trained: nn.Module
    channels: int
    normalization: Normalization
    last_stage: tuple[nn.Module, ...] = ()
    imagenet_head: Tensor | None = None


def build_backbone(name: str, weights: Weights) -> Backbone:
    """A backbone by name: "resnet50" (torchvision's) or one of timm's EfficientNets.

    Raises ValueError for an unknown name, and for weights that cannot be found or do not fit.
    """
    if name == "resnet50":
        return _resnet50(weights)
    if is_efficientnet(name):
        return _efficientnet(name, weights)
    raise ValueError(f"backbone {name!r} is unknown; known: resnet50 and timm's EfficientNets, such as tf_efficientnet_lite0")


def is_efficientnet(name: str) -> bool:
    """Whether timm has an EfficientNet of this name."""
    import timm

    return name in timm.list_models("*efficientnet_*")


def backbone_steps(*parts: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The modules of the backbone's parts (frozen, trained) in the order of its forward pass.

    An EfficientNet's blocks (`blocks.0`, ...) come one by one.
    """
    for part in parts:
        for name, module in part.named_children():
            if name == "blocks":
                yield from ((f"blocks.{index}", block) for index, block in module.named_children())
            else:
                yield name, module


def _resnet50(weights: Weights) -> Backbone:
    from torchvision.models import resnet50

    # With fixed batch norm and random weights, activations stay bounded only if every block starts as the identity.
    network = resnet50(weights=None, zero_init_residual=True)
    for module in network.layer4.modules():  # strides (2, 2, 2, 1): the last stage keeps the resolution, without dilation
        if isinstance(module, nn.Conv2d):
            module.stride = (1, 1)
    state = read_state_dict(weights, imagenet=lambda: download_resnet("resnet50"))
    if state is not None:
        state = {key: value for key, value in state.items() if not key.startswith("fc.")}
        load_state_dict(network, state, name="resnet50", may_lack=("fc.weight", "fc.bias"))
    stem = [("conv1", network.conv1), ("bn1", network.bn1), ("relu", network.relu), ("maxpool", network.maxpool)]
    frozen = nn.Sequential(OrderedDict([*stem, ("layer1", network.layer1), ("layer2", network.layer2)]))
    trained = nn.Sequential(OrderedDict(layer3=network.layer3, layer4=network.layer4))
    return Backbone(frozen, trained, 2048, IMAGENET_STATISTICS, (network.layer4,))


def efficientnet(name: str, weights: Weights, output_stride: int) -> tuple[nn.Module, Normalization]:
    """timm's EfficientNet with these weights, and the mean and standard deviation of each colour of its input."""
    import timm

    network = timm.create_model(name, pretrained=False, output_stride=output_stride)
    state = read_state_dict(weights, imagenet=lambda: packaged_efficientnet(name, network))
    if state is not None:
        load_state_dict(network, state, name=name)
    return network, LITE_STATISTICS if "lite" in name else IMAGENET_STATISTICS


def _efficientnet(name: str, weights: Weights) -> Backbone:
    network, statistics = efficientnet(name, weights, output_stride=16)
    cut = next(i for i, info in enumerate(network.feature_info) if info["reduction"] == 8)
    cut = int(network.feature_info[cut]["module"].split(".")[1]) + 1
    stem = [("conv_stem", network.conv_stem), ("bn1", network.bn1)]
    frozen = nn.Sequential(OrderedDict([*stem, ("blocks", network.blocks[:cut])]))
    head = [("conv_head", network.conv_head), ("bn2", network.bn2)]
    trained = nn.Sequential(OrderedDict([("blocks", network.blocks[cut:]), *head]))
    imagenet_head = None if weights is None else network.classifier.weight.detach().clone()
    last_stage = (network.blocks[-1], network.conv_head, network.bn2)
    return Backbone(frozen, trained, network.num_features, statistics, last_stage, imagenet_head)
