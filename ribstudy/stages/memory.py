"""How much memory stages need. It decides how many of their processes work side by side on a CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ribstudy import datasets
from ribstudy.datasets.selection import selected_names
from ribstudy.datasets.settings import DataSettings
from ribstudy.masks.crf import crf_memory
from ribstudy.runtime import ranks

if TYPE_CHECKING:
    from ribstudy.stages.stage import Run

LARGEST = {"voc12": 500 * 500, "coco14": 640 * 640, "folder": 4000 * 3000}  # pixels of an image, if no setting limits them
BASE = 2**30  # bytes of a process with torch, an image and its maps


def most_pixels(data: DataSettings) -> int:
    """The largest number of pixels of an image, as far as settings and the data set tell it."""
    if data.minivoc is not None and data.name == "minivoc":
        return data.minivoc.image_size**2
    return data.max_side**2 if data.max_side is not None else LARGEST[data.name]


def of_a_network(run: Run) -> int:
    """Bytes for a network on single images. They grow with the pixels of images that are larger than those of VOC."""
    return round(ranks.MEMORY_OF_A_PROCESS * max(1, most_pixels(run.settings.data) / LARGEST["voc12"]))


def of_the_seed_crf(run: Run) -> int:
    """Bytes for the seed CRF, whose labels are the background and the classes of one image."""
    dataset = datasets.open_dataset(run.settings.data, run.images.split)
    most_classes = max(int(dataset.label(name).sum()) for name in selected_names(dataset, run.images))
    return BASE + crf_memory(most_classes + 1, most_pixels(run.settings.data))


def of_the_crf_of_all_classes(run: Run) -> int:
    """Bytes for DeepLab's CRF, whose labels are the background and all classes."""
    return BASE + crf_memory(len(datasets.class_names(run.settings.data)) + 1, most_pixels(run.settings.data))
