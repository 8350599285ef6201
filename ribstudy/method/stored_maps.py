"""The stored class maps of one image: every scale and every step, not yet combined, so that the combination can change later.

Shapes: n classes in the image, K steps, h_s x w_s positions at scale s, H x W pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ribstudy.method.maps import aggregate, blurred, seed_maps

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class StoredMaps:
    """The class maps of one image.

    Args:
        classes: int [n], indices of the image's classes.
        size: (H, W) of the image.
        steps: per scale the non-negative maps [K, n, h_s, w_s] of every step. A CAM has K = 1. Empty if the image has no class
            and the method then computes no map (RIB, AdvCAM, the Grad-CAM family).
        signed: per scale the maps [n, h_s, w_s] of the plain view before the ReLU; only the stage `cam` stores them.
        aggregation: how the steps become one map (`maps.aggregate`).
        normalization: how the sum over scales becomes a map in 0..1 (`maps.NORMALIZATIONS`).
        blur: standard deviation of a Gaussian blur of the map of each scale, in its positions; 0: none.
        logits: float [K], the labelled logits of each step, summed over the image's views; only RIB has them.
        stopped_by: what ended the adaptation: "iterations", "margin", "spread" or "peak"; "" for other methods.
    """

    classes: np.ndarray
    size: tuple[int, int]
    steps: tuple[np.ndarray, ...] = ()
    signed: tuple[np.ndarray, ...] = ()
    aggregation: str = "raw"
    normalization: str = "maximum"
    blur: float = 0.0
    logits: np.ndarray = field(default_factory=lambda: np.zeros(0))
    stopped_by: str = ""

    @property
    def num_steps(self) -> int:
        """The number of maps of scale 1; 1 for an image without a class."""
        return len(self.steps[0]) if len(self.classes) else 1

    def maps(self, steps: int | None = None) -> list[np.ndarray]:
        """Per scale the maps [n, h_s, w_s], aggregated over the first `steps` (None: all), and blurred."""
        import torch  # takes seconds, and only the maps themselves need it

        aggregated = (aggregate(torch.as_tensor(maps[:steps]), self.aggregation).numpy() for maps in self.steps)
        return [blurred(maps, self.blur) for maps in aggregated]

    def normalized(self, *, steps: int | None = None, stride: int = 1) -> np.ndarray:
        """The maps in 0..1 that a threshold turns into a mask: float32 [n, H, W].

        Args:
            steps: number of first steps that are used; None: all.
            stride: 1, or 4 for [n, (H-1)//4+1, (W-1)//4+1], the resolution of the affinity network.
        """
        if not len(self.classes):
            return np.zeros((0, *((length - 1) // stride + 1 for length in self.size)), dtype=np.float32)
        return seed_maps(self.maps(steps), self.size, stride=stride, normalization=self.normalization).numpy()

    def to_arrays(self) -> dict[str, np.ndarray]:
        """The stored arrays by name, without those that only affect how the maps are read."""
        arrays = {"keys": self.classes, "size": np.array(self.size)}
        arrays |= _numbered("steps", self.steps) | _numbered("signed", self.signed)
        return arrays | {"scores": self.logits, "stopped_by": np.array(self.stopped_by)}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, np.ndarray]) -> StoredMaps:
        """The maps whose `to_arrays` this is, to be read in the default way."""
        return cls(
            classes=arrays["keys"],
            size=(int(arrays["size"][0]), int(arrays["size"][1])),
            steps=_in_order("steps", arrays),
            signed=_in_order("signed", arrays),
            logits=arrays["scores"],
            stopped_by=str(arrays["stopped_by"]),
        )


def stored_class_maps(
    views: Sequence[Tensor], label: np.ndarray, size: tuple[int, int], maps_of: Callable[[Tensor, np.ndarray], Tensor]
) -> StoredMaps:
    """The maps of an image's classes by a method that is not called for an image without a class.

    Args:
        views: per scale [2, 3, h_s, w_s], the image and its mirror image.
        label: [C], nonzero for the image's classes.
        size: (H, W) of the image.
        maps_of: maps_of(view, classes) gives the maps [K, n, h_s, w_s] of one scale.
    """
    classes = np.flatnonzero(label)
    maps = [maps_of(view, classes).cpu().numpy() for view in views] if len(classes) else []
    return StoredMaps(classes, size, steps=tuple(maps))


def _numbered(name: str, maps: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    return {f"{name}_{scale}": of_scale for scale, of_scale in enumerate(maps)}


def _in_order(name: str, arrays: Mapping[str, np.ndarray]) -> tuple[np.ndarray, ...]:
    count = sum(key.startswith(f"{name}_") for key in arrays)
    return tuple(arrays[f"{name}_{scale}"] for scale in range(count))
