"""The images of a run."""

from collections.abc import Sequence

from ribstudy import datasets
from ribstudy.datasets import Dataset
from ribstudy.stages.run import Run


def open_images(run: Run) -> Dataset:
    """The split that the run's images are from."""
    return datasets.open_dataset(run.settings.data, run.images.split)


def image_names(run: Run) -> list[str]:
    """The names of the run's images, in the order of the split.

    Raises ValueError if no image is selected, or a class is not one of the data set's.
    """
    images, dataset = run.images, open_images(run)
    names = list(dataset.masked_names if images.masked else dataset.names)
    if images.class_name is not None:
        names = _showing(dataset, images.class_name, names)
    if not names:
        folder = datasets.data_folder(run.settings.data)
        raise ValueError(f"images.masked: no image of split {images.split!r} has a mask in {folder}")
    return names[images.skip :][: images.limit]


def _showing(dataset: Dataset, class_name: str, names: Sequence[str]) -> list[str]:
    if class_name not in dataset.class_names:
        known = ", ".join(dataset.class_names)
        raise ValueError(f"images.class_name = {class_name!r} is not a class of the data; known: {known}")
    column = dataset.class_names.index(class_name)
    showing = [name for name in names if dataset.label(name)[column]]
    if not showing:
        raise ValueError(f"images.class_name = {class_name!r}: no such image in split {dataset.split!r}")
    return showing
