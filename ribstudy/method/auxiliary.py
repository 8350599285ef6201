"""The auxiliary images of each RIB step: images that share no class with the image to which the network is adapted.

Every random draw depends only on (seed, image name, step, place in the batch), not on the order of images, shards or workers.
"""

import zlib
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from ribstudy.datasets.base import DataError, Dataset
from ribstudy.datasets.disjoint import shares_with_all
from ribstudy.datasets.transforms import Normalization, crop_batch
from ribstudy.method.settings import AuxiliarySettings
from ribstudy.models.cam_net import CamNet

ROWS_AT_ONCE = 1024  # of the product below; its float32 rows are packed into bits afterwards
BANK_BATCH = 16


class DisjointPools:
    """For each target image, the images of a set that share no class with it.

    One matrix product of the distinct target labels and the set's labels covers all targets; the reference code scans all
    labels for every image. The result is stored as one bit for each pair.
    """

    def __init__(self, labels: np.ndarray, targets: np.ndarray):
        """labels: bool [N, C] of the set; targets: bool [M, C]."""
        self._num_images = len(labels)
        distinct, rows = np.unique(targets, axis=0, return_inverse=True)
        self._row_of = rows.ravel()
        columns = labels.T.astype(np.float32)
        blocks = [distinct[start : start + ROWS_AT_ONCE].astype(np.float32) for start in range(0, len(distinct), ROWS_AT_ONCE)]
        self._bits = np.concatenate([np.packbits(block @ columns == 0, axis=1) for block in blocks])

    def of(self, target: int) -> np.ndarray:
        """Indices of the images that share no class with a target, increasing."""
        return np.flatnonzero(np.unpackbits(self._bits[self._row_of[target]], count=self._num_images))


class AuxiliaryDraws:
    """The auxiliary images of each image in each step, as indices into a set of images or into a bank."""

    def __init__(
        self,
        set_labels: np.ndarray,
        names: Sequence[str],
        labels: np.ndarray,
        settings: AuxiliarySettings,
        *,
        num_steps: int,
        seed: int,
    ):
        """Prepares the draws.

        Args:
            set_labels: bool [N, C] of the images to draw from.
            names, labels: of the M images that are adapted; labels bool [M, C].
            settings: the batch size; 0 gives empty batches.
            num_steps: batches for each image with a class.
            seed: of all draws.

        Raises DataError if batches are not empty and an image shares a class with every image of the set.
        """
        self._pools = DisjointPools(set_labels, labels)
        self._place = {name: place for place, name in enumerate(names)}
        self._num_steps = np.where(labels.any(axis=1), num_steps, 0)  # an image without a class is not adapted
        self._batch_size, self._seed = settings.batch_size, seed
        lacking = np.flatnonzero(shares_with_all(labels, set_labels) & labels.any(axis=1))
        if settings.batch_size and len(lacking):
            raise DataError(
                f"{len(lacking)} of {len(names)} images, such as {names[lacking[0]]}, share a class with every image of the "
                "set of auxiliary images; add images of other classes or without a class, or adapt without auxiliary images: "
                "--set auxiliary.batch_size=0"
            )

    def num_steps(self, name: str) -> int:
        """The number of batches for an image."""
        return int(self._num_steps[self._place[name]])

    def of(self, name: str, step: int) -> np.ndarray:
        """The indices [B] of one step: the image's shuffled pool is read in order and starts again when it ends."""
        if not self._batch_size:
            return np.zeros(0, dtype=np.int64)
        pool = self._pools.of(self._place[name])
        order = np.random.default_rng([self._seed, zlib.crc32(name.encode())]).permutation(pool)
        return order[np.arange(step * self._batch_size, (step + 1) * self._batch_size) % len(pool)]


def auxiliary_batch(
    dataset: Dataset,
    chosen: np.ndarray,
    name: str,
    step: int,
    settings: AuxiliarySettings,
    normalization: Normalization,
    *,
    seed: int,
) -> tuple[Tensor, Tensor]:
    """Random crops of the images `chosen` for a step of the image `name`: images [B, 3, s, s] and labels [B, C]."""
    seeds = [[seed, zlib.crc32(name.encode()), step, place] for place in range(len(chosen))]
    return _crops(dataset, chosen, seeds, settings, normalization)


def _crops(
    dataset: Dataset, chosen: np.ndarray, seeds: list[list[int]], settings: AuxiliarySettings, normalization: Normalization
) -> tuple[Tensor, Tensor]:
    rngs = [np.random.default_rng(key) for key in seeds]
    crop = {"long_side": settings.long_side, "crop_size": settings.crop_size}
    return crop_batch(dataset, chosen, rngs, **crop, normalization=normalization)


class FeatureBank:
    """Crops of the training images whose frozen features are computed once and kept on the device.

    With a bank, a step neither decodes auxiliary images nor runs frozen layers on them. The drawbacks: draws are limited to a
    fixed set of `settings.bank` crops, and a 512-pixel crop of ResNet-50 takes 8 MiB of memory in float32.
    """

    def __init__(self, net: CamNet, dataset: Dataset, settings: AuxiliarySettings, *, seed: int):
        """Takes the images in a shuffled order, which starts again if the bank is larger than the set."""
        order = np.random.default_rng(seed).permutation(len(dataset))
        self.chosen = order[np.arange(settings.bank) % len(order)]
        self.labels = dataset.labels[self.chosen]  # bool [bank, C]
        for start in range(0, settings.bank, BANK_BATCH):
            chosen = self.chosen[start : start + BANK_BATCH]
            seeds = [[seed, start + place] for place in range(len(chosen))]
            crops, _ = _crops(dataset, chosen, seeds, settings, net.normalization)
            features = net.features(crops.to(net.classifier.weight.device))
            if start == 0:
                self._features = features.new_empty(settings.bank, *features.shape[1:])
            self._features[start : start + len(chosen)] = features

    def batches(self, draws: AuxiliaryDraws, name: str) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of the image `name`, one for each step: features [B, c, h, w] and labels [B, C]."""
        for step in range(draws.num_steps(name)):
            places = draws.of(name, step)
            features = self._features[torch.from_numpy(places).to(self._features.device)]
            yield features, torch.from_numpy(self.labels[places].astype(np.float32))
