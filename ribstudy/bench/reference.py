"""The reference code's schedule of one adaptation, written from a description of its behaviour; it contains none of its code.

It differs from `method.rib` in these ways:

- it reads the weights from disk for every image;
- every step runs the first two stages of the network again and builds a graph for them that is then discarded;
- it builds a graph for the view at scale 0.5, although no loss uses it;
- it computes the K-th update, although no map uses it;
- its GNDRP loops over images and classes;
- tensors are in torch's default memory format (NCHW).
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from ribstudy.method.settings import RibSettings
from ribstudy.models.cam_net import CamNet


def adapt_as_reference(
    net: CamNet,
    weights: Path,
    views: Sequence[Tensor],
    labels: Tensor,
    aux_batches: Sequence[tuple[Tensor, Tensor]],
    settings: RibSettings,
) -> list[Tensor]:
    """The summed maps [C, h, w] of theta_0 .. theta_{K-1} at each scale.

    The arguments are as for `ribstudy.method.rib.adapt`, but there are K batches. Only settings of mode "code" with GNDRP are
    supported.

    weights: file with a state dict of `net`.
    """
    net.load_state_dict(torch.load(weights, map_location=net.classifier.weight.device, weights_only=True))
    optimizer = torch.optim.SGD(
        net.parameter_groups(settings.learning_rate, settings.head_lr_factor),
        lr=settings.learning_rate,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
    )
    rates = [group["lr"] for group in optimizer.param_groups]
    sums: list[Tensor | float] = [0.0 for _ in views]
    for k in range(settings.iterations):
        own_logits = _own_logits(net, views, labels, sums, settings, may_stop=k > 0)
        if own_logits is None:
            break
        images, aux_labels = aux_batches[k]
        aux_logits = gndrp_by_loops(_maps(net, images), aux_labels, settings.tau)
        own = sum((labels * logits).sum() for logits in own_logits)
        optimizer.zero_grad()
        (-own - (aux_labels * aux_logits).sum()).backward()
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * (1 - k / settings.iterations) ** settings.poly_power
        optimizer.step()
        if abs(own.item()) > settings.margin:
            break
    return sums


def _own_logits(
    net: CamNet, views: Sequence[Tensor], labels: Tensor, sums: list, settings: RibSettings, *, may_stop: bool
) -> list[Tensor] | None:
    """Adds this step's maps to `sums`. Returns the logits [2, C] of the scales in the objective, or None at the spread stop."""
    own_logits = []
    for index, (scale, view) in enumerate(zip(settings.scales, views, strict=True)):
        maps = _maps(net, view)
        plain, mirrored = maps.detach().relu()
        merged = plain + mirrored.flip(-1)
        sums[index] = sums[index] + merged
        if index == 0 and may_stop and _covered(merged, labels, settings) > settings.spread_ratio:
            return None
        if scale in settings.loss_scales:
            own_logits.append(gndrp_by_loops(maps, labels.expand(2, -1), settings.tau))
    return own_logits


def release_frozen_weights(net: CamNet) -> None:
    """Builds a graph for the first two stages too, as the reference code does; the stem stays fixed.

    The graph is useless, because it is detached after these stages.
    """
    for name, stage in net.frozen.named_children():
        stage.requires_grad_(name.startswith("layer"))


def _maps(net: CamNet, images: Tensor) -> Tensor:
    return net.classifier(net.trained(net.frozen(images).detach()))


def _covered(merged: Tensor, labels: Tensor, settings: RibSettings) -> float:
    """The share of positions at which the map of some class, divided by its maximum, exceeds the threshold."""
    present = [maps / (maps.max() + 1e-5) > settings.spread_threshold for maps in merged[labels > 0]]
    return torch.stack(present).any(dim=0).float().mean().item()


def gndrp_by_loops(maps: Tensor, labels: Tensor, tau: float) -> Tensor:
    """GNDRP divided by h w, [N, C, h, w] -> [N, C]. Classes that are not in the image are average-pooled (a ratio of 0)."""
    ratio = torch.zeros_like(maps)
    for image in range(maps.shape[0]):
        for label in range(maps.shape[1]):
            if labels[image, label] > 0:
                ratio[image, label] = maps[image, label].detach() / maps[image, label].detach().max()
    return (maps * (ratio < tau).to(maps.dtype)).mean(dim=(2, 3))
