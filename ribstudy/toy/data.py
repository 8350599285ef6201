"""Digits with markers: the data of the simulated experiment.

A handwritten 2 or 8 is placed at random on a black canvas. Some images also have a white marker next to the digit, a diamond
for a 2 and a square for an 8. The marker identifies the class as well as the digit does, but it is rare. In the paper's terms
(Section 3) the digit is the discriminative region, the marker the non-discriminative region, and the rest is irrelevant.

Shapes: N images of H x W pixels; a marker has S x S pixels.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from ribstudy.runtime.paths import MNIST
from ribstudy.toy.settings import ToySettings

REGIONS = ("discriminative", "non_discriminative", "irrelevant")
DIGIT_IN_TWO_OR_EIGHT = np.array([2, 8])  # the digits of labels 0 and 1
MARKER_GAP = 1  # empty pixels between a marker and the bounding box of its digit

# Numbers of a seed's random streams, so that no stream is used twice.
TRAINING, TESTING, MAPS, PROBE, SPLIT = range(5)


@dataclass(frozen=True)
class Digits:
    """MNIST digits: images [N, 28, 28] uint8, labels [N]: 0 for a 2, 1 for an 8."""

    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, index: np.ndarray) -> "Digits":
        """The digits at these indices."""
        return Digits(self.images[index], self.labels[index])


def load_digits(part: str, *, path: Path = MNIST) -> Digits:
    """All 2s and 8s of MNIST's `train` or `test` images."""
    if part not in ("train", "test"):
        raise ValueError(f"part {part!r} is unknown; known: train, test")
    with np.load(path, allow_pickle=False) as file:
        images, digits = file[f"{part}_images"], file[f"{part}_labels"]
    return Digits(images, (digits == DIGIT_IN_TWO_OR_EIGHT[1]).astype(np.int64))


def marker_shape(label: int, *, size: int) -> np.ndarray:
    """[S, S] bool: a diamond for label 0 (a 2), a filled square for label 1 (an 8)."""
    if label == 1:
        return np.ones((size, size), dtype=bool)
    offset = np.abs(np.arange(size) - (size - 1) / 2)
    return offset[:, None] + offset[None, :] <= (size - 1) / 2


@dataclass(frozen=True)
class Scenes:
    """Composed images. Digit and marker never overlap.

    Args:
        images: float32 [N, H, W] in 0..1.
        labels: [N], 0 for a 2, 1 for an 8.
        digit: bool [N, H, W], pixels of the digit that are brighter than the threshold of the settings. The faint edge of a
            stroke belongs to the rest.
        marker: bool [N, H, W].
    """

    images: np.ndarray
    labels: np.ndarray
    digit: np.ndarray
    marker: np.ndarray

    @cached_property
    def marked(self) -> np.ndarray:
        """Whether an image has a marker, bool [N]."""
        return self.marker.any(axis=(1, 2))

    @property
    def regions(self) -> dict[str, np.ndarray]:
        """The three regions, bool [N, H, W] each. Every pixel is in exactly one of them."""
        return dict(zip(REGIONS, (self.digit, self.marker, ~(self.digit | self.marker)), strict=True))


def compose(
    digits: Digits, settings: ToySettings, *, marked: np.ndarray, seed: int | list[int], marker_labels: np.ndarray | None = None
) -> Scenes:
    """Places each digit at random, with a marker next to it if `marked`.

    A position of the marker is drawn for every image, with or without a marker. So the digit's position does not reveal whether
    there is a marker, and the same seed gives the same images with other markers.

    Args:
        marked: bool [N], whether an image has a marker.
        marker_labels: [N], the class whose marker is drawn; None: the digit's class.
    """
    rng = np.random.default_rng(seed)
    side, size = settings.canvas, settings.marker_size
    images = np.zeros((len(digits), side, side), dtype=np.float32)
    marker = np.zeros(images.shape, dtype=bool)
    shapes = [marker_shape(label, size=size) for label in (0, 1)]
    marker_labels = digits.labels if marker_labels is None else marker_labels
    for n, glyph in enumerate(digits.images):
        glyph = _crop(glyph)
        (top, left), (marker_top, marker_left) = _draw_places(glyph.shape, canvas=side, size=size, rng=rng)
        images[n, top : top + glyph.shape[0], left : left + glyph.shape[1]] = glyph / np.float32(255)
        if marked[n]:
            marker[n, marker_top : marker_top + size, marker_left : marker_left + size] = shapes[marker_labels[n]]
    digit = images > settings.digit_threshold
    images[marker] = 1.0
    return Scenes(images, digits.labels, digit, marker)


def _crop(glyph: np.ndarray) -> np.ndarray:
    """The bounding box of the pixels that are not black."""
    rows, columns = np.flatnonzero(glyph.any(axis=1)), np.flatnonzero(glyph.any(axis=0))
    return glyph[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _draw_places(box: tuple[int, int], *, canvas: int, size: int, rng: np.random.Generator) -> tuple[tuple[int, ...], ...]:
    """Top left corners of a digit's box and of a marker next to it, both inside the canvas and `MARKER_GAP` pixels apart."""
    axis = int(rng.integers(2))  # the marker is above or below (0), or left or right (1)
    offset = [0, 0]  # of the marker from the digit
    offset[axis] = box[axis] + MARKER_GAP if rng.integers(2) else -MARKER_GAP - size
    offset[1 - axis] = int(rng.integers(max(box[1 - axis] - size, 0) + 1))
    corner = []
    for extent, shift in zip(box, offset, strict=True):
        first, last = min(0, shift), max(extent, shift + size)
        if last - first > canvas:
            raise ValueError(f"canvas {canvas}: a digit of {box} pixels and a marker of {size} do not fit side by side")
        corner.append(int(rng.integers(canvas - (last - first) + 1)) - first)
    return tuple(corner), tuple(c + o for c, o in zip(corner, offset, strict=True))


def choose_marked(labels: np.ndarray, *, rate: float, seed: int | list[int]) -> np.ndarray:
    """A random share `rate` of the images of each class, rounded to whole images: bool [N]."""
    rng = np.random.default_rng(seed)
    marked = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        marked[members[: round(rate * len(members))]] = True
    return marked


@dataclass(frozen=True)
class SeedData:
    """The images of one seed. Only `training` has digits from MNIST's training images.

    Args:
        training, test: with markers at the marker rate.
        maps: all with a marker.
        unmarked, other: the digits of `maps` at the same positions, without a marker and with the marker of the other class.
    """

    training: Scenes
    test: Scenes
    maps: Scenes
    unmarked: Scenes
    other: Scenes


def draw_data(settings: ToySettings, *, seed: int) -> SeedData:
    """The images of a seed."""
    test = load_digits("test")
    chosen = test.take(np.random.default_rng([seed, MAPS]).permutation(len(test))[: settings.num_map_images])
    everywhere = np.ones(len(chosen), dtype=bool)
    shared = {"settings": settings, "seed": [seed, MAPS]}
    return SeedData(
        training=some_marked(load_digits("train"), settings, rate=settings.marker_rate, seed=[seed, TRAINING]),
        test=some_marked(test, settings, rate=settings.marker_rate, seed=[seed, TESTING]),
        maps=compose(chosen, **shared, marked=everywhere),
        unmarked=compose(chosen, **shared, marked=~everywhere),
        other=compose(chosen, **shared, marked=everywhere, marker_labels=1 - chosen.labels),
    )


def some_marked(digits: Digits, settings: ToySettings, *, rate: float, seed: list[int]) -> Scenes:
    """Images of the digits, of which a share `rate` has a marker."""
    return compose(digits, settings, marked=choose_marked(digits.labels, rate=rate, seed=seed), seed=seed)
