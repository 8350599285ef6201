"""The stored maps of one image after the random walk."""

from dataclasses import dataclass
from pathlib import Path

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

    def save(self, path: Path) -> None:
        """Writes a .npz file without pickles."""
        arrays = {"keys": self.classes, "size": np.array(self.size), "walked": self.walked, "boundary": self.boundary}
        np.savez_compressed(path, **arrays)

    @classmethod
    def load(cls, path: Path) -> "WalkedMaps":
        """Reads a file that `save` wrote."""
        with np.load(path, allow_pickle=False) as file:
            height, width = file["size"].tolist()
            return cls(file["keys"], (height, width), file["walked"], file["boundary"])
