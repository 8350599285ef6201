"""A random walk that spreads maps over an image until boundaries stop them (IRN, CVPR 2019; part of the paper's pipeline).

A step goes from a position to another one within the radius, with a probability proportional to affinity^beta (see `affinity`);
staying has affinity 1. Let A be the matrix of affinity^beta, D the diagonal matrix of its column sums, and x the maps times
(1 - boundary). Then t steps give x (A D^-1)^t. The reference code squares the dense matrix (`misc/indexing.py`); here x is
multiplied by the few non-zero diagonals.

Shapes: C classes, h x w positions at stride 4, H x W pixels.
"""

import torch
from torch import Tensor
from torch.nn.functional import threshold_

from ribstudy.masks.affinity import pair_paths, path_affinity

# Weights and values below this count as 0. Every step averages, so this changes the result of 256 steps by less than 1e-25 of
# the maximum. Otherwise products over many boundaries become subnormal numbers, which slow a CPU down tenfold.
NEGLIGIBLE = 1e-30


@torch.no_grad()
def random_walk(scores: Tensor, boundary: Tensor, radius: int = 5, beta: float = 10, log2_steps: int = 8) -> Tensor:
    """Walks all classes at once. Radius 5 needs memory for 34 maps in addition to the maps of the classes.

    It computes in float64, because float32 rounding adds up to nearly 1e-3 of the result over 256 steps.

    Args:
        scores: [C, h, w], not negative; C = 0 gives an empty result.
        boundary: [h, w] in 0..1.
        radius: every step is shorter than this.
        beta: power of the affinities; larger values let less through faint boundaries.
        log2_steps: the walk has 2^log2_steps steps.

    Returns:
        [C, h, w] in the type of `scores`.

    Raises:
        ValueError: shapes do not match, or values are nan, infinite or out of range.
    """
    if scores.ndim != 3 or scores.shape[1:] != boundary.shape or not boundary.numel():
        raise ValueError(f"scores {tuple(scores.shape)} and boundary {tuple(boundary.shape)}: expected [C, h, w] and [h, w]")
    if not ((boundary >= 0) & (boundary <= 1)).all():
        raise ValueError(f"the boundary ranges from {boundary.min()} to {boundary.max()}; expected 0 to 1 (after the sigmoid)")
    if not ((scores >= 0) & scores.isfinite()).all():
        raise ValueError(f"scores range from {scores.min()} to {scores.max()}; expected finite numbers, not negative")
    boundary = boundary.double()
    diagonals = _diagonals(boundary, radius, beta)
    share = 1 / _multiply(torch.ones_like(boundary).flatten(), diagonals)
    values = (scores.double() * (1 - boundary)).flatten(start_dim=1)
    for _ in range(2**log2_steps):
        values = threshold_(_multiply(values, diagonals).mul_(share), NEGLIGIBLE, 0)
    return values.view(scores.shape).to(scores.dtype)


def _diagonals(boundary: Tensor, radius: int, beta: float) -> dict[int, Tensor]:
    """The upper diagonals of the symmetric matrix A by their offset k, each [h*w - k].

    An entry is affinity^beta of the positions p and p + k, counted row by row; 0 if they are not within the radius.
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
        # In a map narrower than the radius, two directions can have the same offset.
        diagonals[offset] = diagonals[offset] + diagonal if offset in diagonals else diagonal
    return diagonals


def _multiply(values: Tensor, diagonals: dict[int, Tensor]) -> Tensor:
    """x A, with both halves of A and ones on its main diagonal: [..., h*w] -> [..., h*w]."""
    result = values.clone()
    for offset, weights in diagonals.items():
        result[..., :-offset].addcmul_(weights, values[..., offset:])
        result[..., offset:].addcmul_(weights, values[..., :-offset])
    return result


def walk_maps(maps: Tensor, boundary: Tensor, power: float = 1.3, **walk: float) -> Tensor:
    """`random_walk` of maps^power (reference code: np_power): maps [n, h, w] in 0..1 and boundary [h, w] -> [n, h, w].

    Args:
        **walk: keyword arguments of `random_walk`.
    """
    return random_walk(maps**power, boundary, **walk)
