"""Reducing the information bottleneck: adapt the classifier to one image, sum the maps of all steps, restore the weights.

Each step maximises the logits of the image's classes, without a last activation, pooled over the non-discriminative region
(paper, Section 4; reference code, `obtain_RIB_CAM.py`). Where paper and code differ, `RibSettings` has a choice.

Shapes: C classes, h x w positions of the map at one scale, B auxiliary images.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from ribstudy.method.losses import cross_entropy_objective, rib_objective, target_logits
from ribstudy.method.maps import aggregate, merge_mirrored, normalize_by_maximum
from ribstudy.method.pooling import gap, gndrp
from ribstudy.method.settings import RibSettings
from ribstudy.method.stored_maps import StoredMaps
from ribstudy.models import CamNet

__all__ = ["RibResult", "RibSettings", "adapt", "adapt_features"]

StoppedBy = Literal["iterations", "margin", "spread"]
AuxiliaryBatch = tuple[Tensor, Tensor]  # images or their frozen features, and labels


@dataclass
class RibResult:
    """What an adaptation leaves.

    Args:
        iterates: per scale the maps [C, h, w] of theta_0, theta_1, ..., not negative, mirrored views merged. After a spread
            stop scale 1 holds one more than the others, as in the reference code (`spread_scales`).
        aggregation: how they become one map (`maps.aggregate`).
        scores: per step the labelled logits summed over the own views, which the margin is held against.
        stopped_by: what ended the loop.
    """

    iterates: list[list[Tensor]]
    aggregation: str = "raw"
    scores: list[float] = field(default_factory=list)
    stopped_by: StoppedBy = "iterations"

    @property
    def steps(self) -> int:
        """How many maps scale 1 holds."""
        return len(self.iterates[0])

    @property
    def maps(self) -> list[Tensor]:
        """Per scale one map [C, h, w] of all steps; with the aggregation "raw" later, larger logits weigh more."""
        return [aggregate(torch.stack(iterates), self.aggregation) for iterates in self.iterates]


def adapt(
    net: CamNet,
    views: Sequence[Tensor],
    labels: Tensor,
    aux_batches: Iterable[AuxiliaryBatch],
    settings: RibSettings,
) -> RibResult:
    """Adapts `net` to one image and returns the maps of all steps. The weights of `net` are the same before and after.

    Args:
        net: a trained classifier.
        views: per scale of `settings.scales` a [2, 3, h_s, w_s] tensor, the image and its mirror.
        labels: [C], nonzero where the class is in the image; at least one.
        aux_batches: per step (images [B, 3, H, W], labels [B, C]) of images without the image's classes; B may be 0.
        settings: see `RibSettings`.

    Raises:
        ValueError: no label, views that do not fit the scales, or too few auxiliary batches.
        FloatingPointError: the weights ran away, a map is not finite; a smaller learning rate helps.
    """
    _check(net, views, labels, settings)
    device = net.classifier.weight.device
    features = [net.features(view.to(device)) for view in views]  # the frozen part sees the same views in every step
    aux_features = (
        (net.features(images.to(device)) if len(images) else images, aux_labels) for images, aux_labels in aux_batches
    )
    return adapt_features(net, features, labels, aux_features, settings)


def adapt_features(
    net: CamNet,
    features: Sequence[Tensor],
    labels: Tensor,
    aux_features: Iterable[AuxiliaryBatch],
    settings: RibSettings,
    *,
    observe: Callable[[], None] = lambda: None,
) -> RibResult:
    """As `adapt`, with what the frozen part of `net` makes of the views and of the auxiliary images in their place.

    observe: called at every theta_k whose map counts, before it is made; `net` has these weights then and must keep them.
    """
    labels = labels.to(net.classifier.weight)
    with adapted(net, settings):
        result = _adapt(net, features, labels, iter(aux_features), settings, observe)
    if not all(torch.isfinite(maps).all() for maps in result.maps):
        raise FloatingPointError(f"the adaptation diverged at learning rate {settings.learning_rate}: a map is not finite")
    return result


def num_updates(settings: RibSettings) -> int:
    """How many updates, and so auxiliary batches, an adaptation takes at most: no map would show the one after the last map."""
    return settings.iterations if settings.include_last else settings.iterations - 1


def stored_adaptation(result: RibResult, label: np.ndarray, size: tuple[int, int], normalization: str) -> StoredMaps:
    """The maps of all steps of an adaptation, as they are stored, for the classes of the image's `label` [C].

    The raw map of every step is kept, so that another aggregation or normalization needs no other adaptation.
    """
    classes = np.flatnonzero(label)
    return StoredMaps(
        classes,
        size,
        steps=tuple(torch.stack(iterates)[:, classes].cpu().numpy() for iterates in result.iterates),
        aggregation=result.aggregation,
        normalization=normalization,
        logits=np.array(result.scores),
        stopped_by=result.stopped_by,
    )


@contextlib.contextmanager
def adapted(net: CamNet, settings: RibSettings) -> Iterator[None]:
    """A scope in which weights of `net` may change, those that `settings` adapts. Behind it all is as before: weights,
    buffers, gradients, what has a gradient, training mode, and how batch norm takes its statistics.
    """
    was_training = net.training
    saved = [(p, p.detach().clone(), p.grad) for p in net.parameters() if p.requires_grad]
    norms = [module for module in net.trained.modules() if isinstance(module, nn.BatchNorm2d)]
    tracked = [norm.track_running_stats for norm in norms]
    net.eval()
    try:
        _choose_trained(net, norms, settings)
        yield
    finally:
        with torch.no_grad():
            for parameter, value, gradient in saved:
                parameter.copy_(value)
                parameter.requires_grad_(True).grad = gradient
        for norm, was_tracked in zip(norms, tracked, strict=True):
            norm.track_running_stats = was_tracked
        net.train(was_training)


def _choose_trained(net: CamNet, norms: list[nn.BatchNorm2d], settings: RibSettings) -> None:
    """Leaves a gradient to what is adapted, and lets batch norm take its statistics as the settings say."""
    if settings.trained != "all":
        net.trained.requires_grad_(False)
    if settings.trained == "last_stage":
        for module in net.last_stage:
            module.requires_grad_(True)
    for norm in norms:
        if settings.batch_norm == "frozen":
            norm.requires_grad_(False)
        if settings.batch_norm == "batch":
            norm.train()
            norm.track_running_stats = False  # the running statistics are neither used nor changed


def _check(net: CamNet, views: Sequence[Tensor], labels: Tensor, settings: RibSettings) -> None:
    if len(views) != len(settings.scales):
        raise ValueError(f"{len(views)} views for {len(settings.scales)} scales {settings.scales}: one view a scale is needed")
    for scale, view in zip(settings.scales, views, strict=True):
        if view.ndim != 4 or view.shape[:2] != (2, 3):
            raise ValueError(f"the view at scale {scale} has shape {tuple(view.shape)}, expected [2, 3, h, w]")
    if labels.shape != (net.classifier.out_channels,):
        raise ValueError(f"labels have shape {tuple(labels.shape)}, expected [{net.classifier.out_channels}]")
    if not labels.any():
        raise ValueError("the image has no label: there is nothing to adapt to")


def _adapt(
    net: CamNet,
    features: Sequence[Tensor],
    labels: Tensor,
    aux_features: Iterator[AuxiliaryBatch],
    settings: RibSettings,
    observe: Callable[[], None],
) -> RibResult:
    pool, objective = _pooling(settings), _objective(settings)
    optimizer = torch.optim.SGD(
        net.parameter_groups(settings.learning_rate, settings.head_lr_factor),
        lr=settings.learning_rate,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
    )
    initial_rates = [group["lr"] for group in optimizer.param_groups]
    own_labels = labels.expand(2, -1)
    updates = num_updates(settings)
    result = RibResult(iterates=[[] for _ in features], aggregation=settings.aggregation)

    for k in range(updates + 1):
        observe()
        may_spread = 0 < k < settings.iterations
        signed = _own_maps(net, features, result, labels, settings, with_graph=k < updates, may_spread=may_spread)
        if signed is None:
            result.stopped_by = "spread"
            return result
        if k == settings.iterations:  # the maps of theta_K: nothing is left to adapt
            break
        own_logits = [pool(maps, own_labels) for maps in signed]
        result.scores.append(sum(target_logits(logits, own_labels) for logits in own_logits).item())
        if k < updates:
            loss = sum(objective(logits, own_labels) for logits in own_logits)
            loss = loss + _auxiliary_loss(net, _next_batch(aux_features, k, updates), pool, objective)
            for group, rate in zip(optimizer.param_groups, initial_rates, strict=True):
                group["lr"] = rate * (1 - k / settings.iterations) ** settings.poly_power
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if settings.margin_mode == "stop" and abs(result.scores[-1]) > settings.margin:
            result.stopped_by = "margin"
            return result
    return result


def _own_maps(
    net: CamNet,
    features: Sequence[Tensor],
    result: RibResult,
    labels: Tensor,
    settings: RibSettings,
    *,
    with_graph: bool,
    may_spread: bool,
) -> list[Tensor] | None:
    """Adds this step's map at every scale to `result`; the signed maps of the loss scales, or None after a spread stop."""
    signed, has_spread = [], False
    for index, scale in enumerate(settings.scales):
        in_loss = scale in settings.loss_scales
        with torch.set_grad_enabled(with_graph and in_loss):
            maps = net.maps(features[index])
        merged = merge_mirrored(maps.detach())
        result.iterates[index].append(merged)
        if index == 0 and may_spread:
            has_spread = _has_spread(merged[labels > 0], settings)
        if has_spread and settings.spread_scales == "first":
            return None
        if in_loss:
            signed.append(maps)
    return None if has_spread else signed


def _has_spread(maps: Tensor, settings: RibSettings) -> bool:
    """Whether the union of the positions that one step's maps [n, h, w] of the image's classes cover exceeds the ratio."""
    covered = (normalize_by_maximum(maps) > settings.spread_threshold).any(dim=0)
    return covered.float().mean().item() > settings.spread_ratio


def _pooling(settings: RibSettings) -> Callable[[Tensor, Tensor], Tensor]:
    """(maps [N, C, h, w], labels [N, C]) -> logits [N, C]. GNDRP average-pools what it is not told the label of."""
    if settings.pooling == "gap":
        return lambda maps, labels: gap(maps)

    def pool(maps: Tensor, labels: Tensor) -> Tensor:
        if settings.gndrp_classes is not None:
            labels = labels * (torch.arange(labels.shape[1], device=labels.device) < settings.gndrp_classes)
        if settings.empty_region == "pool":
            labels = labels * (maps.detach().amax(dim=(2, 3)) > 0)
        return gndrp(maps, labels, settings.tau, settings.denominator)

    return pool


def _objective(settings: RibSettings) -> Callable[[Tensor, Tensor], Tensor]:
    """(logits [N, C], labels [N, C]) -> what a step minimises. The margin caps the logits of the RIB objective alone."""
    if settings.objective == "bce":
        return cross_entropy_objective
    return partial(rib_objective, margin=settings.margin if settings.margin_mode == "clamp" else None)


def _next_batch(batches: Iterator[AuxiliaryBatch], step: int, num_steps: int) -> AuxiliaryBatch:
    try:
        return next(batches)
    except StopIteration:
        raise ValueError(f"aux_batches ended after {step} of {num_steps} steps: one batch a step is needed") from None


def _auxiliary_loss(net: CamNet, batch: AuxiliaryBatch, pool: Callable, objective: Callable) -> Tensor | float:
    features, labels = batch
    if len(features) == 0:
        return 0.0
    labels = labels.to(net.classifier.weight)
    return objective(pool(net.maps(features), labels), labels)
