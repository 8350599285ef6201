"""Class activation maps by gradients: Grad-CAM, Grad-CAM++ and LayerCAM, and the CAM itself, by the library torch-cam.

The classifier is a bias-free linear layer followed by a mean over positions. The gradient of a logit with respect to the
features that this layer reads is the class's weight vector divided by the number of positions h*w, the same at each position.
At this layer, Grad-CAM is therefore the CAM up to the factor 1/(h*w). At an earlier layer it is not.

Shapes: C classes, n of them in the image, h_l x w_l positions of layer l.
"""

import difflib
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torchcam.methods import CAM, GradCAM, GradCAMpp, LayerCAM

from ribstudy.method.maps import merge_mirrored
from ribstudy.method.pooling import gap
from ribstudy.method.settings import BaselineSettings
from ribstudy.method.stored_maps import StoredMaps, stored_class_maps
from ribstudy.models.cam_net import CamNet


class PooledClassifier(nn.Module):
    """A `CamNet` with the mean over positions: images [N, 3, H, W] -> logits [N, C], with gradients through all layers."""

    def __init__(self, net: CamNet):
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> Tensor:
        return gap(self.net.forward_with_graph(images))


class WeightedGradCAMpp(GradCAMpp):
    """torch-cam's Grad-CAM++ with the coefficients alpha of the paper (Eq. 19).

    torch-cam 0.5.0 divides a copy of the selected values by the denominator, so the division is lost: it uses g^2 instead of
    alpha = g^2 / (2 g^2 + g^3 sum(A)), and a channel's weight grows with the third power of its gradient.
    """

    def _get_weights(self, class_idx: int | list[int], scores: Tensor, **kwargs) -> list[Tensor]:
        self._backprop(scores, class_idx, **kwargs)
        return list(map(gradient_weights, self.hook_g, self.hook_a))


METHODS = {"cam": CAM, "gradcam": GradCAM, "gradcam++": WeightedGradCAMpp, "layercam": LayerCAM}


def gradient_weights(gradients: Tensor, activations: Tensor) -> Tensor:
    """Grad-CAM++'s weights of the channels (its Eqs. 5 and 19): two [N, K, h, w] -> [N, K]; 0 where the gradient is 0."""
    squares = gradients.square()
    sums = activations.sum(dim=(2, 3), keepdim=True)
    denominators = 2 * squares + squares * gradients * sums
    alphas = torch.where(denominators == 0, 0, squares / torch.where(denominators == 0, 1, denominators))
    return (alphas * gradients.relu()).sum(dim=(2, 3))


def class_maps(net: CamNet, views: Tensor, classes: Sequence[int], settings: BaselineSettings) -> Tensor:
    """The non-negative maps [n, h, w] of some classes, merged over an image and its mirror image (views [2, 3, H, W]).

    Each class takes one backward pass. With several layers, each map is normalised, sharpened by tanh and resized to the finest
    layer, and the maximum over layers is taken (LayerCAM, its Eq. 9). The weights of `net` and their gradients do not change.

    Raises ValueError for a layer that the network does not have, with similar names.
    """
    _check_layers(net, settings.layers)
    classifier = PooledClassifier(net)
    layers = [f"net.{name}" for name in settings.layers]
    head = {"fc_layer": "net.classifier"} if settings.method == "cam" else {}
    several = len(layers) > 1
    with torch.enable_grad(), METHODS[settings.method](classifier, layers, **head) as extractor:
        scores = classifier(views.detach().requires_grad_())
        maps = []
        for place, index in enumerate(classes):
            keep = {} if settings.method == "cam" else {"retain_graph": place < len(classes) - 1}
            found = extractor(int(index), scores, normalized=several, **keep)
            maps.append(extractor.fuse_cams(found) if several else found[0])
    return merge_mirrored(torch.stack(maps, dim=1).detach().float())


def _check_layers(net: CamNet, layers: Sequence[str]) -> None:
    known = [name for name, _ in net.named_modules() if name]
    for name in layers:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=3)
            hint = f"; did you mean {' or '.join(near)}?" if near else "; known: frozen, trained, and the modules inside them"
            raise ValueError(f"baseline.layers: the network has no module {name!r}{hint}")


def compute_gradcam(
    net: CamNet, views: Sequence[Tensor], label: np.ndarray, size: tuple[int, int], settings: BaselineSettings
) -> StoredMaps:
    """The maps by one of `METHODS`, as a single step. Arguments: see `cam.compute_cam`."""

    def maps_of(view: Tensor, classes: np.ndarray) -> Tensor:
        return class_maps(net, view.to(net.classifier.weight.device), classes, settings)[None]

    return stored_class_maps(views, label, size, maps_of)
