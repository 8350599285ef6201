"""The data sets: MiniVOC (drawn), PASCAL VOC 2012, COCO 2014 and a folder of own images, opened by their settings.

Images, labels and masks are read as arrays; `transforms` makes them tensors. Nothing here depends on networks.
"""

from collections.abc import Callable
from pathlib import Path

from ribstudy.datasets import minivoc, voc12
from ribstudy.datasets.base import DataError, Dataset, Source
from ribstudy.datasets.coco14 import CocoSource
from ribstudy.datasets.folder import FolderSource
from ribstudy.datasets.listed import ListedSource, read_listing, write_listing
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
    "has_pictures",
    "lists",
    "mask_fingerprint",
    "open_dataset",
    "prepare",
    "require_pictures",
    "splits",
    "title",
    "training_set",
    "training_split",
    "unlabelled_splits",
    "write_list",
]


class MiniVocSource(VocSource):
    """MiniVOC, drawn if it does not exist yet, at data.root or in a folder named by its description."""

    class_names = minivoc.CLASS_NAMES

    @property
    def root(self) -> Path:
        if self.settings.root is not None:
            return self.settings.root
        return paths.DATA / f"minivoc-{digest(minivoc.describe(self.settings.minivoc))}"

    def prepare(self, *, processes: int = 1) -> None:
        """Raises DataError if the folder contains a MiniVOC with other settings."""
        present = minivoc.read_description(self.root)
        if present is None:
            minivoc.generate(self.root, self.settings.minivoc, processes=processes)
        elif present != minivoc.describe(self.settings.minivoc):
            raise DataError(f"{self.root}: contains a MiniVOC with other settings ({present}); pass another data.root, or none")

    def fingerprint(self) -> dict:
        """The description, from which everything is drawn, so that it can be known before that.

        If files were changed after they were drawn, their content is added. They can differ a little between versions of
        Pillow, so the content of unchanged files is left out.
        """
        return self._described("content", lambda: voc12.content(self.root, self.class_names))

    def mask_fingerprint(self) -> dict:
        return self._described("masks", lambda: voc12.mask_content(self.root))

    def _described(self, part: str, content: Callable[[], object]) -> dict:
        description = {"name": "minivoc", **minivoc.describe(self.settings.minivoc)}
        drawn = minivoc.read_drawn(self.root)
        if drawn is None or drawn[part] == (found := content()):
            return description
        return {**description, part: found}

    def check(self, *, decode: bool = False, processes: int = 1) -> list[str]:
        if minivoc.read_description(self.root) is None:
            return [f"{self.root}: MiniVOC is not drawn yet; run python -m ribstudy data"]
        return super().check(decode=decode, processes=processes)


SOURCES: dict[str, type[Source]] = {"minivoc": MiniVocSource, "voc12": VocSource, "coco14": CocoSource, "folder": FolderSource}
UNLABELLED_SPLITS = {"voc12": voc12.UNLABELLED_SPLITS}  # MiniVOC has the same layout, but none of these


TITLES = {"minivoc": "MiniVOC", "voc12": "PASCAL VOC 2012", "coco14": "MS COCO 2014", "folder": "own images"}


def _source(settings: DataSettings) -> Source:
    source = SOURCES[settings.name]
    return source(settings) if settings.listed is None else ListedSource(settings, source)


def title(settings: DataSettings) -> str:
    """The name of the images in texts: of the data set, or what their list says about them."""
    return TITLES[settings.name] if settings.listed is None else read_listing(settings.listed).about


def class_names(settings: DataSettings) -> tuple[str, ...]:
    """The C classes, in the order of the labels."""
    return _source(settings).class_names


def data_folder(settings: DataSettings) -> Path:
    """The folder of the data: data.root, or for MiniVOC without it, a folder named by the description of its images."""
    return _source(settings).root


def splits(settings: DataSettings) -> tuple[str, ...]:
    """The names of the splits: train, val, and train_aug if there are more training images than results are reported on."""
    return _source(settings).splits


def unlabelled_splits(settings: DataSettings) -> tuple[str, ...]:
    """The names of the optional splits without labels and masks, which are only for predictions."""
    return UNLABELLED_SPLITS.get(settings.name, ())


def prepare(settings: DataSettings, *, processes: int = 1) -> Path:
    """Draws the data, or makes files derived from them, if they do not exist yet. Returns the folder of the data.

    Raises DataError if something is missing or malformed.
    """
    source = _source(settings)
    source.prepare(processes=processes)
    return source.root


def open_dataset(settings: DataSettings, split: str) -> Dataset:
    """Prepares the data if needed, and opens one split. Raises DataError for a split that the data set does not have."""
    source = _source(settings)
    known = (*source.splits, *unlabelled_splits(settings))
    if split not in known:
        raise DataError(
            f"data set {settings.name} has no split {split!r}, only {', '.join(known)}: the"
            f" classifier is trained on split {source.training_split}; use split={source.training_split}"
        )
    source.prepare()
    return source.open(split)


def training_set(settings: DataSettings) -> Dataset:
    """The split on which the classifier is trained, and from which auxiliary images are drawn."""
    return open_dataset(settings, training_split(settings))


def training_split(settings: DataSettings) -> str:
    """The name of the split on which the classifier is trained."""
    return _source(settings).training_split


def has_pictures(settings: DataSettings) -> bool:
    """Whether images and masks can be read. False for a list of images whose photographs are not here (data.listed)."""
    return not _source(settings).missing_pictures


def require_pictures(settings: DataSettings) -> None:
    """Raises DataError if images and masks cannot be read, and says how to bring them."""
    if problem := _source(settings).missing_pictures:
        raise DataError(problem)


def write_list(settings: DataSettings, name: str, *, about: str) -> Path:
    """Lists the images of the data in the package (`listed`), and returns the file.

    Args:
        name: of the list.
        about: what the images are, in words.
    """
    return write_listing(name, about, SOURCES[settings.name](settings))


def fingerprint(settings: DataSettings) -> dict:
    """A JSON-like value that identifies the images and their labels by content.

    It depends neither on paths and machines, nor on versions of libraries, nor on the order of a list. The masks have an
    identity of their own, `mask_fingerprint`.
    """
    return _source(settings).fingerprint()


def mask_fingerprint(settings: DataSettings) -> dict:
    """A JSON-like value that identifies the masks by content, as `fingerprint` does for images and labels."""
    return _source(settings).mask_fingerprint()


def lists(settings: DataSettings) -> list[Path]:
    """The files that list the images and their labels."""
    return _source(settings).lists()


def check(settings: DataSettings, *, decode: bool = False, processes: int = 1) -> list[str]:
    """All faults of the data, one line for each that names the file.

    Reads every annotation, mask and image, and refuses the files that the stages refuse. `decode` decodes every image in full,
    without the shortcuts of `pictures.check_picture`. The result does not depend on the number of worker processes.
    """
    return _source(settings).check(decode=decode, processes=processes)
