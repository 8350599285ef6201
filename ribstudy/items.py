"""The items of a result: the output for one image or toy seed, as a file and as arrays."""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ribstudy.datasets.pictures import MAX_CLASSES, read_mask, write_mask
from ribstudy.evaluation.map_scores import MapScores
from ribstudy.masks.walked_maps import WalkedMaps
from ribstudy.method.stored_maps import StoredMaps

Item = Any  # StoredMaps, WalkedMaps, MapScores, a mask uint8 [H, W], or a dictionary of arrays
Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class ItemFormat:
    """The format of an item.

    Args:
        to_arrays: the arrays of an item, by name.
        of_arrays: the item that consists of these arrays.
        suffix: of its files. The files are .npz files of the arrays, without pickles, unless `save` and `load` are given.
        save, load: write and read an item.
    """

    to_arrays: Callable[[Item], Arrays]
    of_arrays: Callable[[Arrays], Item]
    suffix: str = ".npz"

    def save(self, item: Item, path: Path) -> None:
        np.savez_compressed(path, **self.to_arrays(item))

    def load(self, path: Path) -> Item:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            return self.of_arrays({name: file[name] for name in file.files})


class _MaskFormat(ItemFormat):
    """Masks are palette images, which every viewer shows."""

    def save(self, item: np.ndarray, path: Path) -> None:
        write_mask(path, item)

    def load(self, path: Path) -> np.ndarray:
        return read_mask(path, num_classes=MAX_CLASSES)


ARRAYS = ItemFormat(dict, dict)
MASKS = _MaskFormat(lambda mask: {"mask": mask}, lambda arrays: arrays["mask"], suffix=".png")
MAPS = ItemFormat(StoredMaps.to_arrays, StoredMaps.of_arrays)
WALKED_MAPS = ItemFormat(WalkedMaps.to_arrays, WalkedMaps.of_arrays)
MAP_SCORES = ItemFormat(MapScores.to_arrays, MapScores.of_arrays)
