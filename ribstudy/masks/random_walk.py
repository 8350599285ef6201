"""Maps that spread over an image as far as no boundary holds them up (IRN, CVPR 2019; part of the paper's pipeline).

A walker steps from a position to another within the radius with a chance proportional to their affinity^beta (see `affinity`),
or stays, with affinity 1. With A those affinities, D their sums and x the maps times (1 - boundary), t steps give x (A D^-1)^t.
The reference code squares the dense matrix (`misc/indexing.py`); here x is multiplied by the few diagonals that are not 0.

Shapes: C classes, h x w positions at stride 4, H x W pixels.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate, threshold_

from ribstudy.masks.affinity import pair_paths, path_affinity

# Below this a weight or a value counts as 0. As every step averages, 256 of them change by less than 1e-25 of the maximum.
# Without it, products over many boundaries become subnormal numbers, with which a CPU is tenfold slower.
NEGLIGIBLE = 1e-30


@torch.no_grad()
def random_walk(scores: Tensor, boundary: Tensor, radius: int = 5, beta: float = 10, log2_steps: int = 8) -> Tensor:
    """The walk of all classes at once, in the memory of 34 maps (for radius 5) and those of the classes.

    Computed in float64: in float32 the rounding of 256 steps adds up to nearly 1e-3 of the result.

    Args:
        scores: [C, h, w], not negative; C = 0 gives an empty result.
        boundary: [h, w] in 0..1.
        radius: a step is shorter than this.
        beta: the larger, the less a faint boundary lets through.
        log2_steps: 2^log2_steps steps.

    Returns:
        [C, h, w] in the type of `scores`.

    Raises:
        ValueError: shapes do not fit, or values are nan, infinite or out of range.
    """
    if scores.ndim != 3 or scores.shape[1:] != boundary.shape or not boundary.numel():
        raise ValueError(f"scores {tuple(scores.shape)} and boundary {tuple(boundary.shape)}: expected [C, h, w] and [h, w]")
    if not ((boundary >= 0) & (boundary <= 1)).all():
        raise ValueError(f"the boundary reaches from {boundary.min()} to {boundary.max()}; expected 0 to 1 (after the sigmoid)")
    if not ((scores >= 0) & scores.isfinite()).all():
        raise ValueError(f"scores reach from {scores.min()} to {scores.max()}; expected finite numbers from 0 on")
    boundary = boundary.double()
    diagonals = _diagonals(boundary, radius, beta)
    share = 1 / _multiply(torch.ones_like(boundary).flatten(), diagonals)
    values = (scores.double() * (1 - boundary)).flatten(start_dim=1)
    for _ in range(2**log2_steps):
        values = threshold_(_multiply(values, diagonals).mul_(share), NEGLIGIBLE, 0)
    return values.view(scores.shape).to(scores.dtype)


def _diagonals(boundary: Tensor, radius: int, beta: float) -> dict[int, Tensor]:
    """The upper diagonals of A by their offset k: affinity^beta of positions p and p + k, row by row; 0 where that is no pair.

    Diagonals of the lower half are the same, A is symmetric. [h*w - k] each.
    """
    height, width = boundary.shape
    diagonals = {}
    for (rows, columns), path in pair_paths(radius).items():
        if rows >= height or abs(columns) >= width:
            continue
        starts = (slice(0, height - rows), slice(max(0, -columns), width - max(0, columns)))
        weights = torch.zeros_like(boundary)
        weights[starts] = path_affinity(boundary, path, starts) ** beta
        offset = rows * width + columns
        diagonal = threshold_(weights.flatten()[: height * width - offset], NEGLIGIBLE, 0)
        # In a map narrower than the radius two directions can have one offset.
        diagonals[offset] = diagonals[offset] + diagonal if offset in diagonals else diagonal
    return diagonals


def _multiply(values: Tensor, diagonals: dict[int, Tensor]) -> Tensor:
    """x A, with both halves of A and the ones of its main diagonal: [..., h*w] -> [..., h*w]."""
    result = values.clone()
    for offset, weights in diagonals.items():
        result[..., :-offset].addcmul_(weights, values[..., offset:])
        result[..., offset:].addcmul_(weights, values[..., :-offset])
    return result


def walk_maps(
    maps: Tensor, boundary: Tensor, power: float = 1.3, radius: int = 5, beta: float = 10, log2_steps: int = 8
) -> Tensor:
    """`random_walk` of maps^power (reference code: np_power): maps [n, h, w] in 0..1 and boundary [h, w] -> [n, h, w]."""
    return random_walk(maps**power, boundary, radius, beta, log2_steps)


def walked_scores(walked: np.ndarray | Tensor, size: Sequence[int]) -> np.ndarray:
    """What is thresholded into a mask: the walked maps at full resolution, as shares of the largest value of all of them.

    Enlarged four times (bilinear), cropped to `size`, then divided by the maximum over classes and pixels (IRN,
    `step/make_sem_seg_labels.py`). Where that is 0, everything is 0.

    Args:
        walked: [n, h, w] at stride 4, not negative; n = 0 gives an empty result.
        size: (H, W) in pixels.

    Returns:
        float32 [n, H, W] in 0..1.

    Raises:
        ValueError: the maps do not fit the size.
    """
    walked = torch.as_tensor(walked).float().cpu()
    height, width = (int(length) for length in size)
    expected = ((height - 1) // 4 + 1, (width - 1) // 4 + 1)
    if walked.ndim != 3 or walked.shape[1:] != expected:
        raise ValueError(
            f"maps {tuple(walked.shape)} for {height} x {width} pixels: expected [n, {expected[0]}, {expected[1]}]"
        )
    if not len(walked):
        return np.zeros((0, height, width), dtype=np.float32)
    scores = interpolate(walked[None], scale_factor=4, mode="bilinear", align_corners=False)[0, :, :height, :width]
    maximum = scores.max()
    return (scores / maximum if maximum > 0 else torch.zeros_like(scores)).numpy()
