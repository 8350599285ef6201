r"""Reducing the information bottleneck: adapt the classifier to one image, sum the maps of all steps, restore the weights.

Each step maximises the logits of the image's classes, without a last activation, pooled over the non-discriminative region
(paper, Section 4; reference code, `obtain_RIB_CAM.py`):

.. math::
    M_c = \sum_{k=0}^{K} \mathrm{ReLU}(A_c(x; \theta_k)), \qquad
    \theta_{k+1} = \theta_k - \eta_k \nabla_\theta \mathcal{L}_\mathrm{RIB}(\theta_k)

:math:`A_c(x; \theta_k)` is the signed map of class c (`CamNet`), :math:`\mathcal{L}_\mathrm{RIB}` is `rib_objective` of the
logits pooled by `gndrp`, and :math:`\eta_k` is the learning rate of step k. The maps :math:`M_c` of all scales are resized and
added by `seed_maps`. If paper and code differ, `RibSettings` offers a choice.

Shapes: C classes, h x w positions of the map at one scale, B auxiliary images.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import compress
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from ribstudy.method.losses import cross_entropy_objective, rib_objective, target_logits
from ribstudy.method.maps import aggregate, merge_mirrored, normalize_by_maximum
from ribstudy.method.pooling import gap, gndrp
from ribstudy.method.settings import RibSettings
from ribstudy.method.stored_maps import StoredMaps
from ribstudy.models.batch_norm import batch_norms
from ribstudy.models.cam_net import CamNet

StoppedBy = Literal["iterations", "margin", "spread"]
AuxiliaryBatch = tuple[Tensor, Tensor]  # images or their frozen features, and labels


@dataclass
class RibResult:
    """The maps of an adaptation.

    Args:
        iterates: per scale the maps [C, h, w] of theta_0, theta_1, ..., not negative, mirrored views merged. After a spread
            stop, scale 1 has one map more than the other scales, as in the reference code (`spread_scales`).
        aggregation: how the maps of all steps become one map (`maps.aggregate`).
        scores: per step the labelled logits summed over the image's own views, which are compared with the margin.
        stopped_by: the reason why the loop ended.
    """

    iterates: list[list[Tensor]]
    aggregation: str = "raw"
    scores: list[float] = field(default_factory=list)
    stopped_by: StoppedBy = "iterations"

    @property
    def steps(self) -> int:
        """The number of maps at scale 1."""
        return len(self.iterates[0])

    @property
    def cam(self) -> list[Tensor]:
        """Per scale the map [C, h, w] of theta_0: the class activation map of the network before the adaptation."""
        return [iterates[0] for iterates in self.iterates]

    @property
    def maps(self) -> list[Tensor]:
        """Per scale one map [C, h, w] of all steps. In the plain sum ("raw"), later maps have more weight: they are larger."""
        return [aggregate(torch.stack(iterates), self.aggregation) for iterates in self.iterates]


def adapt(
    net: CamNet,
    views: Sequence[Tensor],
    labels: Tensor,
    aux_batches: Iterable[AuxiliaryBatch],
    settings: RibSettings,
) -> RibResult:
    """Adapts `net` to one image and returns the maps of all steps (paper, Section 4; reference code, `obtain_RIB_CAM.py`).

    Afterwards `net` is exactly as it was before (see `adapted`).

    Args:
        net: a trained classifier.
        views: per scale of `settings.scales` a tensor [2, 3, h_s, w_s], the image and its mirror (`transforms.views`).
        labels: [C], nonzero for the classes in the image; at least one.
        aux_batches: per step (images [B, 3, H, W], labels [B, C]) of images without the image's classes; B may be 0.
        settings: see `RibSettings`.

    Raises:
        ValueError: no label, views that do not fit the scales, too few auxiliary batches, or weights that cannot change.
        FloatingPointError: the adaptation diverged, so that a map is not finite; a smaller learning rate helps.

    >>> from ribstudy.models.cam_net import build_cam_net
    >>> net = build_cam_net("tf_efficientnet_lite0", num_classes=3)
    >>> settings = RibSettings(iterations=2, scales=(1.0,), loss_scales=(1.0,), spread_ratio=1.0)
    >>> image = torch.rand(3, 64, 96)
    >>> views, labels = [torch.stack([image, image.flip(-1)])], torch.tensor([1.0, 0.0, 1.0])
    >>> others = torch.rand(2, 3, 64, 64), torch.tensor([[0.0, 1.0, 0.0], [0.0, 1.0, 0.0]])
    >>> result = adapt(net, views, labels, [others], settings)
    >>> result.steps, result.stopped_by, result.maps[0].shape
    (2, 'iterations', torch.Size([3, 4, 6]))
    """
    _check(net, views, labels, settings)
    device = net.classifier.weight.device
    with evaluation_mode(net), torch.inference_mode(False):  # also for a caller in inference mode, which has no gradients
        features = [net.features(view.to(device)) for view in views]  # the same in every step
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
    """Like `adapt`, but takes the features (`CamNet.features`) of the views and of the auxiliary images instead of the images.

    observe: called before the map of every theta_k is computed, while `net` has these weights; it must not change them.
    """
    with torch.inference_mode(False), adapted(net, settings):
        result = _run(net, features, labels, _one_per_update(aux_features, num_updates(settings)), settings, observe)
    if not all(torch.isfinite(maps).all() for maps in result.maps):
        raise FloatingPointError(f"the adaptation diverged at learning rate {settings.learning_rate}: a map is not finite")
    return result


def num_updates(settings: RibSettings) -> int:
    """The largest number of updates, and thus of auxiliary batches: an update after the last map would have no effect."""
    return settings.iterations if settings.include_last else settings.iterations - 1


def stored_adaptation(result: RibResult, label: np.ndarray, size: tuple[int, int]) -> StoredMaps:
    """The maps of all steps of an adaptation, as they are stored, for the classes of the image's `label` [C].

    The raw map of every step is kept, so that the maps can be aggregated or normalised in another way without a new adaptation.
    """
    classes = np.flatnonzero(label)
    return StoredMaps(
        classes,
        size,
        steps=tuple(torch.stack(iterates)[:, classes].cpu().numpy() for iterates in result.iterates),
        logits=np.array(result.scores),
        stopped_by=result.stopped_by,
    )


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


def _check(net: CamNet, views: Sequence[Tensor], labels: Tensor, settings: RibSettings) -> None:
    if any(parameter.is_inference() for parameter in net.parameters()):
        raise ValueError("the network was built in torch.inference_mode, so its weights cannot change; build it outside")
    if len(views) != len(settings.scales):
        raise ValueError(f"{len(views)} views for {len(settings.scales)} scales {settings.scales}: pass one view per scale")
    for scale, view in zip(settings.scales, views, strict=True):
        if view.ndim != 4 or view.shape[:2] != (2, 3):
            raise ValueError(f"the view at scale {scale} has shape {tuple(view.shape)}, expected [2, 3, h, w]")
    if labels.shape != (net.classifier.out_channels,):
        raise ValueError(f"labels have shape {tuple(labels.shape)}, expected [{net.classifier.out_channels}]")
    if not labels.any():
        raise ValueError("the image has no label: there is nothing to adapt to")


@torch.enable_grad()
def _run(
    net: CamNet,
    features: Sequence[Tensor],
    labels: Tensor,
    aux_features: Iterator[AuxiliaryBatch],
    settings: RibSettings,
    observe: Callable[[], None],
) -> RibResult:
    """The loop of an adaptation, in the scope `adapted`."""
    pool, objective, optimizer = _pooling(settings), _objective(settings), _optimizer(net, settings)
    labels = (labels != 0).to(net.classifier.weight)
    own_labels = labels.expand(2, -1)
    iterates, scores = [[] for _ in features], []
    result = partial(RibResult, iterates, settings.aggregation, scores)
    updates = num_updates(settings)
    in_loss = [scale in settings.loss_scales for scale in settings.scales]

    for k in range(updates + 1):
        observe()
        with_graph = [k < updates and counts for counts in in_loss]
        maps_by_scale = map(partial(_signed_maps, net), features, with_graph)  # lazily: a stop may need scale 1 only
        signed = [next(maps_by_scale)]
        spread = 0 < k < settings.iterations and _has_spread(signed[0], labels, settings)
        if not spread or settings.spread_scales == "all":
            signed += maps_by_scale
        for kept, maps in zip(iterates, signed, strict=False):
            kept.append(merge_mirrored(maps.detach()))
        if spread:
            return result("spread")
        if k == settings.iterations:  # theta_K adds its maps, but is not adapted further
            break
        own_logits = [pool(maps, own_labels) for maps in compress(signed, in_loss)]
        scores.append(sum(target_logits(logits, own_labels) for logits in own_logits).item())
        if k < updates:
            loss = sum(objective(logits, own_labels) for logits in own_logits)
            loss = loss + _auxiliary_loss(net, next(aux_features), pool, objective)
            _update(optimizer, loss, (1 - k / settings.iterations) ** settings.poly_power)
        if settings.margin_mode == "stop" and abs(scores[-1]) > settings.margin:
            return result("margin")
    return result("iterations")


def _signed_maps(net: CamNet, features: Tensor, with_graph: bool) -> Tensor:
    with torch.set_grad_enabled(with_graph):
        return net.maps(features)


def _has_spread(signed: Tensor, labels: Tensor, settings: RibSettings) -> bool:
    """Whether the maps of the image's classes together cover more than `spread_ratio` of the positions.

    signed: [2, C, h, w], the maps of the plain and the mirrored view at one step.
    """
    maps = merge_mirrored(signed.detach())[labels > 0]
    covered = (normalize_by_maximum(maps) > settings.spread_threshold).any(dim=0)
    return covered.float().mean().item() > settings.spread_ratio


def _optimizer(net: CamNet, settings: RibSettings) -> torch.optim.Optimizer:
    groups = net.parameter_groups(settings.learning_rate, settings.head_lr_factor)
    groups = [{**group, "initial_lr": group["lr"]} for group in groups]
    return torch.optim.SGD(groups, momentum=settings.momentum, weight_decay=settings.weight_decay)


def _update(optimizer: torch.optim.Optimizer, loss: Tensor, rate_factor: float) -> None:
    """One step of gradient descent at `rate_factor` times the initial learning rates."""
    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"] * rate_factor
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def _pooling(settings: RibSettings) -> Callable[[Tensor, Tensor], Tensor]:
    """The function (maps [N, C, h, w], labels [N, C]) -> logits [N, C]. GNDRP average-pools classes whose label is 0."""
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
    """The function (logits [N, C], labels [N, C]) -> loss. Only the RIB objective has a margin."""
    if settings.objective == "bce":
        return cross_entropy_objective
    return partial(rib_objective, margin=settings.margin if settings.margin_mode == "clamp" else None)


def _auxiliary_loss(net: CamNet, batch: AuxiliaryBatch, pool: Callable, objective: Callable) -> Tensor | float:
    features, labels = batch
    if len(features) == 0:
        return 0.0
    labels = (labels != 0).to(net.classifier.weight)
    return objective(pool(net.maps(features), labels), labels)


def _one_per_update(batches: Iterable[AuxiliaryBatch], updates: int) -> Iterator[AuxiliaryBatch]:
    """The auxiliary batches. Raises ValueError if one is missing."""
    count = 0
    for batch in batches:
        yield batch
        count += 1
    raise ValueError(f"aux_batches ended after {count} of {updates} steps: every step needs a batch")
