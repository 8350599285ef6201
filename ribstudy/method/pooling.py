"""From class maps to logits: global average pooling, and pooling over the non-discriminative region.

Shapes: N images, C classes, h x w positions of a map.
"""

from typing import Literal

from torch import Tensor

Denominator = Literal["map", "region"]


def gap(maps: Tensor) -> Tensor:
    """Global average pooling: [N, C, h, w] -> [N, C]. Of a bias-free 1x1 classifier's maps this is the classifier's logit."""
    return maps.mean(dim=(2, 3))


def gndrp(maps: Tensor, labels: Tensor, tau: float, denominator: Denominator = "map") -> Tensor:
    """Global non-discriminative region pooling (paper, Section 4.2; reference code, `misc/torchutils.py`).

    Of a class in the image only the positions R = {u : map(u) / max map < tau} are pooled; any other class is average-pooled.
    The region is a constant: no gradient flows through it. The maximum is signed, as in the reference code: where a labelled
    map is negative everywhere, every ratio is at least 1, R is empty, and the logit is 0 without a gradient.

    Args:
        maps: signed class maps [N, C, h, w], any number of classes.
        labels: [N, C], nonzero where the class is in the image.
        tau: share of the maximum from which on a position is discriminative (paper: 0.4).
        denominator: "map", sum over R divided by h*w (reference code); "region", mean over R (paper).

    Returns:
        Pooled logits [N, C].

    Raises:
        ValueError: shapes do not fit, or the denominator is unknown.
    """
    if maps.ndim != 4 or labels.shape != maps.shape[:2]:
        raise ValueError(f"maps {tuple(maps.shape)} and labels {tuple(labels.shape)}: expected [N, C, h, w] and [N, C]")
    if denominator not in ("map", "region"):
        raise ValueError(f"denominator {denominator!r} is unknown; known: map, region")
    images, classes = labels.nonzero(as_tuple=True)
    present = maps[images, classes]  # [n, h, w]: only these have a region, and few classes are in an image
    region = _region(present.detach(), tau)
    num_positions = maps.shape[2] * maps.shape[3] if denominator == "map" else region.sum(dim=(1, 2)).clamp(min=1)
    return gap(maps).index_put((images, classes), (present * region).sum(dim=(1, 2)) / num_positions)


def _region(maps: Tensor, tau: float) -> Tensor:
    """1 where a position is pooled, else 0; [n, h, w] in the type of `maps`."""
    return (maps / maps.amax(dim=(1, 2), keepdim=True) < tau).to(maps.dtype)
