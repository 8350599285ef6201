"""Checks of the masks of a data set, one by one and together: a single mask cannot show that its values mean other classes."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from ribstudy.datasets.base import DataError
from ribstudy.datasets.pictures import VOID, Colour, read_coloured_mask

log = logging.getLogger(__name__)


class MaskSummary(NamedTuple):
    """The content of one mask.

    size: (width, height); colours: the values of its pixels with the colour of each (see `read_coloured_mask`).
    """

    path: Path
    size: tuple[int, int]
    colours: Mapping[int, Colour | None]

    @property
    def classes(self) -> frozenset[int]:
        """The 0-based classes of its pixels."""
        return frozenset(value - 1 for value in self.colours if value not in (0, VOID))


LabelledMask = tuple[MaskSummary, frozenset[int]]  # with the 0-based classes of its image


def summarize_mask(path: Path, num_classes: int) -> MaskSummary:
    """Raises DataError as `read_mask` does, and if every pixel is void."""
    mask, colours = read_coloured_mask(path, num_classes)
    if colours.keys() == {VOID}:
        raise DataError(f"{path}: every pixel is {VOID} (void), so it scores nothing; background is 0")
    return MaskSummary(path, mask.shape[::-1], colours)


def require_equal_sizes(mask: Path, mask_size: tuple[int, int], picture: Path, picture_size: tuple[int, int]) -> None:
    """Raises DataError if the (width, height) of a mask differs from the size of its image."""
    if mask_size != picture_size:
        is_, other = (f"is {width} x {height} px" for width, height in (mask_size, picture_size))
        hint = "; it must be turned as its image is read" if mask_size == picture_size[::-1] else ""
        raise DataError(f"{mask}: {is_}, but {picture.name} {other}{hint}")


def log_unturned(where: Path, pictures: Sequence[Path]) -> None:
    """Logs one line if the EXIF orientation of some images of a published data set is not applied."""
    if pictures:
        about = "have an EXIF orientation that is not applied, because masks and boxes fit the stored pixels"
        log.warning("%s: %d images, such as %s, %s", where, len(pictures), pictures[0].name, about)


def mask_set_problems(masks: Sequence[LabelledMask], class_names: Sequence[str], where: Path) -> list[str]:
    """The faults of all masks in the folder `where` together.

    Masks without background are only logged, and a few masks that differ from their labels.
    """
    if masks and not any(0 in mask.colours for mask, _ in masks):
        log.warning("%s: no mask contains 0, the value of the background, so no score of the background is possible", where)
    return [
        *_absent_classes(masks, class_names, where),
        *_differing_masks(masks, where),
        *_changing_colours([mask for mask, _ in masks]),
    ]


def _absent_classes(masks: Sequence[LabelledMask], class_names: Sequence[str], where: Path) -> list[str]:
    """A line for each class of the labels that no mask shows."""
    shown = set(chain.from_iterable(mask.classes for mask, _ in masks))
    values = ", ".join(map(str, sorted(set(chain.from_iterable(mask.colours for mask, _ in masks)))))
    number_of = Counter(chain.from_iterable(classes for _, classes in masks))
    return [
        f"{where}: {number_of[index]} images with a mask are labelled {class_names[index]!r}, but no mask contains its value"
        f" {index + 1}; all masks together contain {values} (0 is background, {VOID} is void, and each class has its own value)"
        for index in sorted(number_of.keys() - shown)
    ]


def _changing_colours(masks: Sequence[MaskSummary]) -> list[str]:
    """A line for each value that has one colour in a mask and another colour in another mask."""
    first: dict[int, tuple[Colour, Path]] = {}
    problems = {}
    for mask in masks:
        for value, colour in mask.colours.items():
            known, path = first.setdefault(value, (colour, mask.path)) if colour else (colour, mask.path)
            if colour != known and value not in problems:
                problems[value] = (
                    f"{mask.path}: value {value} has the colour {colour}, but {known} in {path.name}, so it may stand for"
                    " another class; save all masks with one palette, or in grey"
                )
    return list(problems.values())


def _differing_masks(masks: Sequence[LabelledMask], where: Path) -> list[str]:
    """A line if most masks show a class that their label lacks. Fewer are only logged, and masks without a labelled class."""
    other = [mask for mask, label in masks if not mask.classes <= label]
    without = [mask for mask, label in masks if label and not mask.classes & label]
    for relation, found in (("show a class that is not in", other), ("show no class of", without)):
        if found:
            about = f"{relation} the label of their image, such as {found[0].path.name}"
            log.warning("%s: %d of %d masks %s", where, len(found), len(masks), about)
    if 2 * len(other) <= len(masks):
        return []
    return [
        f"{where}: {len(other)} of {len(masks)} masks show a class that is not in the label of their image, such as"
        f" {other[0].path.name}; their values seem to mean other classes, or objects"
    ]
