"""A folder of own images: the images, a table of their classes, and masks if there are any. ::

    images/<file>        .jpg .jpeg .png .bmp .webp .tif .tiff, in upper or lower case
    labels.csv           the header "image,class", then one line per image: its file, then its classes (can be none)
    classes.txt          one class per line, in order; needed with masks, otherwise the sorted classes of labels.csv
    masks/<stem>.png     palette or grey PNG of the upright image's size: 0 background, k for line k of classes.txt, 255 void
    val.txt              the held-out images, one per line; without it they are drawn by checksum (`draw_val`)

The name of an image is its file name without the suffix. Images without a line in labels.csv are ignored. Images are loaded
the way they appear on screen (`pictures.read_picture`) and shrunk to data.max_side if it is set. Nothing is written into the
folder.
"""

import logging
from functools import cached_property, lru_cache, partial
from itertools import chain
from pathlib import Path

import numpy as np
from PIL import Image

from ribstudy.datasets.base import DataError, Dataset, Source, Stamp, collected, map_in_order, stamp
from ribstudy.datasets.content import Files, content_digest
from ribstudy.datasets.folder_lists import ROOT_HINT, Listing, normal_form, read_listing
from ribstudy.datasets.pictures import VOID, picture_size, read_mask, read_picture, shrunk_size, size_problem
from ribstudy.runtime.files import digest

log = logging.getLogger(__name__)

SPLITS = ("train", "val")
REMEDY = "add images without it: a line with no class"


class FolderDataset(Dataset):
    """One split of a folder."""

    def __init__(self, root: Path, listing: Listing, split: str, *, max_side: int | None):
        self.root = root
        self.split = split
        self.max_side = max_side
        self.names = listing.names(split)
        self.class_names = listing.class_names
        self._files = listing.files
        self._labels = {name: listing.label(name) for name in self.names}

    def label(self, name: str) -> np.ndarray:
        return self._labels[name]

    def num_objects(self, name: str) -> None:
        """None, because only classes are annotated."""

    def image(self, name: str) -> np.ndarray:
        return read_picture(self._files[name], max_side=self.max_side)

    @cached_property
    def masked_names(self) -> list[str]:
        """The images with a file in masks/."""
        return [name for name in self.names if mask_path(self.root, name).is_file()]

    def mask(self, name: str) -> np.ndarray:
        """uint8 [H, W], shrunk like the image, with nearest-neighbour interpolation."""
        path = mask_path(self.root, name)
        if not path.is_file():
            why = f"{path} does not exist" if self.has_masks else f"split {self.split} has none in {path.parent}"
            raise DataError(f"no masks: {why}; scores need masks, maps do not")
        mask = read_full_mask(path, self._files[name], len(self.class_names))
        size = shrunk_size(mask.shape[::-1], self.max_side)
        return np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST))


def mask_path(root: Path, name: str) -> Path:
    return root / "masks" / f"{name}.png"


def read_full_mask(path: Path, picture: Path, num_classes: int) -> np.ndarray:
    """Class indices, uint8 [H, W]. Raises DataError if their size differs from the size of the upright image."""
    mask = read_mask(path, num_classes)
    size = picture_size(picture)
    if mask.shape[::-1] != size:
        raise DataError(size_problem(path, mask.shape[::-1], picture, size))
    return mask


class FolderSource(Source):
    """A folder of own images."""

    splits = SPLITS
    training_split = "train"
    root_hint = ROOT_HINT

    @property
    def class_names(self) -> tuple[str, ...]:
        return self._listing().class_names

    def prepare(self, *, processes: int = 1) -> None:
        """Raises DataError if the lists have a fault."""
        self._listing()

    def open(self, split: str) -> FolderDataset:
        return FolderDataset(self.root, self._listing(), split, max_side=self.settings.max_side)

    def fingerprint(self) -> dict:
        """Depends on data.max_side, on the classes and the split of each listed image, and on the content of its file."""
        listing = self._listing()
        pictures = tuple((normal_form(file.name), (f"images/{file.name}",)) for file in listing.files.values())
        labels = [[name, sorted(listing.classes_of[name]), name in listing.val] for name in listing.files]
        return {
            "name": "folder",
            "max_side": self.settings.max_side,
            "classes": list(listing.class_names),
            "labels": digest(labels),
            "images": content_digest(Files(self.root, pictures)),
        }

    def mask_fingerprint(self) -> dict:
        """Depends on the order of the classes, on data.max_side, and on the content of the masks of listed images."""
        listing = self._listing()
        return {
            "name": "folder",
            "max_side": self.settings.max_side,
            "classes": list(listing.class_names),
            "masks": content_digest(Files.like(self.root, listing.files, "masks/{}.png")),
        }

    def lists(self) -> list[Path]:
        paths = [self.root / name for name in ("labels.csv", "classes.txt", "val.txt")]
        return [path for path in paths if path.is_file()]

    def check(self, *, decode: bool = False, processes: int = 1) -> list[str]:
        """Also checks whether the classes can be learned. Images without auxiliary images for RIB are only logged."""
        problems: list[str] = []
        with collected(problems):
            listing, table = read_listing(self.root), self.root / "labels.csv"
            if listing.num_unlisted:
                log.info("%s: %d images have no line in labels.csv and are ignored", self.root, listing.num_unlisted)
            _warn_of_lone_images(table, listing)
            problems += [*listing.problems, *_learning_problems(table, listing), *_mask_problems(self.root, listing)]
            work = partial(_check_image, root=self.root, listing=listing, decode=decode)
            found = map_in_order(work, list(listing.files), processes=processes, description="check")
            problems += chain.from_iterable(found)
        return problems

    def _listing(self) -> Listing:
        parts = [self.root / name for name in ("labels.csv", "classes.txt", "val.txt", "images", "masks")]
        return _read_listing_once(self.root, tuple(map(stamp, parts)))


@lru_cache
def _read_listing_once(root: Path, parts: tuple[Stamp, ...]) -> Listing:
    """The lists, read again in the same process only if one of `parts` has changed. Raises DataError if they have a fault."""
    listing = read_listing(root)
    if listing.problems:
        first, *others = listing.problems
        raise DataError(first + (f" (and {len(others)} more: python -m ribstudy data check)" if others else ""))
    return listing


def _learning_problems(path: Path, listing: Listing) -> list[str]:
    """Classes that cannot be learned from the training images."""
    training = listing.labels("train")
    if not len(training) or not listing.class_names:
        return []
    problems = []
    for class_name, here in zip(listing.class_names, training.T, strict=True):
        if not here.any():
            problems.append(f"{path}: class {class_name!r} is in no training image; add some, or list others in val.txt")
        elif here.all():
            problems.append(f"{path}: class {class_name!r} is in every training image, so it cannot be learned; {REMEDY}")
    return problems


def _warn_of_lone_images(path: Path, listing: Listing) -> None:
    """Logs one line if some images share a class with every training image, so that they have no auxiliary images."""
    kinds = np.unique(listing.labels("train"), axis=0).astype(int)
    lone = [name for name in listing.files if len(kinds) and (kinds @ listing.label(name) > 0).all()]
    if lone:
        log.warning(
            "%s: %d images, such as %s (%s), share a class with every training image, so RIB has no auxiliary images for them; "
            "add images of other classes or of none, or adapt without auxiliary images: --set auxiliary.batch_size=0",
            path,
            len(lone),
            lone[0],
            ", ".join(listing.classes_of[lone[0]]),
        )


def _mask_problems(root: Path, listing: Listing) -> list[str]:
    """Files in masks/ that do not belong to an image."""
    paths = sorted(path for path in (root / "masks").glob("[!.]*") if path.is_file())
    problems = [f"{path}: is not a .png file; masks must be PNGs" for path in paths if path.suffix != ".png"]
    masks = [path for path in paths if path.suffix == ".png"]
    return problems + [f"{path}: labels.csv has no image of this name" for path in masks if path.stem not in listing.files]


def _check_image(name: str, *, root: Path, listing: Listing, decode: bool) -> list[str]:
    """The faults of one image and its mask."""
    file, path = listing.files[name], mask_path(root, name)
    problems: list[str] = []
    with collected(problems):
        (read_picture if decode else picture_size)(file)
        if path.is_file():
            mask = read_full_mask(path, file, len(listing.class_names))
            shown = [listing.class_names[value - 1] for value in np.unique(mask) if value not in (0, VOID)]
            if surplus := [class_name for class_name in shown if class_name not in listing.classes_of[name]]:
                problems.append(f"{path}: contains {', '.join(surplus)}, which labels.csv does not list for {file.name}")
    return problems
