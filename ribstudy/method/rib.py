r"""Reducing the information bottleneck: adapt the classifier to one image, sum the maps of all steps, restore the weights.

Each step maximises the logits of the image's classes, without a last activation, pooled over the non-discriminative region
(paper, Section 4; reference code, `obtain_RIB_CAM.py`):

.. math::
    M_c = \sum_{k=0}^{K} \mathrm{ReLU}(A_c(x; \theta_k)), \qquad
    \theta_{k+1} = \theta_k - \eta_k \nabla_\theta \mathcal{L}_\mathrm{RIB}(\theta_k)

:math:`A_c(x; \theta_k)` is the signed map of class c (`CamNet`), :math:`\mathcal{L}_\mathrm{RIB}` is `rib_objective` of the
logits pooled by `gndrp`, and :math:`\eta_k` is the learning rate of step k. The maps :math:`M_c` of all scales are resized and
added by `seed_maps`. If paper and code differ, `RibSettings` offers a choice. Its mode "fast" takes all steps at once,
without auxiliary images, and sums the maps before and after.

Shapes: C classes, h x w positions of the map at one scale, B auxiliary images.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate, compress
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ribstudy.method.adapted import adapted, evaluation_mode
from ribstudy.method.line import maps_and_change
from ribstudy.method.losses import target_logits
from ribstudy.method.maps import aggregate, merge_mirrored, normalize_by_maximum
from ribstudy.method.settings import RibSettings, rate_factors
from ribstudy.method.step import Descent, Seen, objective, pooling
from ribstudy.method.stored_maps import StoredMaps
from ribstudy.models.cam_net import CamNet

StoppedBy = Literal["iterations", "margin", "spread", "peak"]
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
    generator: torch.Generator | None = None,
) -> RibResult:
    """Like `adapt`, but takes the features (`CamNet.features`) of the views and of the auxiliary images instead of the images.

    observe: called before the map of every theta_k is computed, while `net` has these weights; it must not change them.
    generator: of the direction "random" (None: a new one, with seed 0).
    """
    batches = _one_per_update(aux_features, num_updates(settings))
    generator = torch.Generator().manual_seed(0) if generator is None else generator
    with torch.inference_mode(False), adapted(net, settings):
        if settings.path == "line":
            result = _along_a_line(net, features, labels, batches, settings, generator)
        else:
            plain = in_plain_steps(settings)
            result = _run(_Steps(net, features, labels, batches, plain, generator), plain, observe)
    if not all(torch.isfinite(maps).all() for maps in result.maps):
        raise FloatingPointError(f"the adaptation diverged at learning rate {settings.learning_rate}: a map is not finite")
    return result


def num_updates(settings: RibSettings) -> int:
    """The largest number of updates, and thus of auxiliary batches."""
    return len(rate_factors(in_plain_steps(settings)))


def in_plain_steps(settings: RibSettings) -> RibSettings:
    """The settings of the same updates without `path`: all steps at once are one step at the sum of their learning rates."""
    if settings.path == "steps":
        return settings
    one = {"path": "steps", "iterations": 1, "include_last": True}
    return settings.model_copy(update={**one, "learning_rate": settings.learning_rate * sum(rate_factors(settings))})


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


class _Steps:
    """The maps, losses and updates of the steps of an adaptation, in the scope `adapted`.

    If only the classifier adapts, its input stays the same: it is computed once, and a step costs next to nothing.
    """

    def __init__(
        self,
        net: CamNet,
        features: Sequence[Tensor],
        labels: Tensor,
        aux_features: Iterator[AuxiliaryBatch],
        settings: RibSettings,
        generator: torch.Generator,
    ):
        head_only = settings.trained == "classifier"
        self._maps_of = partial(_classified, net) if head_only else net.maps
        self._inputs_of = partial(_classifier_inputs, net) if head_only else (lambda features: features)
        self._features = [self._inputs_of(of_scale) for of_scale in features]
        self.labels = (labels != 0).to(net.classifier.weight)
        self._aux_features = aux_features if settings.auxiliary else None
        self._pool, self._objective = pooling(settings), objective(settings)
        self._descent = Descent(net, settings, generator)
        self._in_loss = [scale in settings.loss_scales for scale in settings.scales]
        self._logits: Seen = ()
        self._seen: Seen = ()

    def signed(self, *, updated: bool) -> Iterator[Tensor]:
        """The signed maps of one scale after another; updated: whether an update follows, which needs a graph."""
        for features, in_loss in zip(self._features, self._in_loss, strict=True):
            with torch.set_grad_enabled(updated and in_loss):
                maps = self._maps_of(features)
            yield maps

    def score(self, signed: Sequence[Tensor]) -> float:
        """The labelled logits summed over the image's views in the loss; signed: of all scales."""
        own_labels = self.labels.expand(2, -1)
        self._seen = [(maps, own_labels) for maps in compress(signed, self._in_loss)]
        self._logits = [(self._pool(maps, labels), labels) for maps, labels in self._seen]
        return sum(target_logits(logits, labels) for logits, labels in self._logits).item()

    def update(self, rate_factor: float) -> None:
        """An update by the loss of the maps that were scored last and of the next auxiliary images."""
        seen, logits = [*self._seen], [*self._logits]
        images, labels = next(self._aux_features) if self._aux_features is not None else ((), ())
        if len(images):
            labels = (labels != 0).to(self.labels)
            seen.append((self._maps_of(self._inputs_of(images)), labels))
            logits.append((self._pool(*seen[-1]), labels))
        loss = sum(self._objective(of_images, labels) for of_images, labels in logits)
        self._descent.update(loss, seen, rate_factor)


@torch.enable_grad()
def _run(steps: _Steps, settings: RibSettings, observe: Callable[[], None]) -> RibResult:
    """The loop of an adaptation."""
    iterates, scores = [[] for _ in settings.scales], []
    result = partial(RibResult, iterates, settings.aggregation, scores)
    factors = rate_factors(settings)
    updates = len(factors)

    for k in range(updates + 1):
        observe()
        maps_by_scale = steps.signed(updated=k < updates)  # lazily: a stop may need scale 1 only
        signed = [next(maps_by_scale)]
        spread = 0 < k < settings.iterations and _has_spread(signed[0], steps.labels, settings)
        if not spread or settings.spread_scales == "all":
            signed += maps_by_scale
        for kept, maps in zip(iterates, signed, strict=False):
            kept.append(merge_mirrored(maps.detach()))
        if spread:
            return result("spread")
        if k == settings.iterations:  # theta_K adds its maps, but is not adapted further
            break
        scores.append(steps.score(signed))
        if settings.stop_at_peak and k > 0 and scores[-1] < scores[-2]:
            return result("peak")
        if k < updates:
            steps.update(factors[k])
        if settings.margin_mode == "stop" and abs(scores[-1]) > settings.margin:
            return result("margin")
    return result("iterations")


@torch.enable_grad()
def _along_a_line(
    net: CamNet,
    features: Sequence[Tensor],
    labels: Tensor,
    aux_features: Iterator[AuxiliaryBatch],
    settings: RibSettings,
    generator: torch.Generator,
) -> RibResult:
    """The maps of all steps as if every step went along the first gradient, and the network were linear in its weights.

    A(theta_0 + t d) ~ A(theta_0) + t J d, where d is the whole path, and t the share of it before each map. All maps follow
    from one backward and one forward-mode pass.
    """
    adapted = [(name, value, value.detach().clone()) for name, value in net.named_parameters() if value.requires_grad]
    in_loss = [scale in settings.loss_scales for scale in settings.scales]
    seen = in_plain_steps(settings).model_copy(update={"scales": tuple(compress(settings.scales, in_loss))})
    steps = _Steps(net, [*compress(features, in_loss)], labels, aux_features, seen, generator)
    scores = [steps.score([*steps.signed(updated=True)])]
    steps.update(1.0)
    path = {name: value.detach() - first for name, value, first in adapted}
    with torch.no_grad():
        for _, value, first in adapted:
            value.copy_(first)
    distances = torch.tensor([0.0, *accumulate(rate_factors(settings))])
    iterates = []
    for of_scale in features:
        signed, change = maps_and_change(net, of_scale, path)
        iterates.append([merge_mirrored(signed + share * change) for share in (distances / distances[-1]).tolist()])
    return RibResult(iterates, settings.aggregation, scores)


def _classifier_inputs(net: CamNet, features: Tensor) -> Tensor:
    with torch.no_grad(), _autocast(net):
        return net.trained(features)


def _classified(net: CamNet, inputs: Tensor) -> Tensor:
    with _autocast(net):
        return net.classifier(inputs).float()


def _autocast(net: CamNet) -> torch.autocast:
    return torch.autocast(net.classifier.weight.device.type, torch.bfloat16, enabled=net.precision == "bf16")


def _has_spread(signed: Tensor, labels: Tensor, settings: RibSettings) -> bool:
    """Whether the maps of the image's classes together cover more than `spread_ratio` of the positions.

    signed: [2, C, h, w], the maps of the plain and the mirrored view at one step.
    """
    maps = merge_mirrored(signed.detach())[labels > 0]
    covered = (normalize_by_maximum(maps) > settings.spread_threshold).any(dim=0)
    return covered.float().mean().item() > settings.spread_ratio


def _one_per_update(batches: Iterable[AuxiliaryBatch], updates: int) -> Iterator[AuxiliaryBatch]:
    """The auxiliary batches. Raises ValueError if one is missing."""
    count = 0
    for batch in batches:
        yield batch
        count += 1
    raise ValueError(f"aux_batches ended after {count} of {updates} steps: every step needs a batch")
