"""The stored maps of one image after the random walk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class WalkedMaps:
    """The maps of one image after the random walk.

    Args:
        classes: int [n], indices of the image's classes.
        size: (H, W) of the image.
        walked: float32 [n, (H-1)//4+1, (W-1)//4+1], not negative, before the normalisation.
        boundary: float16 [(H-1)//4+1, (W-1)//4+1] in 0..1, the affinity network's output.
    """

    classes: np.ndarray
    size: tuple[int, int]
    walked: np.ndarray
    boundary: np.ndarray

    def normalized(self) -> np.ndarray:
        """The maps in 0..1 that a threshold turns into a mask: float32 [n, H, W]."""
        return walked_scores(self.walked, self.size)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """The stored arrays by name."""
        return {"keys": self.classes, "size": np.array(self.size), "walked": self.walked, "boundary": self.boundary}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, np.ndarray]) -> WalkedMaps:
        """The maps whose `to_arrays` this is."""
        height, width = arrays["size"].tolist()
        return cls(arrays["keys"], (height, width), arrays["walked"], arrays["boundary"])


def walked_scores(walked: np.ndarray | Tensor, size: Sequence[int]) -> np.ndarray:
    """The walked maps at full resolution, divided by their maximum; a threshold turns them into a mask.

    The maps are enlarged four times (bilinear), cropped to `size`, and divided by the maximum over classes and pixels (IRN,
    `step/make_sem_seg_labels.py`). If the maximum is 0, the result is 0 everywhere.

    Args:
        walked: [n, h, w] at stride 4, not negative; n = 0 gives an empty result.
        size: (H, W) in pixels.

    Returns:
        float32 [n, H, W] in 0..1.

    Raises:
        ValueError: the shape of the maps does not match the size.
    """
    import torch  # takes seconds, and only the maps themselves need it
    from torch.nn.functional import interpolate

    walked = torch.as_tensor(walked).float().cpu()
    height, width = (int(length) for length in size)
    expected = ((height - 1) // 4 + 1, (width - 1) // 4 + 1)
    if walked.ndim != 3 or walked.shape[1:] != expected:
        raise ValueError(f"maps {tuple(walked.shape)} of {height} x {width} pixels: expected [n, {expected[0]}, {expected[1]}]")
    if not len(walked):
        return np.zeros((0, height, width), dtype=np.float32)
    scores = interpolate(walked[None], scale_factor=4, mode="bilinear", align_corners=False)[0, :, :height, :width]
    maximum = scores.max()
    return (scores / maximum if maximum > 0 else torch.zeros_like(scores)).numpy()
