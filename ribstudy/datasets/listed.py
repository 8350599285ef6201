"""Data sets whose images are listed in the package, so that results on them can be read where the images are not.

A file of `lists/` describes the images with which published results were computed, but contains none of them: ::

    about                what they are, in words
    data                 the data set in whose format they are (data.name)
    splits/<split>       names (sorted), classes and number of objects of each image, annotated (the number of images with an
                         annotation), without_mask (names)
    fingerprints         of the images with their labels, and of the masks (`datasets.fingerprint`, `datasets.mask_fingerprint`)

Keys of results contain the fingerprints of the list, whether or not the photographs are at hand. If they are, they must have
these fingerprints.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from ribstudy.datasets.base import DataError, Dataset, Source
from ribstudy.datasets.settings import DataSettings
from ribstudy.runtime import paths
from ribstudy.runtime.files import atomic

FOLDER = Path(str(resources.files("ribstudy.datasets"))) / "lists"


@dataclass(frozen=True)
class Listing:
    """A list of images (see above)."""

    name: str
    about: str
    data: str
    splits: Mapping[str, Mapping[str, Any]]
    fingerprints: Mapping[str, dict]

    @property
    def missing(self) -> str:
        """That the photographs are missing, and how to bring them."""
        listed = (
            f"photographs of {self.name} ({self.about}) are not here, only their names and labels, from lists/{self.name}.json"
        )
        return f"the {listed}; {self.remedy}"

    @property
    def remedy(self) -> str:
        """How to bring the photographs."""
        where = f"put their folder, or a link to it, at data/{self.name}"
        return f"{where}, or pass it (--data-root; data_root of a notebook or batch)"


@cache
def read_listing(name: str) -> Listing:
    """The list of that name. Raises DataError for an unknown one."""
    path = FOLDER / f"{name}.json"
    if not path.is_file():
        known = ", ".join(sorted(path.stem for path in FOLDER.glob("*.json")))
        raise DataError(f"data.listed = {name!r}: there is no such list; known: {known}")
    return Listing(name, **json.loads(path.read_text()))


def write_listing(name: str, about: str, source: Source) -> Path:
    """Writes the list of the images of a source, under a name. Returns its file."""
    source.prepare()
    content = {
        "about": about,
        "data": source.settings.name,
        "splits": {split: _description(source.open(split)) for split in source.splits},
        "fingerprints": {"images": source.fingerprint(), "masks": source.mask_fingerprint()},
    }
    path = FOLDER / f"{name}.json"
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(content, separators=(",", ":")) + "\n")
    return path


def _description(dataset: Dataset) -> dict[str, Any]:
    masked = set(dataset.masked_names)
    return {
        "names": list(dataset.names),
        "classes": [np.flatnonzero(dataset.label(name)).tolist() for name in dataset.names],
        "objects": [dataset.num_objects(name) for name in dataset.names],
        "annotated": dataset.num_annotated,
        "without_mask": [name for name in dataset.names if name not in masked],
    }


class ListedDataset(Dataset):
    """One split of a list, without its photographs."""

    has_pictures = False

    def __init__(self, listing: Listing, split: str, class_names: tuple[str, ...]):
        """Raises DataError if the list does not have the split."""
        if split not in listing.splits:
            raise DataError(f"{listing.name} lists no split {split!r}: {listing.missing}")
        self.listing = listing
        self.split = split
        self.class_names = class_names
        self._content = listing.splits[split]
        self.names = self._content["names"]
        self._places = {name: place for place, name in enumerate(self.names)}

    @cached_property
    def labels(self) -> np.ndarray:
        labels = np.zeros((len(self.names), len(self.class_names)), bool)
        for label, classes in zip(labels, self._content["classes"], strict=True):
            label[classes] = True
        return labels

    @property
    def num_annotated(self) -> int:
        return self._content["annotated"]

    @cached_property
    def masked_names(self) -> list[str]:
        without = set(self._content["without_mask"])
        return [name for name in self.names if name not in without]

    def label(self, name: str) -> np.ndarray:
        return self.labels[self._places[name]]

    def num_objects(self, name: str) -> int | None:
        return self._content["objects"][self._places[name]]

    def image(self, name: str) -> np.ndarray:
        """Raises DataError, as the photographs are missing."""
        raise DataError(f"image {name}: {self.listing.missing}")

    def mask(self, name: str) -> np.ndarray:
        """Raises DataError, as the masks are missing too."""
        raise DataError(f"mask of {name}: {self.listing.missing}")


class ListedSource(Source):
    """The images of a list: photographs from data.root or data/<name of the list>, or else only their names and labels.

    Args:
        settings: with the name of the list.
        source: the kind of source that reads the photographs.
    """

    def __init__(self, settings: DataSettings, source: type[Source]):
        """Raises DataError if there is no such list, or if it is of another data set."""
        super().__init__(settings)
        self.listing = read_listing(settings.listed)
        if self.listing.data != settings.name:
            raise DataError(f"data.listed = {settings.listed!r} is a list of {self.listing.data}, not of {settings.name}")
        self.photographs = source(settings.model_copy(update={"root": self.root}))
        self.splits = self.photographs.splits
        self.training_split = self.photographs.training_split

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.photographs.class_names

    @property
    def root(self) -> Path:
        return self.settings.root or paths.DATA / self.settings.listed

    @property
    def has_pictures(self) -> bool:
        return self.settings.root is not None or self.root.is_dir()

    @property
    def missing_pictures(self) -> str:
        return "" if self.has_pictures else self.listing.missing

    def prepare(self, *, processes: int = 1) -> None:
        """Raises DataError if files are missing, or if the photographs are not the listed ones."""
        if self.has_pictures:
            self.photographs.prepare(processes=processes)
            _require_listed(type(self.photographs), self.photographs.settings)

    def open(self, split: str) -> Dataset:
        return self.photographs.open(split) if self.has_pictures else ListedDataset(self.listing, split, self.class_names)

    def fingerprint(self) -> dict:
        return self.listing.fingerprints["images"]

    def mask_fingerprint(self) -> dict:
        return self.listing.fingerprints["masks"]

    def lists(self) -> list[Path]:
        return self.photographs.lists() if self.has_pictures else []

    def check(self, *, decode: bool = False, processes: int = 1) -> list[str]:
        """Also compares the photographs with the list."""
        if not self.has_pictures:
            return [self.listing.missing]
        problems = self.photographs.check(decode=decode, processes=processes)
        return problems or _differences(self.photographs, self.listing)


@cache
def _require_listed(source: type[Source], settings: DataSettings) -> None:
    """Compares the photographs with the list, once per process. Raises DataError if they differ."""
    if problems := _differences(source(settings), read_listing(settings.listed)):
        raise DataError("; ".join(problems))


def _differences(photographs: Source, listing: Listing) -> list[str]:
    """A line if the photographs do not have the fingerprints of the list: which digests differ, and a remedy."""
    found = {"images": photographs.fingerprint(), "masks": photographs.mask_fingerprint()}
    parts = {
        f"{kind}: {part}": (found[kind].get(part), value)
        for kind, of in listing.fingerprints.items()
        for part, value in of.items()
    }
    differing = [f"{part} is {here}, listed is {value}" for part, (here, value) in parts.items() if here != value]
    if not differing:
        return []
    return [
        f"{photographs.root}: these are not the images of {listing.name} ({'; '.join(differing)}); bring those, or use other"
        " images with data.listed=null"
    ]
