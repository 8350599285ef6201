"""The scope of an adaptation: which weights may change in it, and how a network gets back to what it was."""

import contextlib
from collections.abc import Iterator

import torch
from torch import nn

from ribstudy.method.settings import RibSettings
from ribstudy.models.batch_norm import batch_norms
from ribstudy.models.cam_net import CamNet


@contextlib.contextmanager
def evaluation_mode(net: nn.Module) -> Iterator[None]:
    """A scope in which `net` is in evaluation mode; afterwards every module is in its previous mode."""
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


@contextlib.contextmanager
def adapted(net: CamNet, settings: RibSettings) -> Iterator[None]:
    """A scope in which the weights of `net` that `settings` adapts have gradients and may change.

    Batch norm uses its running statistics in any mode of `net` (with `batch_norm="batch"`, the statistics of each batch). At
    the end of the scope, also after an exception, everything is as before: weights, buffers, gradients, `requires_grad`, and
    the training mode and `track_running_stats` of every module.
    """
    tensors = [(tensor, tensor.detach().clone()) for tensor in (*net.parameters(), *net.buffers())]
    gradients = [(parameter, parameter.requires_grad, parameter.grad) for parameter in net.parameters()]
    tracking = [(norm, norm.track_running_stats) for norm in batch_norms(net)]
    with evaluation_mode(net):
        try:
            _choose_trained(net, settings)
            yield
        finally:
            for parameter, requires_grad, gradient in gradients:
                parameter.requires_grad_(requires_grad).grad = gradient
            for norm, tracks in tracking:
                norm.track_running_stats = tracks
            with torch.no_grad():
                for tensor, value in tensors:
                    tensor.copy_(value)


def _choose_trained(net: CamNet, settings: RibSettings) -> None:
    """Gives gradients to the adapted parameters only, and sets which statistics batch norm uses."""
    parts = {"all": [net.trained], "last_stage": net.last_stage, "classifier": []}[settings.trained]
    net.requires_grad_(False)
    for module in (*parts, net.classifier):
        module.requires_grad_(True)
    for norm in batch_norms(net.trained):
        if settings.batch_norm == "frozen":
            norm.requires_grad_(False)
        if settings.batch_norm == "batch":
            norm.train()
            norm.track_running_stats = False  # the running statistics are neither used nor changed
