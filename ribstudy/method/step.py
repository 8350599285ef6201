"""One step of an adaptation: the loss, its gradient or a control of the same length, and the update of the weights."""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from ribstudy.method.losses import cross_entropy_objective, rib_objective
from ribstudy.method.pooling import gap, gndrp
from ribstudy.method.settings import RibSettings
from ribstudy.models.cam_net import CamNet

Seen = Sequence[tuple[Tensor, Tensor]]  # the signed maps [N, C, h, w] that the loss sees, with their labels [N, C]


def pooling(settings: RibSettings) -> Callable[[Tensor, Tensor], Tensor]:
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


def objective(settings: RibSettings) -> Callable[[Tensor, Tensor], Tensor]:
    """The function (logits [N, C], labels [N, C]) -> loss. Only the RIB objective has a margin."""
    if settings.objective == "bce":
        return cross_entropy_objective
    return partial(rib_objective, margin=settings.margin if settings.margin_mode == "clamp" else None)


# Other losses whose gradient can be the direction of a step: the logits pooled as in training, and the loss of the training.
CONTROLS = {"gap": rib_objective, "bce": cross_entropy_objective}


class Descent:
    """Gradient descent on the adapted weights of `net`, whose first weights are those at the construction.

    generator: of the direction "random".
    """

    def __init__(self, net: CamNet, settings: RibSettings, generator: torch.Generator):
        groups = net.parameter_groups(settings.learning_rate, settings.head_lr_factor)
        groups = [{**group, "initial_lr": group["lr"]} for group in groups]
        self._optimizer = torch.optim.SGD(groups, momentum=settings.momentum, weight_decay=settings.weight_decay)
        self._adapted = [parameter for parameter in net.parameters() if parameter.requires_grad]
        self._first = [parameter.detach().clone() for parameter in self._adapted] if settings.anchor else []
        self._settings, self._generator = settings, generator

    def update(self, loss: Tensor, seen: Seen, rate_factor: float) -> None:
        """One step at `rate_factor` times the initial learning rates. seen: what the loss was computed from."""
        for group in self._optimizer.param_groups:
            group["lr"] = group["initial_lr"] * rate_factor
        self._optimizer.zero_grad()
        if self._settings.direction == "gradient":
            loss.backward()
        else:
            self._turn(loss, seen)
        with torch.no_grad():
            for parameter, first in zip(self._adapted, self._first, strict=False):
                parameter.grad += self._settings.anchor * (parameter - first)
        self._optimizer.step()

    def _turn(self, loss: Tensor, seen: Seen) -> None:
        """Sets the gradient of each tensor to the control's, at the length of the loss's own."""
        own = torch.autograd.grad(loss, self._adapted, retain_graph=True)
        if self._settings.direction == "random":
            others = [_noise(gradient, self._generator) for gradient in own]
        else:
            loss_of = CONTROLS[self._settings.direction]
            others = torch.autograd.grad(sum(loss_of(gap(maps), labels) for maps, labels in seen), self._adapted)
        for parameter, gradient, other in zip(self._adapted, own, others, strict=True):
            length = other.norm()
            parameter.grad = other * (gradient.norm() / length if length > 0 else 0)


def _noise(like: Tensor, generator: torch.Generator) -> Tensor:
    """Normal noise; drawn on the CPU, so that it is the same on every device."""
    return torch.randn(like.shape, generator=generator).to(like)
