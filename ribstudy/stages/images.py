"""The images of a run."""

from ribstudy import datasets
from ribstudy.datasets import Dataset
from ribstudy.datasets.selection import selected_names
from ribstudy.stages.stage import Run


def open_images(run: Run) -> Dataset:
    """The split that contains the run's images."""
    return datasets.open_dataset(run.settings.data, run.images.split)


def image_names(run: Run) -> list[str]:
    """The names of the run's images, in the order of the split; see `selected_names` for the errors."""
    return selected_names(open_images(run), run.images)
