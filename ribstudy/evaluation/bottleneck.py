"""The bottleneck in the real classifier, for one image: gradients by region and depth, and logits over the steps.

The High Gradient Ratio is defined as in the toy (`toy/gradients.py`; paper, Section 3), but through the whole classifier.

Shapes: C classes, n of them in the image; L depths (stages of the network, class maps, logits, sigmoid); T thresholds; K steps;
H x W pixels.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from ribstudy.method.adapted import adapted
from ribstudy.method.maps import merge_mirrored, seed_maps
from ribstudy.method.pooling import gap, gndrp
from ribstudy.method.rib import AuxiliaryBatch, adapt_features
from ribstudy.method.settings import RibSettings
from ribstudy.models.backbones import backbone_steps
from ribstudy.models.cam_net import CamNet

HGR_THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5)
MAIN_THRESHOLD = 0.3  # paper: unconfirmed
REGIONS = ("inside the CAM", "rest of the object", "background")
OUTPUTS = ("class maps", "logits", "sigmoid")  # the depths after the backbone


def depth_names(net: CamNet) -> list[str]:
    """The names of the depths [L]: stem, every stage of the backbone, and `OUTPUTS`."""
    return [*_stages(net), *OUTPUTS]


def _stages(net: CamNet) -> dict[str, list[nn.Module]]:
    """The backbone's modules by stage, in the order of the forward pass."""
    stages: dict[str, list[nn.Module]] = {"stem": []}
    for name, module in backbone_steps(net.frozen, net.trained):
        if name.startswith(("layer", "blocks.")):
            stages[name.replace("blocks.", "stage ").replace("layer", "stage ")] = []
        elif name == "conv_head":
            stages["head"] = []
        stages[next(reversed(stages))].append(module)
    return stages


def depth_gradients(net: CamNet, image: Tensor, labels: Tensor) -> np.ndarray:
    """The gradient of the summed output of each depth with respect to the image, as its norm over the three colours.

    The sum runs over all channels and positions of a stage, or over all classes and positions of the class maps. For the logits
    and the sigmoid it runs over the image's classes; the sigmoid is computed in double precision (see the toy).

    Args:
        image: [1, 3, H, W], normalised.
        labels: [C], nonzero for the image's classes.

    Returns:
        float64 [L, H, W].
    """
    image = image.detach().clone().requires_grad_()
    sums, values = [], image
    with torch.enable_grad():
        for modules in _stages(net).values():
            for module in modules:
                values = module(values)
            sums.append(values.sum())
        maps = net.classifier(values)
        logits = gap(maps)[0, labels.to(maps.device) > 0]
        sums += [maps.sum(), logits.sum(), logits.double().sigmoid().sum()]
    gradients = [torch.autograd.grad(total, image, retain_graph=True)[0][0].double().norm(dim=0) for total in sums]
    return torch.stack(gradients).cpu().numpy()


def region_masks(truth: np.ndarray, classes: np.ndarray, maps: np.ndarray, threshold: float) -> np.ndarray:
    """The pixels of each of `REGIONS`, bool [3, H, W]; void is in none of them.

    An object pixel is inside the CAM if the map of its class is above the threshold there.

    Args:
        truth: uint8 [H, W], 0 background, class + 1, 255 void.
        classes: [n], the image's classes.
        maps: [n, H, W] in 0..1.
    """
    owners = truth[None] == np.asarray(classes)[:, None, None] + 1
    covered = owners & (maps > threshold)
    return np.stack([covered.any(axis=0), (owners & ~covered).any(axis=0), truth == 0])


def high_counts(gradients: np.ndarray, regions: np.ndarray, thresholds: Sequence[float] = HGR_THRESHOLDS) -> np.ndarray:
    """Pixels of each region where the gradient of a depth, divided by its maximum, exceeds a threshold: int64 [L, 3, T].

    Args:
        gradients: [L, H, W]; a map that is 0 everywhere has no such pixels.
        regions: bool [3, H, W].
    """
    largest = gradients.max(axis=(1, 2), keepdims=True)
    shares = np.divide(gradients, largest, out=np.zeros_like(gradients), where=largest > 0)
    high = shares[:, None] > np.asarray(thresholds)[None, :, None, None]  # [L, T, H, W]
    return np.einsum("lthw,rhw->lrt", high, regions, dtype=np.int64)


def measure_image(
    net: CamNet,
    view: Tensor,
    features: Sequence[Tensor],
    label: np.ndarray,
    truth: np.ndarray,
    aux_features: Sequence[AuxiliaryBatch],
    settings: RibSettings,
) -> dict[str, np.ndarray]:
    """The arrays that the stage `bottleneck` stores for an image. `net` is the same before and after.

    Args:
        view: [2, 3, H, W], the image at scale 1 and its mirror image.
        features: of the views at `settings.scales` (see `adapt_features`).
        label: [C]. An image without a class has only the array `label`.
        truth: uint8 [H, W].

    Returns:
        `label` [C]; `depths` [L], their names; `pixels` [3] of the regions; `high` [2, L, 3, T], see `high_counts`, at theta_0
        and at the last theta_k whose map RIB sums; `gap` and `gndrp` [K, C], the pooled logits of scale 1 at every theta_k,
        mean of both views.
    """
    if not label.any():
        return {"label": label}
    labels = torch.as_tensor(label, dtype=torch.float32, device=features[0].device)
    regions = _regions_of(net, features[0], label, truth, settings.spread_threshold)
    before = high_counts(depth_gradients(net, view[:1], labels), regions)
    courses, last = _follow(net, features, labels, aux_features, settings)
    with adapted(net, settings):
        net.load_state_dict(last, strict=False)
        after = high_counts(depth_gradients(net, view[:1], labels), regions)
    depths, pixels = np.array(depth_names(net)), regions.sum(axis=(1, 2))
    return {"label": label, "depths": depths, "pixels": pixels, "high": np.stack([before, after]), **courses}


@torch.no_grad()
def _regions_of(net: CamNet, features: Tensor, label: np.ndarray, truth: np.ndarray, threshold: float) -> np.ndarray:
    classes = np.flatnonzero(label)
    maps = seed_maps([merge_mirrored(net.maps(features))[classes].cpu()], truth.shape).numpy()
    return region_masks(truth, classes, maps, threshold)


def _follow(
    net: CamNet, features: Sequence[Tensor], labels: Tensor, aux_features: Sequence[AuxiliaryBatch], settings: RibSettings
) -> tuple[dict[str, np.ndarray], dict[str, Tensor]]:
    """The pooled logits of every step, and the trained weights of the last step, while `net` is adapted."""
    gaps, pooled, last = [], [], {}

    def observe() -> None:
        with torch.no_grad():
            maps = net.maps(features[0])
        gaps.append(gap(maps).mean(dim=0))
        pooled.append(gndrp(maps, labels.expand(2, -1), settings.tau, settings.denominator).mean(dim=0))
        last.update({name: value.detach().clone() for name, value in net.named_parameters() if value.requires_grad})

    adapt_features(net, features, labels, aux_features, settings, observe=observe)
    return {"gap": torch.stack(gaps).cpu().numpy(), "gndrp": torch.stack(pooled).cpu().numpy()}, last
