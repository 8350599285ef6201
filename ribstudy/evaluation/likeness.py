"""How alike the maps of two methods are: their correlation, on maps that are small enough to be kept for many methods.

Shapes: n classes in the image, H x W pixels.
"""

from collections.abc import Mapping

import numpy as np

from ribstudy.method.stored_maps import StoredMaps

BLOCK = 4  # positions at stride 4 of which a coarse map has the mean


def coarse_maps(maps: StoredMaps) -> np.ndarray:
    """The maps in 0..1 at stride 16: float16 [n, h, w], with h and w a sixteenth of H and W, rounded up."""
    import torch
    from torch.nn.functional import avg_pool2d

    fine = torch.from_numpy(maps.normalized(stride=4))
    if not len(fine):
        return np.zeros((0, *(-(-length // (4 * BLOCK)) for length in maps.size)), dtype=np.float16)
    return avg_pool2d(fine[None], BLOCK, ceil_mode=True)[0].numpy().astype(np.float16)


def correlations(maps: Mapping[str, np.ndarray], others: Mapping[str, np.ndarray]) -> np.ndarray:
    """Pearson's correlation of the coarse maps of two methods, [N]: of each image with a class, the mean over its classes.

    nan if a map of one of them is constant. Images are those of `maps`, in its order.
    """
    rows = []
    for name, of_image in maps.items():
        pairs = zip(of_image.astype(np.float64), others[name].astype(np.float64), strict=True)
        found = [_correlation(first.ravel(), second.ravel()) for first, second in pairs]
        if found:
            rows.append(np.mean(found))
    return np.array(rows)


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    first, second = first - first.mean(), second - second.mean()
    norm = np.sqrt((first**2).sum() * (second**2).sum())
    return float((first * second).sum() / norm) if norm > 0 else float("nan")
