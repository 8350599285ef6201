"""Affinities of neighbouring positions: labels from confident maps, and the loss (IRN, CVPR 2019; used by the paper).

Two positions have a high affinity if there is no boundary between them: a = 1 - max of the boundary over the path from one to
the other. A pair is closer than a radius. Each pair is counted once, from its upper position, or from the left one in a row.

Shapes: N images, h x w positions at stride 4, H x W pixels, n classes in the image.
"""

from collections.abc import Mapping
from functools import cache, partial

import numpy as np
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from ribstudy.datasets.pictures import VOID
from ribstudy.masks.crf import refine_labels
from ribstudy.masks.labelling import mask_of, mask_values

TERMS = ("bg_positive", "fg_positive", "negative")  # terms of the loss, in the order of all tensors [3]
EPSILON = 1e-5  # in the logarithms and under the sums (reference code)

Offset = tuple[int, int]  # rows, columns


def affinity_labels(
    maps: np.ndarray, keys: np.ndarray, image: np.ndarray, fg: float = 0.35, bg: float = 0.17, **crf: float
) -> np.ndarray:
    """The labels that the affinity network is trained on: the confident pixels of the maps (`step/cam_to_ir_label.py` of IRN).

    The maps are thresholded twice, at `fg` and at `bg`, and the seed CRF refines both predictions. A pixel gets a class if the
    first prediction has one, and is background if both predict background. All other pixels are unsure.

    Args:
        maps: [n, H, W] in 0..1; n = 0 gives background everywhere.
        keys: [n], the 0-based classes of the maps.
        image: uint8 [H, W, 3].
        fg: threshold of the first prediction; above it a pixel is an object.
        bg: threshold of the second prediction; at or below it a pixel is background.
        **crf: keyword arguments of `refine_labels`.

    Returns:
        uint8 [H, W]: 0 background, k + 1 class k, 255 unsure.

    Raises:
        ValueError: shapes do not match, a class is not in 0..253, or `refine_labels` refuses its arguments.
    """
    if maps.ndim != 3 or len(maps) != len(keys) or maps.shape[1:] != image.shape[:2]:
        raise ValueError(f"maps {maps.shape}, {len(keys)} keys, image {image.shape}: expected [n, H, W], [n] and [H, W, 3]")
    values = np.append(0, mask_values(keys))
    order = np.arange(len(keys))
    sure, possible = (refine_labels(image, mask_of(maps, order, level), len(keys) + 1, **crf) for level in (fg, bg))
    labels = np.where((sure == 0) & (possible > 0), VOID, values[sure])
    return labels.astype(np.uint8)


@cache
def pair_paths(radius: int) -> Mapping[Offset, tuple[Offset, ...]]:
    """All directions within the radius to the right or below, each with the positions of its path, relative to its start.

    Directions are (0, x) for x = 1..r-1, then (y, x) for y = 1..r-1 with x^2 + y^2 < r^2: 34 for r = 5, 152 for r = 10. A path
    contains the positions of the pair's bounding box whose distance to the line through both is below 1, the far end first.

    Raises ValueError if the radius is too small for any pair.
    """
    if radius < 2:
        raise ValueError(f"radius {radius}: no pair of positions is closer than that; expected 2 or more")
    ahead = [(0, x) for x in range(1, radius)]
    below = [(y, x) for y in range(1, radius) for x in range(1 - radius, radius) if x * x + y * y < radius**2]
    return {direction: _path(*direction) for direction in ahead + below}


def _path(rows: int, columns: int) -> tuple[Offset, ...]:
    box = [(y, x) for y in range(rows + 1) for x in range(min(columns, 0), max(columns, 0) + 1)]
    near = [(y, x) for y, x in box if (rows * x - columns * y) ** 2 < rows**2 + columns**2]
    return tuple(sorted(near, key=lambda position: -abs(position[0]) - abs(position[1])))


def shifted(maps: Tensor, offset: Offset, starts: tuple[slice, slice]) -> Tensor:
    """A view of the values at `offset` from each start: [..., h, w] -> [..., rows, columns of `starts`]."""
    rows, columns = (slice(part.start + shift, part.stop + shift) for part, shift in zip(starts, offset, strict=True))
    return maps[..., rows, columns]


def path_affinity(boundary: Tensor, path: tuple[Offset, ...], starts: tuple[slice, slice]) -> Tensor:
    """1 - max of the boundary over the path from each start: [..., h, w] -> [..., rows, columns of `starts`].

    The gradient goes to one position of the path, the first with the maximum.
    """
    return 1 - torch.stack([shifted(boundary, offset, starts) for offset in path]).max(dim=0).values


def affinity_sums(boundary_logits: Tensor, label_map: Tensor, radius: int = 10) -> tuple[Tensor, Tensor]:
    """Sums of -log(a + 1e-5) over pairs of the same class and of -log(1 + 1e-5 - a) over pairs of two classes, and pair counts.

    Pairs with an unsure position are left out. A start counts only if its whole half disc is in the map (reference code,
    `misc/indexing.py`). Sums and counts are additive over the parts of a batch. The affinities are recomputed in the backward
    pass, one direction at a time, because the affinities of a batch of 32 crops would take gigabytes.

    Args:
        boundary_logits: [N, 1, h, w].
        label_map: integers [N, h, w]: 0 background, classes from 1, 255 unsure.
        radius: pairs are closer than this, in positions.

    Returns:
        Sums [3] with a gradient, and counts int64 [3], in the order of `TERMS`.

    Raises:
        ValueError: shapes do not match, or the map is too small for the radius.
    """
    if boundary_logits.ndim != 4 or boundary_logits[:, 0].shape != label_map.shape:
        shapes = f"{tuple(boundary_logits.shape)} and {tuple(label_map.shape)}"
        raise ValueError(f"boundary logits and label map {shapes}: expected [N, 1, h, w] and [N, h, w]")
    height, width = label_map.shape[1:]
    paths, reach = pair_paths(radius), radius - 1
    if height <= reach or width <= 2 * reach:
        raise ValueError(f"map {height} x {width}: radius {radius} needs at least {reach + 1} x {2 * reach + 1}; enlarge crops")
    boundary = boundary_logits[:, 0].sigmoid()
    starts = (slice(0, height - reach), slice(reach, width - reach))
    recomputed = partial(checkpoint, _pair_sums, use_reentrant=False, preserve_rng_state=False)
    parts = [recomputed(boundary, label_map, direction, path, starts) for direction, path in paths.items()]
    sums, counts = zip(*parts, strict=True)
    return torch.stack(sums).sum(dim=0), torch.stack(counts).sum(dim=0)


def _pair_sums(
    boundary: Tensor, label_map: Tensor, direction: Offset, path: tuple[Offset, ...], starts: tuple[slice, slice]
) -> tuple[Tensor, Tensor]:
    """Sums and counts [3] of the pairs in one direction."""
    affinity = path_affinity(boundary, path, starts)
    first, second = shifted(label_map, (0, 0), starts), shifted(label_map, direction, starts)
    sure = (first != VOID) & (second != VOID)
    same = sure & (first == second)
    masks = torch.stack([same & (first == 0), same & (first != 0), sure & (first != second)])
    attract, repel = -torch.log(affinity + EPSILON), -torch.log(1 + EPSILON - affinity)
    sums = torch.stack([(mask * cost).sum() for mask, cost in zip(masks, (attract, attract, repel), strict=True)])
    return sums, masks.sum(dim=(1, 2, 3))


def affinity_loss(boundary_logits: Tensor, label_map: Tensor, radius: int = 10) -> dict[str, Tensor]:
    """The terms of the loss by the names of `TERMS`: `affinity_sums` divided by (counts + 1e-5); 0 for a term without pairs."""
    sums, counts = affinity_sums(boundary_logits, label_map, radius)
    return dict(zip(TERMS, sums / (counts + EPSILON), strict=True))


def total_affinity_loss(terms: Mapping[str, Tensor]) -> Tensor:
    """((background + foreground) / 2 + negative) / 2: pairs of the same class and of two classes have the same weight."""
    return ((terms["bg_positive"] + terms["fg_positive"]) / 2 + terms["negative"]) / 2
