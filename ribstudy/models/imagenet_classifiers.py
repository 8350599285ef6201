"""timm's ImageNet classifiers, split into a backbone and class weights, so that each position of the trunk's output has logits.

Any classifier is accepted whose trunk is a chain of modules with maps [N, C, h, w] and whose head pools them. Most heads only
pool and then multiply by the class weights; the mean of the maps then is the logit without its bias. Other heads have further
layers between the pooling and the class weights (ConvNeXt: a norm; MobileNetV3: a layer with an activation). Here they are
applied to each position, so that the mean of the maps only resembles the logit.

timm is imported inside the functions that need it because its import takes seconds.
"""

import difflib
import logging
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from ribstudy.models.backbones import Backbone
from ribstudy.models.weights import load_state_dict, packaged_efficientnet, read_state_dict
from ribstudy.runtime import torchvision_operators  # noqa: F401  (before timm)

PACKAGED = "tf_efficientnet_lite0"  # the classifier whose weights are installed with the study
NUM_CLASSES = 1000
OUTPUT_STRIDE = 16  # as for the backbones of the study; models for which timm cannot change the stride keep their own
FROZEN_STRIDE = 8  # the last stride of the part that is not trained (reference code)
PROBE_SIDE = 96  # pixels of the random image that shows how a network is built

log = logging.getLogger(__name__)


class PositionwiseHead(nn.Module):
    """The layers of a classifier between the pooling and the class weights, at each position: [N, C, h, w] -> [N, D, h, w].

    Args:
        network: a timm model whose trunk has been taken out.
    """

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, features: Tensor) -> Tensor:
        images, channels, height, width = features.shape
        positions = features.permute(0, 2, 3, 1).reshape(-1, channels, 1, 1)  # the pooling of a single position changes nothing
        outputs = self.network.forward_head(positions, pre_logits=True).flatten(1)
        return outputs.reshape(images, height, width, -1).permute(0, 3, 1, 2).contiguous()


def imagenet_classifier(name: str, weights: str | Path = "imagenet") -> Backbone:
    """An ImageNet classifier as a backbone with its class weights (`imagenet_head`).

    Args:
        name: a model of timm, with or without the tag of its weights ("resnet50", "resnet50.a1_in1k").
        weights: "imagenet" (installed for `PACKAGED`, otherwise downloaded by timm), or the path of a state dict as torch.save
            or safetensors writes it.

    Raises:
        ValueError: an unknown model, a model without a convolutional trunk, or weights that are missing or do not fit.
    """
    network = _network(name)
    trunk = OrderedDict(_trunk(network, name))
    head = network.get_classifier()
    load_state_dict(network, _state(name, network, weights), name=name)
    class_weights = head.weight.detach().flatten(1).clone()
    frozen, trained = _cut(trunk)
    if not _only_pools(network, class_weights.shape[1]):
        trained["head"] = _head_without_trunk(network, trunk, name)
    normalization = tuple(tuple(network.pretrained_cfg[key]) for key in ("mean", "std"))
    parts = nn.Sequential(frozen), nn.Sequential(trained)
    return Backbone(*parts, class_weights.shape[1], normalization, imagenet_head=class_weights)


def _network(name: str) -> nn.Module:
    import timm

    if not timm.is_model(name):
        near = difflib.get_close_matches(name, timm.list_models(), n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else 'timm.list_models("*resnet*") lists the ResNets'
        raise ValueError(f"model {name!r} is unknown to timm; {hint}")
    try:
        network = timm.create_model(name, output_stride=OUTPUT_STRIDE)
    except (TypeError, AssertionError, NotImplementedError):  # timm raises these for models with a fixed stride
        network = timm.create_model(name)
        log.info("timm cannot change the stride of %s, so its maps have few positions", name)
    except RuntimeError as error:  # a tag that the model does not have
        raise ValueError(f"model {name!r}: {error}") from error
    if network.num_classes != NUM_CLASSES:
        raise ValueError(
            f"model {name!r} has {network.num_classes} classes, not the {NUM_CLASSES} of ImageNet; use another model"
        )
    return network.eval()


@torch.no_grad()
def _trunk(network: nn.Module, name: str) -> Iterator[tuple[str, nn.Module]]:
    """The modules that together compute what `forward_features` computes; containers of stages or blocks are taken apart.

    Raises ValueError if the features lack positions, or if the modules do not form a chain.
    """
    image = _probe()
    need = "a convolutional classifier is needed, such as resnet50, efficientnet_b0, regnety_016 or convnext_tiny"
    try:
        wanted = network.forward_features(image)
    except (AssertionError, RuntimeError) as error:
        raise ValueError(f"model {name!r} does not take images of any size ({error}); {need}") from error
    if wanted.ndim != 4 or wanted.shape[1] != network.num_features or not hasattr(network, "forward_head"):
        raise ValueError(f"model {name!r} has features of shape {list(wanted.shape)}, not maps [N, C, h, w]; {need}")
    trunk, features = [], image
    for place, module in _children(network):
        try:
            features = module(features)
        except Exception:  # a module outside of the chain fails in its own way
            break
        trunk.append((place, module))
        if features.shape == wanted.shape and torch.allclose(features, wanted, rtol=1e-4):
            return iter(trunk)
    raise ValueError(f"the layers of model {name!r} are not a chain, so it cannot be cut; {need}")


def _children(network: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The network's modules by name, in which "_" replaces the dots."""
    for name, module in network.named_children():
        if isinstance(module, nn.Sequential):
            yield from ((f"{name}_{inner}", part) for inner, part in module.named_children())
        else:
            yield name, module


def _state(name: str, network: nn.Module, weights: str | Path) -> Mapping[str, Tensor]:
    if weights == "imagenet":
        return packaged_efficientnet(name, network) if name == PACKAGED else _downloaded(name)
    return read_state_dict(weights, imagenet=dict)


def _downloaded(name: str) -> Mapping[str, Tensor]:
    import timm

    if not timm.is_model_pretrained(name):
        raise ValueError(f"timm has no weights for model {name!r}; pass the path of a state dict as weights")
    try:
        return timm.create_model(name, pretrained=True).state_dict()
    except Exception as error:  # the libraries that download raise errors of many types
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        save = f"import timm, torch; torch.save(timm.create_model('{name}', pretrained=True).state_dict(), '{name}.pt')"
        raise ValueError(
            f"the weights of model {name!r} could not be downloaded ({reason}); on a machine with a network, run "
            f'python -c "{save}", and pass the file as weights'
        ) from error


@torch.no_grad()
def _cut(trunk: Mapping[str, nn.Module]) -> tuple[OrderedDict[str, nn.Module], OrderedDict[str, nn.Module]]:
    """The trunk up to the last module whose output has at least an eighth of the image's resolution, and the rest."""
    features, last = _probe(), 0
    for place, module in enumerate(trunk.values()):
        features = module(features)
        if features.shape[-1] * FROZEN_STRIDE >= PROBE_SIDE:
            last = place
    modules = list(trunk.items())
    return OrderedDict(modules[: last + 1]), OrderedDict(modules[last + 1 :])


@torch.no_grad()
def _only_pools(network: nn.Module, num_features: int) -> bool:
    """Whether the head only pools before it multiplies by the class weights."""
    position = torch.rand(1, network.num_features, 1, 1, generator=torch.Generator().manual_seed(0)) - 0.5
    outputs = network.forward_head(position, pre_logits=True).flatten(1)
    return num_features == network.num_features and torch.allclose(outputs, position.flatten(1))


def _head_without_trunk(network: nn.Module, trunk: Mapping[str, nn.Module], name: str) -> PositionwiseHead:
    """The head of `network`, from which the trunk and the class weights are taken out.

    Raises ValueError if a convolution of the head needs more than one position.
    """
    taken = {id(module) for module in (*trunk.values(), network.get_classifier())}
    for place, module in list(network.named_modules()):
        if id(module) in taken:
            network.set_submodule(place, nn.Identity())
    wide = [module for module in network.modules() if isinstance(module, nn.Conv2d) and module.kernel_size != (1, 1)]
    if wide:
        raise ValueError(f"the head of model {name!r} needs several positions, so a position has no logits; use another model")
    return PositionwiseHead(network)


def _probe() -> Tensor:
    """A random image that shows how a network is built."""
    return torch.rand(1, 3, PROBE_SIDE, PROBE_SIDE, generator=torch.Generator().manual_seed(0))
