"""A folder of own images: the images, a table of their classes, and masks if there are any. ::

    images/<file>        .jpg .jpeg .png .bmp .webp .tif .tiff, in upper or lower case
    labels.csv           the header "image,class", then one line per image: its file, then its classes (can be none)
    classes.txt          one class per line, in order; needed with masks, otherwise the sorted classes of labels.csv
    masks/<stem>.png     palette or grey PNG of the upright image's size: 0 background, k for line k of classes.txt, 255 void;
                         the numbers in the file count, whatever its number of bits and its colours
    val.txt              the held-out images, one per line; without it they are drawn by checksum (`draw_val`)

The name of an image is its file name without the suffix. Images without a line in labels.csv are ignored. Images are loaded
the way they appear on screen (`pictures.read_picture`) and shrunk to data.max_side if it is set. Nothing is written into the
folder. There can be at most 254 classes, because a mask has no values for more.
"""

import logging
from collections.abc import Sequence
from functools import cached_property, lru_cache, partial
from itertools import chain
from pathlib import Path

import numpy as np
from PIL import Image

from ribstudy.datasets.base import DataError, Dataset, Source, Stamp, collected, map_in_order, stamp
from ribstudy.datasets.content import Files, content_digest
from ribstudy.datasets.disjoint import shares_with_all
from ribstudy.datasets.folder_lists import PARTS, ROOT_HINT, Listing, normal_form, read_listing
from ribstudy.datasets.mask_checks import LabelledMask, mask_set_problems, require_equal_sizes, summarize_mask
from ribstudy.datasets.pictures import MAX_CLASSES, check_picture, picture_size, read_mask, read_picture, shrunk_size
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
        self.labels = listing.labels(self.names)
        self._files, self._masks = listing.files, listing.masks
        self._places = {name: place for place, name in enumerate(self.names)}

    def label(self, name: str) -> np.ndarray:
        return self.labels[self._places[name]]

    def num_objects(self, name: str) -> None:
        """None, because only classes are annotated."""

    def image(self, name: str) -> np.ndarray:
        return read_picture(self._files[name], max_side=self.max_side)

    @cached_property
    def masked_names(self) -> list[str]:
        """The images with a file in masks/."""
        return [name for name in self.names if name in self._masks]

    def mask(self, name: str) -> np.ndarray:
        """uint8 [H, W], shrunk like the image, with nearest-neighbour interpolation."""
        if name not in self._masks:
            folder = self.root / "masks"
            why = f"{folder / name}.png does not exist" if self.has_masks else f"split {self.split} has none in {folder}"
            raise DataError(f"no masks: {why}; scores need masks, maps do not")
        path, picture = self._masks[name], self._files[name]
        mask = read_mask(path, len(self.class_names))
        require_equal_sizes(path, mask.shape[::-1], picture, picture_size(picture))
        size = shrunk_size(mask.shape[::-1], self.max_side)
        return np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST))


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
        masks = tuple((name, (f"masks/{path.name}",)) for name, path in listing.masks.items())
        return {
            "name": "folder",
            "max_side": self.settings.max_side,
            "classes": list(listing.class_names),
            "masks": content_digest(Files(self.root, masks)),
        }

    def lists(self) -> list[Path]:
        paths = [self.root / name for name in ("labels.csv", "classes.txt", "val.txt")]
        return [path for path in paths if path.is_file()]

    def check(self, *, decode: bool = False, processes: int = 1) -> list[str]:
        """Also checks whether the classes can be learned. Images without auxiliary images for RIB are only logged."""
        problems: list[str] = []
        with collected(problems):
            listing = read_listing(self.root)
            if listing.num_unlisted:
                log.info("%s: %d images have no line in labels.csv and are ignored", self.root, listing.num_unlisted)
            problems += [*listing.problems, *_label_problems(self.root / "labels.csv", listing)]
            problems += _file_problems(listing, self.root / "masks", decode=decode, processes=processes)
        return problems

    def _listing(self) -> Listing:
        return _read_listing_once(self.root, tuple(stamp(self.root / part) for part in PARTS))


@lru_cache
def _read_listing_once(root: Path, parts: tuple[Stamp, ...]) -> Listing:
    """The lists, read again in the same process only if one of `parts` has changed. Raises DataError if they have a fault."""
    listing = read_listing(root)
    if listing.problems:
        first, *others = listing.problems
        raise DataError(first + (f" (and {len(others)} more: python -m ribstudy data check)" if others else ""))
    return listing


def _label_problems(path: Path, listing: Listing) -> list[str]:
    """Classes that cannot be learned. Labels that are only odd are logged."""
    if len(listing.class_names) > MAX_CLASSES:  # the listing reports it; a label of thousands of classes would take long
        return []
    training, held_out = (listing.labels(listing.names(split)) for split in SPLITS)
    if not held_out.any():
        log.warning("%s: none of the %d held-out images has a class", path, len(held_out))
    _warn_of_lone_images(path, listing, training)
    return _learning_problems(path, listing.class_names, training)


def _learning_problems(path: Path, class_names: Sequence[str], training: np.ndarray) -> list[str]:
    """Classes that cannot be learned from the training images, whose labels are bool [N, C]."""
    if not training.size:
        return []
    problems = []
    for class_name, here in zip(class_names, training.T, strict=True):
        if not here.any():
            problems.append(
                f"{path}: class {class_name!r} is in no training image; add some, list others in val.txt, or "
                "leave it out of classes.txt and labels.csv"
            )
        elif here.all():
            problems.append(f"{path}: class {class_name!r} is in every training image, so it cannot be learned; {REMEDY}")
    return problems


def _warn_of_lone_images(path: Path, listing: Listing, training: np.ndarray) -> None:
    """Logs one line if some images share a class with every training image, so that they have no auxiliary images."""
    names = list(listing.files)
    lone = shares_with_all(listing.labels(names), training)
    if not len(training) or not lone.any():
        return
    first = names[np.flatnonzero(lone)[0]]
    log.warning(
        "%s: %d images, such as %s (%s), share a class with every training image, so RIB has no auxiliary images for them; "
        "add images of other classes or of none, or adapt without auxiliary images: --set auxiliary.batch_size=0",
        path,
        lone.sum(),
        first,
        ", ".join(listing.classes_of[first]),
    )


def _file_problems(listing: Listing, folder: Path, *, decode: bool, processes: int) -> list[str]:
    """The faults of the images and of their masks in `folder`, one by one and together."""
    items = [(picture, listing.masks.get(name), listing.classes_of[name]) for name, picture in listing.files.items()]
    work = partial(_check_files, class_names=listing.class_names, decode=decode)
    found = list(map_in_order(work, items, processes=processes, description="check"))
    if turned := [picture.name for (picture, *_), (_, _, is_turned) in zip(items, found, strict=True) if is_turned]:
        about = "are turned by their EXIF orientation, so their masks must be upright too"
        log.warning("%s: %d images with a mask, such as %s, %s", folder, len(turned), turned[0], about)
    problems = list(chain.from_iterable(own for own, _, _ in found))
    masks = [mask for _, mask, _ in found if mask is not None]
    return problems + mask_set_problems(masks, listing.class_names, folder)


def _check_files(
    item: tuple[Path, Path | None, tuple[str, ...]], *, class_names: tuple[str, ...], decode: bool
) -> tuple[list[str], LabelledMask | None, bool]:
    """The faults of an image and its mask, the mask's content, and whether the image has a mask and is turned.

    item: their files, and the classes of the image.
    """
    picture, path, classes = item
    problems: list[str] = []
    size = found = None
    turned = False
    with collected(problems):
        size, oriented = check_picture(picture, decode=decode)
        turned = oriented and path is not None
    with collected(problems):
        if path is not None:
            mask = summarize_mask(path, len(class_names))
            found = mask, frozenset(map(class_names.index, classes))
            if surplus := [class_names[index] for index in sorted(mask.classes - found[1])]:
                problems.append(f"{path}: contains {', '.join(surplus)}, which labels.csv does not list for {picture.name}")
            if size is not None:
                require_equal_sizes(path, mask.size, picture, size)
    return problems, found, turned
