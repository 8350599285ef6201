"""Applies an ImageSelection to a data set."""

import hashlib

from ribstudy.datasets.base import Dataset
from ribstudy.datasets.settings import ImageSelection


def selected_names(dataset: Dataset, images: ImageSelection) -> list[str]:
    """The names of the selected images, in the order of the data set.

    Filters by `masked` and `class_name` first. `skip` and `limit` then take a random sample of the remaining images: they count
    in the order of a digest of the names. The sample is the same everywhere, a larger limit adds images to it, and another
    selection can skip what one takes. The order of a list would not be random: VOC sorts its images by year.

    Args:
        dataset: the split `images.split`, opened.
        images: the selection.

    Raises:
        ValueError: no image has a mask, the data set does not have the class, no image shows it, or `skip` leaves none.
    """
    names = list(dataset.masked_names if images.masked else dataset.names)
    if not names:
        raise ValueError(f"images.masked: {no_masks(dataset.split)}")
    if images.class_name is not None:
        names = _showing(dataset, images.class_name, names)
    if images.skip >= len(names):
        raise ValueError(f"images.skip = {images.skip} leaves no image: split {dataset.split!r} has {len(names)} such images")
    chosen = set(sorted(names, key=_drawn)[images.skip :][: images.limit])
    return [name for name in names if name in chosen]


def no_masks(split: str) -> str:
    """Why a selection of images with masks selects none, and a remedy."""
    remedy = "add masks to the data, or select images without it"
    return f"no image of split {split!r} has a mask, which masked=true asks for; {remedy}"


def _drawn(name: str) -> bytes:
    """The place of a name in the order in which images are drawn."""
    return hashlib.sha256(name.encode()).digest()


def _showing(dataset: Dataset, class_name: str, names: list[str]) -> list[str]:
    """The images among `names` that show the class."""
    if class_name not in dataset.class_names:
        known = ", ".join(dataset.class_names)
        raise ValueError(f"images.class_name = {class_name!r} is not a class of the data; known: {known}")
    column = dataset.class_names.index(class_name)
    showing = [name for name in names if dataset.label(name)[column]]
    if not showing:
        raise ValueError(f"images.class_name = {class_name!r}: no image of split {dataset.split!r} shows this class")
    return showing
