"""Class activation maps over scales and mirrored views, and what is made of them.

Raw maps are kept per scale at the network's stride; everything that one wants of them later (stride 4 for the affinity net,
full resolution for the evaluation) is made from those, so that no choice is frozen in a file.

Shapes: C classes, n of them in the image, h_s x w_s positions at scale s, H x W pixels.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ribstudy.models.cam_net import CamNet

EPSILON = 1e-5  # in the normalisation by the maximum (reference code)
PERCENTILE = 99


def merge_mirrored(maps: Tensor) -> Tensor:
    """Signed maps [2, C, h, w] of a [plain, mirrored] view -> [C, h, w]: ReLU of both, the second mirrored back, summed."""
    plain, mirrored = maps.relu()
    return plain + mirrored.flip(-1)


def resize_sum(maps: Iterable[Tensor], size: tuple[int, int], *, stride: int) -> Tensor:
    """Maps [n, h_s, w_s] of several scales, resized and summed, for an image of `size` (H, W).

    Stride 4 gives [n, (H-1)//4+1, (W-1)//4+1]. Stride 1 gives [n, H, W]: resized to the next multiple of 16 and cropped.
    Bilinear, as the reference code does it.
    """
    step = 16 if stride == 1 else stride
    height, width = ((length - 1) // step + 1 for length in size)
    target = (height * 16, width * 16) if stride == 1 else (height, width)
    total = sum(interpolate(m[None].float(), target, mode="bilinear", align_corners=False)[0] for m in maps)
    return total[:, : size[0], : size[1]] if stride == 1 else total


def normalize_by_maximum(maps: Tensor) -> Tensor:
    """[n, h, w] not negative -> in 0..1: each map divided by (its maximum + 1e-5); an empty map stays 0."""
    return maps / (maps.amax(dim=(1, 2), keepdim=True) + EPSILON)


def normalize_by_range(maps: Tensor) -> Tensor:
    """[n, h, w] -> in 0..1: each map's least value becomes 0, its largest 1 (but for 1e-5); a constant map becomes 0."""
    return normalize_by_maximum(maps - maps.amin(dim=(1, 2), keepdim=True))


def normalize_by_percentile(maps: Tensor) -> Tensor:
    """[n, h, w] not negative -> in 0..1: each map divided by (its 99th percentile + 1e-5), cut at 1: a lone peak has no say."""
    peak = torch.as_tensor(np.percentile(maps.numpy(force=True), PERCENTILE, axis=(1, 2), keepdims=True)).to(maps)
    return (maps / (peak + EPSILON)).clamp(max=1)


NORMALIZATIONS = {"maximum": normalize_by_maximum, "range": normalize_by_range, "percentile": normalize_by_percentile}


def aggregate(iterates: Tensor, how: str = "raw") -> Tensor:
    """Maps [K, n, h, w] of K steps -> one map [n, h, w] per class.

    how: "raw", the sum of the maps; "normalized", the sum of the maps, each divided by its maximum; "last", the last map.

    Raises ValueError for an unknown aggregation.
    """
    if how not in ("raw", "normalized", "last"):
        raise ValueError(f"aggregation {how!r} is unknown; known: raw, normalized, last")
    if how == "last":
        return iterates[-1]
    if how == "normalized":
        iterates = torch.stack([normalize_by_maximum(maps) for maps in iterates])
    return iterates.sum(dim=0)


def seed_maps(
    maps: Iterable[Tensor | np.ndarray], size: tuple[int, int], *, stride: int = 1, normalization: str = "maximum"
) -> Tensor:
    """What is thresholded into a seed: `resize_sum`, then one of `NORMALIZATIONS`; [n, H, W] at stride 1."""
    return NORMALIZATIONS[normalization](resize_sum([torch.as_tensor(m) for m in maps], size, stride=stride))


def cam_unit(net: CamNet, views: Sequence[Tensor], label: np.ndarray, size: tuple[int, int]) -> dict[str, np.ndarray]:
    """What the stage `cam` stores of an image of `size` (H, W): `keys` (its classes), `size`, and the maps of those classes.

    views: per scale [2, 3, h_s, w_s], the image and its mirror. `maps_<i>` [n, h, w] are merged and not negative,
    `signed_<i>` [n, h, w] are those of the plain view before the ReLU.
    """
    keys = np.flatnonzero(label)
    device = net.classifier.weight.device
    arrays = {"keys": keys, "size": np.array(size)}
    with torch.no_grad():
        for index, view in enumerate(views):
            signed = net(view.to(device))
            arrays[f"maps_{index}"] = merge_mirrored(signed)[keys].cpu().numpy()
            arrays[f"signed_{index}"] = signed[0, keys].cpu().numpy()
    return arrays


def stored_maps(unit: dict[str, np.ndarray], *, steps: int | None = None) -> list[np.ndarray]:
    """Per scale the raw maps [n, h, w] of a stored image; those of RIB aggregated over the first `steps` (None: all).

    Every step's map is stored as it is; how they become one map is read from the unit's `aggregation` (without one: summed).
    """
    how = str(unit.get("aggregation", "raw"))
    if any(name.startswith("iterates_") for name in unit):
        return [aggregate(torch.as_tensor(maps[:steps]), how).numpy() for maps in _by_scale(unit, "iterates_")]
    return _by_scale(unit, "maps_")


def stored_seed_maps(unit: dict[str, np.ndarray], *, steps: int | None = None, stride: int = 1) -> np.ndarray:
    """The seed maps of a stored image in 0..1: [n, H, W], or at stride 4 [n, (H-1)//4+1, (W-1)//4+1]; n = 0 without a class.

    Normalised as the unit's `normalization` says (without one: by the maximum).
    """
    size = tuple(int(length) for length in unit["size"])
    if not len(unit["keys"]):
        return np.zeros((0, *((length - 1) // stride + 1 for length in size)), dtype=np.float32)
    normalization = str(unit.get("normalization", "maximum"))
    return seed_maps(stored_maps(unit, steps=steps), size, stride=stride, normalization=normalization).numpy()


def _by_scale(unit: dict[str, np.ndarray], prefix: str) -> list[np.ndarray]:
    count = sum(name.startswith(prefix) for name in unit)
    return [unit[f"{prefix}{index}"] for index in range(count)]
