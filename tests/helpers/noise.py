"""A data set of noise with given labels, and auxiliary images drawn from it."""

import numpy as np

from ribstudy.datasets.base import Dataset
from ribstudy.method.auxiliary import AuxiliaryDraws
from ribstudy.method.settings import AuxiliarySettings

SETTINGS = AuxiliarySettings(batch_size=3, long_side=(20, 24), crop_size=16)
RNG = np.random.default_rng(0)
LABELS = RNG.random((40, 5)) < 0.3


class Noise(Dataset):
    """Images of noise with given labels."""

    split = "train"
    class_names = tuple("abcde")

    def __init__(self, labels):
        self.names = [f"image-{index}" for index in range(len(labels))]
        self._labels = labels

    def label(self, name):
        return self._labels[self.names.index(name)]

    def num_objects(self, name):
        return None

    def image(self, name):
        return np.random.default_rng(self.names.index(name)).integers(0, 256, (20, 30, 3), dtype=np.uint8)

    def mask(self, name):
        raise NotImplementedError


def draws_of(labels=LABELS, settings=SETTINGS, *, names=None, seed=0):
    names = names or [f"image-{index}" for index in range(len(labels))]
    return AuxiliaryDraws(LABELS, names, labels, settings, num_steps=9, seed=seed)
