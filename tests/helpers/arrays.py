"""A data set of random images in memory."""

import numpy as np

from ribstudy.datasets import Dataset


class ArrayDataset(Dataset):
    """Images of different sizes with random masks; `stop_after` images it raises KeyboardInterrupt, as a user would."""

    split = "train"
    class_names = ("cat", "dog", "bird")

    def __init__(self, num_images=9, *, stop_after=None):
        rng = np.random.default_rng(0)
        self.names = [f"image{index}" for index in range(num_images)]
        sizes = [(40 + 3 * index, 60 - 2 * index) for index in range(num_images)]
        self.masks = {
            name: rng.choice([0, 1, 2, 3, 255], size).astype(np.uint8) for name, size in zip(self.names, sizes, strict=True)
        }
        self._images = {name: rng.integers(0, 256, (*mask.shape, 3), dtype=np.uint8) for name, mask in self.masks.items()}
        self._left = stop_after

    def label(self, name):
        return np.isin([1, 2, 3], self.masks[name])

    def num_objects(self, name):
        return None

    def image(self, name):
        if self._left == 0:
            raise KeyboardInterrupt
        self._left = None if self._left is None else self._left - 1
        return self._images[name]

    def mask(self, name):
        return self.masks[name]
