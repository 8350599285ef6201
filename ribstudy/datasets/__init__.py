"""The data sets of the study by their settings: MiniVOC (drawn), PASCAL VOC 2012, COCO 2014, and a folder of own images."""

from pathlib import Path

from ribstudy.datasets import minivoc, voc12
from ribstudy.datasets.base import DataError, Dataset, Source
from ribstudy.datasets.coco14 import CocoSource
from ribstudy.datasets.folder import FolderSource
from ribstudy.datasets.settings import DataSettings
from ribstudy.datasets.voc12 import VocSource
from ribstudy.runtime import paths
from ribstudy.runtime.files import digest

__all__ = [
    "DataError",
    "Dataset",
    "check",
    "class_names",
    "data_folder",
    "fingerprint",
    "lists",
    "open_dataset",
    "prepare",
    "splits",
    "training_set",
    "unlabelled_splits",
]


class MiniVocSource(VocSource):
    """MiniVOC, drawn where it is not there yet: at data.root, or in a folder of its own for every description."""

    class_names = minivoc.CLASS_NAMES

    @property
    def root(self) -> Path:
        if self.settings.root is not None:
            return self.settings.root.expanduser()
        return paths.DATA / f"minivoc-{digest(minivoc.describe(self.settings.minivoc))}"

    def prepare(self, *, processes: int = 1) -> None:
        """Raises DataError where the folder holds other data."""
        present = minivoc.read_description(self.root)
        if present is None:
            minivoc.generate(self.root, self.settings.minivoc)
        elif present != minivoc.describe(self.settings.minivoc):
            raise DataError(f"{self.root}: holds a MiniVOC with other settings ({present}); pass another data.root, or none")

    def fingerprint(self) -> dict:
        return {"name": "minivoc", **minivoc.describe(self.settings.minivoc)}

    def check(self, *, decode: bool = False, processes: int = 1) -> list[str]:
        if minivoc.read_description(self.root) is None:
            return [f"{self.root}: MiniVOC is not drawn yet: python -m ribstudy data"]
        return super().check(decode=decode, processes=processes)


SOURCES: dict[str, type[Source]] = {
    "minivoc": MiniVocSource,
    "voc12": VocSource,
    "coco14": CocoSource,
    "folder": FolderSource,
}
UNLABELLED_SPLITS = {"voc12": voc12.UNLABELLED_SPLITS}  # MiniVOC, in the same layout, has none


def _source(settings: DataSettings) -> Source:
    return SOURCES[settings.name](settings)


def class_names(settings: DataSettings) -> tuple[str, ...]:
    return _source(settings).class_names


def data_folder(settings: DataSettings) -> Path:
    """The folder of the data: data.root, or for MiniVOC without one a folder of its own for every description."""
    return _source(settings).root


def splits(settings: DataSettings) -> tuple[str, ...]:
    """The names of the splits: train, val, and train_aug where a data set has more images to train on than are reported."""
    return _source(settings).splits


def unlabelled_splits(settings: DataSettings) -> tuple[str, ...]:
    """The names of splits to predict only, without labels and masks: they may be opened, but need not be there."""
    return UNLABELLED_SPLITS.get(settings.name, ())


def prepare(settings: DataSettings, *, processes: int = 1) -> Path:
    """The folder of the data, ready to be read: what is made from them, or drawn, is made where it is not there yet.

    Raises DataError where something is missing or malformed.
    """
    source = _source(settings)
    source.prepare(processes=processes)
    return source.root


def open_dataset(settings: DataSettings, split: str) -> Dataset:
    """One split, prepared before where it is not yet; DataError for one that the data set does not have."""
    source = _source(settings)
    known = (*source.splits, *unlabelled_splits(settings))
    if split not in known:
        raise DataError(
            f"data set {settings.name} has no split {split!r}, only {', '.join(known)}: {source.training_split} is what the"
            f" classifier is trained on, so set infer.split={source.training_split}"
        )
    source.prepare()
    return source.open(split)


def training_set(settings: DataSettings) -> Dataset:
    """The split that the classifier is trained on and auxiliary images are drawn from."""
    return open_dataset(settings, _source(settings).training_split)


def fingerprint(settings: DataSettings) -> dict:
    """What the identity of the data depends on, without absolute paths."""
    return _source(settings).fingerprint()


def lists(settings: DataSettings) -> list[Path]:
    """The files that say which images there are and what they show."""
    return _source(settings).lists()


def check(settings: DataSettings, *, decode: bool = False, processes: int = 1) -> list[str]:
    """All problems of the data at once, a line each that names the file; an empty list means that there is none.

    Reads every annotation and mask, and the header of every image; `decode` also decodes every image. Images are read by
    `processes` processes; the list does not depend on how many.
    """
    return _source(settings).check(decode=decode, processes=processes)
