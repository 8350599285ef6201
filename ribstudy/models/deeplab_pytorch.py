"""Checkpoints of deeplab-pytorch (github.com/kazuto1011/deeplab-pytorch) under the names of torchvision's ResNet."""

import re
from collections.abc import Mapping

from torch import Tensor

_PREFIX = re.compile(r"^(module\.|scales?\.|base\.)+")
_STEM = re.compile(r"^layer1\.conv1\.(conv|bn)\.(\w+)$")
_BLOCK = re.compile(r"^layer([2-5])\.block(\d+)\.(reduce|conv3x3|increase|shortcut|proj)\.(conv|bn)\.(\w+)$")
_ASPP = re.compile(r"^aspp\.(?:stages\.)?c(\d+)\.(\w+)$")
_PLACES = {"reduce": 1, "conv3x3": 2, "increase": 3}  # of a convolution in torchvision's bottleneck


def is_deeplab_pytorch(state: Mapping[str, Tensor]) -> bool:
    """Whether a state dict has the names of deeplab-pytorch's networks."""
    return any(_BLOCK.match(_PREFIX.sub("", key)) for key in state)


def from_deeplab_pytorch(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Renames a state dict of deeplab-pytorch: the backbone under torchvision's names, and the ASPP (empty if it has none).

    The first convolution reads blue, green, red there; its channels are reordered to red, green, blue. Unknown names stay.
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
