"""The stored maps of one image after the random walk."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ribstudy.masks.random_walk import walked_scores


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
    def of_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "WalkedMaps":
        """The maps whose `to_arrays` this is."""
        height, width = arrays["size"].tolist()
        return cls(arrays["keys"], (height, width), arrays["walked"], arrays["boundary"])
