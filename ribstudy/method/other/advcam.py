"""AdvCAM: gradient ascent on the image instead of the weights (Lee, Kim and Yoon, CVPR 2021).

The image is moved along the gradient of its class's logit, so that more and more of the object contributes to the logit, and
the maps of all steps are summed. RIB changes the weights in a similar way, AdvCAM changes the pixels.

Shapes: C classes, n of them in the image, h x w positions of the map at one scale.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ribstudy.method.maps import merge_mirrored
from ribstudy.method.pooling import gap
from ribstudy.method.settings import AdvCamSettings
from ribstudy.method.stored_maps import StoredMaps, stored_class_maps
from ribstudy.models.cam_net import CamNet

EPSILON = 1e-12  # in the normalisation of a step (reference code)


@torch.inference_mode(False)
def climb(net: CamNet, views: Tensor, index: int, settings: AdvCamSettings) -> Tensor:
    r"""The maps of one class during the ascent.

    A step is :math:`x_{k+1} = x_k + \xi\, g / \max |g|` with
    :math:`g = \nabla_x [ y_c - \sum_{c' \ne c} y_{c'} - \lambda \| M_k \odot |A_c(x_k) - A_c(x_0)| \|_1 ]`, where
    :math:`M_k` are the positions where :math:`A_c(x_k)` is above :math:`\tau` times its maximum (the paper, as far as we know
    it; reference code, `obtain_CAM_masking.py`). :math:`A_c` is rectified and merged with the map of the mirrored view. The
    division by the largest gradient and the clipping of pixels to the range of the view come from the reference code. The
    weights of `net` and their gradients do not change.

    Args:
        net: a trained classifier in evaluation mode.
        views: [2, 3, H, W], the image at one scale and its mirror image. Both are moved; the penalty uses their merged map.
        index: the class c.

    Returns:
        [K, h, w], not negative: the maps of x_0, ..., x_{K-1}.
    """
    lowest, highest = views.min(), views.max()
    x, maps = views.detach().clone(), []  # a copy can have a gradient, even of views made in inference mode
    for step in range(settings.iterations):
        last = step == settings.iterations - 1
        with torch.set_grad_enabled(not last):
            x.requires_grad_(not last)
            signed = net.forward_with_graph(x)
            class_map = merge_mirrored(signed[:, [index]])[0]
        maps.append(class_map.detach())
        if last:
            break
        height = objective(signed, index, class_map, maps[0], settings)
        (gradient,) = torch.autograd.grad(height, x)
        step_size = settings.step_size / (gradient.abs().max() + EPSILON)
        x = (x.detach() + step_size * gradient).clamp(lowest, highest)
    return torch.stack(maps)


def objective(signed: Tensor, index: int, class_map: Tensor, first_map: Tensor, settings: AdvCamSettings) -> Tensor:
    """The objective that the ascent increases, a scalar (see `climb`).

    Args:
        signed: [2, C, h, w], the class maps of both views; their logits are summed.
        class_map, first_map: [h, w], the merged map of class `index` now and for the original image.
    """
    logits = gap(signed.relu() if settings.rectified else signed).sum(dim=0)
    now = class_map.detach()
    mask = now > settings.tau * now.max()
    drift = ((class_map - first_map).abs() * mask).sum()
    return 2 * logits[index] - logits.sum() - settings.regularization * drift


def compute_advcam(
    net: CamNet, views: Sequence[Tensor], label: np.ndarray, size: tuple[int, int], settings: AdvCamSettings
) -> StoredMaps:
    """The maps of every step; AdvCAM sums them, as RIB does. Arguments: see `cam.compute_cam`."""

    def maps_of(view: Tensor, classes: np.ndarray) -> Tensor:
        view = view.to(net.classifier.weight.device)
        return torch.stack([climb(net, view, int(index), settings) for index in classes], dim=1)

    return stored_class_maps(views, label, size, maps_of)
