"""Applies an ImageSelection to a data set."""

from ribstudy.datasets.base import Dataset
from ribstudy.datasets.settings import ImageSelection


def selected_names(dataset: Dataset, images: ImageSelection) -> list[str]:
    """The names of the selected images, in the order of the data set.

    Filters by `masked` and `class_name` first, and applies `skip` and `limit` to the remaining images.

    Args:
        dataset: the split `images.split`, opened.
        images: the selection.

    Raises:
        ValueError: no image has a mask, the data set does not have the class, no image shows it, or `skip` leaves none.
    """
    names = list(dataset.masked_names if images.masked else dataset.names)
    if not names:
        raise ValueError(f"images.masked: no image of split {dataset.split!r} has a mask")
    if images.class_name is not None:
        names = _showing(dataset, images.class_name, names)
    if images.skip >= len(names):
        raise ValueError(f"images.skip = {images.skip} leaves no image: split {dataset.split!r} has {len(names)} such images")
    return names[images.skip :][: images.limit]


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
