"""Class maps and their change along a direction of the weights, by one forward-mode pass."""

import contextlib
from collections.abc import Iterator, Mapping
from functools import partial

import torch
from torch import Tensor, nn

from ribstudy.models.cam_net import CamNet
from ribstudy.models.kernels import DepthwiseConv2d


class _Maps(nn.Module):
    """`CamNet.maps` as a module, because `functional_call` calls modules."""

    def __init__(self, net: CamNet):
        super().__init__()
        self.net = net

    def forward(self, features: Tensor) -> Tensor:
        return self.net.maps(features)


@torch.no_grad()
def maps_and_change(net: CamNet, features: Tensor, path: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """The signed maps A(theta) [N, C, h, w], and their change J d to first order along a path d of the weights.

    Args:
        net: a network with the weights theta.
        features: of its frozen part.
        path: d, by name of the parameter; parameters without an entry stay.
    """
    module = _Maps(net)
    tangents = {f"net.{name}": change for name, change in path.items()}
    weights = {name: value.detach() for name, value in module.named_parameters() if name in tangents}
    with _plain_convolutions(net):
        return torch.func.jvp(lambda moved: torch.func.functional_call(module, moved, (features,)), (weights,), (tangents,))


@contextlib.contextmanager
def _plain_convolutions(net: CamNet) -> Iterator[None]:
    """A scope in which torch computes depthwise convolutions by itself: the fast ones have no forward-mode derivative."""
    fast = [module for module in net.modules() if isinstance(module, DepthwiseConv2d)]
    for module in fast:
        module.forward = partial(nn.Conv2d.forward, module)
    try:
        yield
    finally:
        for module in fast:
            del module.forward
