"""Maps and masks whose scores can be computed by hand, and many small random ones."""

import numpy as np

from ribstudy.evaluation.map_scores import MapScores, score_maps
from ribstudy.evaluation.metrics import threshold_sweep
from ribstudy.method.stored_maps import StoredMaps


class Masks:
    """A data set of two masks: the left half of the first image is class 0, the second image is background."""

    class_names = ("a", "b")

    def mask(self, name):
        mask = np.zeros((16, 16), np.uint8)
        if name == "first":
            mask[:, :8] = 1
        return mask


def halves(left: float, right: float, **fields) -> StoredMaps:
    """One map at stride 1 with the values `left` and `right` in its halves; a second step adds `left` on the right."""
    first = np.concatenate([np.full((1, 16, 8), left), np.full((1, 16, 8), right)], axis=2)
    second = np.concatenate([np.zeros((1, 16, 8)), np.full((1, 16, 8), left)], axis=2)
    return StoredMaps(np.array([0]), (16, 16), steps=(np.stack([first, second]).astype(np.float32),), **fields)


def no_class(size: tuple[int, int] = (16, 16)) -> StoredMaps:
    return StoredMaps(np.array([], int), size)


def scored(dataset, stored, *, cam=None, every_step: bool = True) -> dict[str, MapScores]:
    """The scores of stored maps by image name; cam: the stored maps whose peaks are used, None: the same."""
    options = {"num_classes": len(dataset.class_names), "every_step": every_step}
    return {name: score_maps(maps, (cam or stored)[name], dataset.mask(name), **options) for name, maps in stored.items()}


class ManyMasks:
    """Small random images of two classes, each a function of its name; every tenth image has no class."""

    class_names = ("a", "b")

    def __init__(self, count: int):
        self.names = [f"{number:04d}" for number in range(count)]

    def mask(self, name):
        values = [0] if int(name) % 10 == 0 else [0, 1, 2, 255]
        return np.random.default_rng(int(name)).choice(values, (8, 8)).astype(np.uint8)

    def maps(self, name: str) -> StoredMaps:
        """Two steps; images with an even number end after the first."""
        if int(name) % 10 == 0:
            return no_class((8, 8))
        num_classes, num_steps = 1 + int(name) % 2, 1 + int(name) % 2
        maps = np.random.default_rng(int(name) + 1).random((num_steps, num_classes, 2, 2)).astype(np.float32)
        logits = np.array([int(name), -1.0])
        return StoredMaps(np.arange(num_classes), (8, 8), steps=(maps,), logits=logits, stopped_by="margin")

    def stored(self) -> dict[str, StoredMaps]:
        return {name: self.maps(name) for name in self.names}

    def scores(self) -> dict[str, MapScores]:
        return scored(self, self.stored())

    def counts(self) -> np.ndarray:
        """[N, T, 3, 3], image by image, from the maps."""
        of_images = ((maps.normalized(), maps.classes, self.mask(name)) for name, maps in self.stored().items())
        return np.stack([threshold_sweep(*of_image, num_classes=3) for of_image in of_images])
