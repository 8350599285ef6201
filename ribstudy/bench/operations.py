"""The floating-point operations of one adaptation, counted for the reference code's schedule and for this study's.

FLOP come from torch's counter. It counts convolutions and matrix products only, and a multiplication and an addition are two
operations. It takes the gradient of a grouped convolution's weights for the gradient of one without groups, so the backward
pass of convolutions has a formula of its own here.

Shapes: C classes, K steps, B auxiliary images, h_s x w_s positions of the map at scale s.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode, conv_flop_count

from ribstudy.method.settings import RibSettings
from ribstudy.models.cam_net import CamNet, build_cam_net
from ribstudy.models.kernels import use_fast_convolutions


@dataclass(frozen=True)
class Workload:
    """The adaptation of one image: its size in pixels, B auxiliary crops of `crop_side` squared, C classes, K steps."""

    height: int
    width: int
    num_auxiliary: int
    crop_side: int
    num_classes: int = 20
    iterations: int = 10
    backbone: str = "resnet50"

    @property
    def label(self) -> str:
        return f"{self.height} x {self.width} pixels, {self.num_auxiliary} auxiliary crops of {self.crop_side} squared"

    def view_sizes(self, scales: Sequence[float]) -> list[tuple[int, int]]:
        """Height and width of the view at each scale, as `datasets.transforms.views` makes them."""
        return [(max(round(self.height * scale), 1), max(round(self.width * scale), 1)) for scale in scales]


@dataclass(frozen=True)
class StepFlop:
    """FLOP of the parts of one step: forward through the frozen and the trained layers, and backward.

    The parts are counted separately for the image's own views and for the auxiliary images. The backward pass covers only the
    scales in the objective, and it ends at the frozen layers.
    """

    own_frozen: float
    own_trained: float
    own_backward: float
    auxiliary_frozen: float
    auxiliary_trained: float
    auxiliary_backward: float

    def total(self) -> float:
        return sum(asdict(self).values())


@cache
def count_step(workload: Workload, *, on_cpu: bool = False) -> StepFlop:
    """Counts one step of the workload's backbone on tensors without content, with the scales of `RibSettings`.

    on_cpu: with the convolutions of `use_fast_convolutions`, which pad odd sizes; ResNet-50 has no odd sizes.
    """
    with torch.device("meta"):
        net = build_cam_net(workload.backbone, workload.num_classes)
        if on_cpu:
            use_fast_convolutions(net, "cpu")
        return count_step_of(net, workload)


def count_step_of(net: CamNet, workload: Workload) -> StepFlop:
    """Counts one step of a network on the device "meta", with the scales of `RibSettings`."""
    settings = RibSettings()
    own_frozen = own_trained = own_backward = 0.0
    for scale, size in zip(settings.scales, workload.view_sizes(settings.scales), strict=True):
        frozen, trained, backward = count_passes(net, torch.empty(2, 3, *size, device="meta"))
        own_frozen, own_trained = own_frozen + frozen, own_trained + trained
        own_backward += backward if scale in settings.loss_scales else 0
    crops = torch.empty(workload.num_auxiliary, 3, workload.crop_side, workload.crop_side, device="meta")
    return StepFlop(own_frozen, own_trained, own_backward, *(count_passes(net, crops) if len(crops) else (0.0, 0.0, 0.0)))


def count_passes(net: CamNet, images: Tensor) -> tuple[float, float, float]:
    """FLOP of the forward pass through the frozen layers, of the forward pass through the trained layers, and backward."""
    # Called layer by layer, because the autocast of `net` does not support the device "meta".
    frozen, features = count_flop(lambda: net.frozen(images).detach())
    trained, maps = count_flop(lambda: net.classifier(net.trained(features)))
    backward, _ = count_flop(maps.sum().backward)
    return frozen, trained, backward


def count_flop(work: Callable[[], Any]) -> tuple[float, Any]:
    """The FLOP of a call of `work`, and its return value."""
    with FlopCounterMode(display=False, custom_mapping={torch.ops.aten.convolution_backward: _backward_flop}) as counter:
        result = work()
    return float(counter.get_total_flops()), result


def _backward_flop(
    gradient: Sequence[int],
    images: Sequence[int],
    weights: Sequence[int],
    _bias: Any,
    _stride: Any,
    _padding: Any,
    _dilation: Any,
    transposed: bool,
    _output_padding: Any,
    _groups: int,
    wanted: Sequence[bool],
    **_: Any,
) -> int:
    """FLOP of the backward pass of a convolution, from the shapes of its arguments.

    The gradients of the images and of the weights each take as many as the forward pass, in which the shape of the weights
    already contains the groups: [output channels, input channels / groups, ...]. wanted: whether each gradient is computed.
    """
    return conv_flop_count(gradient, weights, images, transposed=not transposed) * sum(map(bool, wanted[:2]))


def reference_flop(step: StepFlop, iterations: int) -> float:
    """FLOP of the reference code's schedule, which computes every part in each of the K steps."""
    return iterations * step.total()


def study_flop(step: StepFlop, iterations: int, *, bank: bool = False) -> float:
    """FLOP of `ribstudy.method.rib`.

    The image's own views pass the frozen layers once. There are K - 1 updates, because a K-th would change no map.

    bank: the features of the auxiliary images after the frozen layers were computed beforehand.
    """
    update = step.own_backward + step.auxiliary_trained + step.auxiliary_backward + (0 if bank else step.auxiliary_frozen)
    return step.own_frozen + iterations * step.own_trained + (iterations - 1) * update


def savings(step: StepFlop, iterations: int) -> dict[str, float]:
    """FLOP of one image that the study leaves out of the reference code's schedule: description -> FLOP.

    The study computes no graph for the view at scale 0.5. This saves memory but no FLOP: the view is not in the objective, so
    the reference code has no backward pass for it either.
    """
    update = step.own_backward + step.auxiliary_frozen + step.auxiliary_trained + step.auxiliary_backward
    return {
        "frozen features of the image's views kept": (iterations - 1) * step.own_frozen,
        "last update left out": update,
        "bank of auxiliary features (an option)": (iterations - 1) * step.auxiliary_frozen,
    }
