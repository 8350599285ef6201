"""The images of the synthetic data sets: striped, lobed shapes on coloured noise.

The layout of the objects leaves the centre of each one visible. So every annotated object is visible in the image and, unless
it is a crowd of COCO, in the mask.
"""

import colorsys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image, ImageDraw

from ribstudy.datasets.coco_annotations import COCO_CLASSES
from ribstudy.datasets.voc12 import VOC_CLASSES

Sizes = Mapping[tuple[int, int], float]  # (width, height) of an image -> odds


@dataclass(frozen=True)
class Style:
    """Statistics of the images of a data set.

    class_odds: odds of 1, 2, ... classes in an image; more_objects: mean number of objects of a class after its first one;
    empty_every, crowd_every: one image in this many has no object, or an additional crowd; 0 means none.
    """

    num_classes: int
    class_odds: tuple[float, ...]
    more_objects: float
    empty_every: int = 0
    crowd_every: int = 0


# Classes per image: the labels of the reference code for train_aug (10,582 images, 1.555 on average). Objects per image: 2.4.
VOC_STYLE = Style(len(VOC_CLASSES), tuple(np.array([6249, 3104, 969, 210, 46, 4]) / 10582), more_objects=0.55)
# On average 2.9 classes and 7.3 objects per image; 702 of the 82,783 images of train have no annotation. Crowds: our choice.
COCO_STYLE = Style(
    len(COCO_CLASSES), (0.25, 0.26, 0.19, 0.12, 0.08, 0.05, 0.03, 0.02), more_objects=1.5, empty_every=118, crowd_every=12
)
# The frequent sizes of the real images; the odds are our choice.
VOC_SIZES: Sizes = {(500, 375): 60, (375, 500): 16, (500, 333): 14, (333, 500): 6, (500, 281): 2, (400, 300): 2}
COCO_SIZES: Sizes = {(640, 480): 36, (640, 427): 34, (480, 640): 13, (427, 640): 8, (500, 375): 5, (640, 640): 4}

SPLIT_IDS = {"train": 0, "val": 1, "test": 2}
MIN_CELL = 40  # px; an image contains at most as many objects as cells of this side
CORNERS = 28  # corners of an outline
TWO_PARTS_ODDS = 0.1  # that an object consists of two parts
CROWD_PARTS = 8
GRAIN = 22  # grey levels up and down; they make the files as large as photographs


@dataclass(frozen=True)
class Thing:
    """An object: its class index from 0, and the polygons [P, 2] (x, y) that it fills, clipped to the image."""

    class_index: int
    polygons: tuple[np.ndarray, ...]
    is_crowd: bool = False

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom."""
        points = np.concatenate(self.polygons)
        return (*points.min(axis=0).tolist(), *points.max(axis=0).tolist())


@dataclass(frozen=True)
class Scene:
    """One drawn image: `picture` uint8 [H, W, 3], and its objects, a later one painted over an earlier one."""

    picture: np.ndarray
    things: tuple[Thing, ...]

    @property
    def size(self) -> tuple[int, int]:
        """(width, height)."""
        return self.picture.shape[1], self.picture.shape[0]


def draw_scene(style: Style, split: str, index: int, *, seed: int, sizes: Sizes) -> Scene:
    """Image `index` of the set "train" (in VOC: train_aug, which begins with train), "val" or "test"."""
    rng = np.random.default_rng([seed, SPLIT_IDS[split], index])
    size = tuple(sizes)[draw_place(rng, tuple(sizes.values()))]
    things = _draw_things(rng, style, index, size)
    picture = _draw_background(rng, size)
    for thing in things:
        _paint(rng, picture, thing)
    grain = rng.integers(-GRAIN, GRAIN + 1, picture.shape[:2], dtype=np.int16)
    return Scene(np.clip(picture + grain[..., None], 0, 255).astype(np.uint8), things)


def draw_place(rng: np.random.Generator, odds: Sequence[float]) -> int:
    """A random index into `odds`, which need not add up to 1."""
    return int(np.searchsorted(np.cumsum(odds), rng.random() * sum(odds), side="right"))


def _draw_things(rng: np.random.Generator, style: Style, index: int, size: tuple[int, int]) -> tuple[Thing, ...]:
    if style.empty_every and index % style.empty_every == 1:
        return ()
    classes = draw_classes(rng, style, first=index % style.num_classes)
    num_crowds = int(style.crowd_every > 0 and index % style.crowd_every == 2)
    cells = _cells(rng, len(classes) + num_crowds, size)
    num_crowds = min(num_crowds, len(cells) - 1)
    things = [_draw_thing(rng, classes[0], cells[place], size, is_crowd=True) for place in range(num_crowds)]
    return (*things, *(_draw_thing(rng, *item, size) for item in zip(classes, cells[num_crowds:], strict=False)))


def draw_classes(rng: np.random.Generator, style: Style, *, first: int) -> list[int]:
    """The class of each object: first every class of the image once, starting with `first`, then the additional objects."""
    number = 1 + draw_place(rng, style.class_odds)
    others = [index for index in rng.permutation(style.num_classes).tolist() if index != first]
    classes = [first, *others[: number - 1]]
    return classes + np.repeat(classes, rng.poisson(style.more_objects, number)).tolist()


def _cells(rng: np.random.Generator, number: int, size: tuple[int, int]) -> list[tuple[np.ndarray, float]]:
    """Centre (x, y) and radius of at most `number` objects, one per grid cell, so that no object reaches another centre."""
    width, height = size
    columns = min(max(1, round((number * width / height) ** 0.5)), max(1, width // MIN_CELL))
    rows = min(-(-number // columns), max(1, height // MIN_CELL))
    cell = np.array([width / columns, height / rows])
    places = rng.permutation(columns * rows)[:number]
    # Two centres are at least 0.84 cells apart, and an outline reaches 0.7.
    centres = (np.stack([places % columns, places // columns], axis=1) + rng.uniform(0.42, 0.58, (len(places), 2))) * cell
    return list(zip(centres, rng.uniform(0.35, 0.7, len(places)) * cell.min(), strict=True))


def _draw_thing(
    rng: np.random.Generator, class_index: int, cell: tuple[np.ndarray, float], size: tuple[int, int], *, is_crowd: bool = False
) -> Thing:
    centre, radius = cell
    if is_crowd:
        centres = centre + radius * rng.uniform(-0.6, 0.6, (CROWD_PARTS, 2))
        radii = np.full(CROWD_PARTS, 0.4 * radius)
    elif radius > MIN_CELL / 2 and rng.random() < TWO_PARTS_ODDS:
        centres, radii = np.stack([centre, centre + 0.5 * radius]), np.array([0.45, 0.35]) * radius
    else:
        centres, radii = centre[None], np.array([radius])
    outlines = (_outline(rng, class_index, *part) for part in zip(centres, radii, strict=True))
    return Thing(class_index, tuple(np.clip(outline, 0, size).round(2) for outline in outlines), is_crowd)


def _outline(rng: np.random.Generator, class_index: int, centre: np.ndarray, radius: float) -> np.ndarray:
    """A randomly rotated and flattened shape within `radius`, [CORNERS, 2]. The class determines the number of lobes."""
    angles = np.linspace(0, 2 * np.pi, CORNERS, endpoint=False)
    depth = rng.uniform(0.1, 0.3)
    reach = radius * (1 + depth * np.cos((2 + class_index % 5) * angles)) / (1 + depth)
    angles = angles + rng.uniform(0, 2 * np.pi)
    flat = np.array([1, rng.uniform(0.65, 1)])
    return centre + (reach * np.stack([np.cos(angles), np.sin(angles)])).T * flat


def _draw_background(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Soft coloured noise on three scales, int16 [H, W, 3], paler than the objects."""
    small = (size[0] // 5 + 1, size[1] // 5 + 1)
    picture = Image.new("RGB", small, (128, 128, 128))
    for cell, share in ((20, 0.5), (5, 0.35), (1, 0.3)):
        pixels = rng.integers(0, 256, (small[1] // cell + 1, small[0] // cell + 1, 3), dtype=np.uint8)
        picture = Image.blend(picture, Image.fromarray(pixels).resize(small, Image.Resampling.BILINEAR), share)
    return np.asarray(picture.resize(size, Image.Resampling.BILINEAR)).astype(np.int16)


def _paint(rng: np.random.Generator, picture: np.ndarray, thing: Thing) -> None:
    """Fills the object in `picture` with the stripes of its class, with a random phase and brightness."""
    colours, (step_x, step_y) = stripes(thing.class_index)
    left, top, right, bottom = (int(side) for side in thing.box)
    rows, columns = np.nonzero(fill(thing, picture.shape[1::-1])[top : bottom + 1, left : right + 1])
    phases = (columns * step_x + rows * step_y + int(rng.integers(2**16))) >> 8 & 255
    picture[top : bottom + 1, left : right + 1][rows, columns] = (colours * rng.uniform(0.75, 1.1)).astype(np.int16)[phases]


@cache
def stripes(class_index: int) -> tuple[np.ndarray, tuple[int, int]]:
    """The colours along one period, [256, 3], and the steps in x and y in 1/256 of a period, unique to each class."""
    hue = class_index * 0.61803 % 1  # the golden ratio gives neighbours different hues
    bright, dark = (np.array(colorsys.hsv_to_rgb(hue, 0.75, value)) * 255 for value in (0.95, 0.4))
    wave = (1 + np.sin(np.linspace(0, 2 * np.pi, 256)))[:, None] / 2
    angle, period = class_index * 0.38197 * np.pi, 8 + 6 * (class_index % 4)
    return bright * wave + dark * (1 - wave), (round(2**16 * np.cos(angle) / period), round(2**16 * np.sin(angle) / period))


def fill(thing: Thing, size: tuple[int, int]) -> np.ndarray:
    """The pixels of the object, including pixels hidden by later objects, bool [H, W]."""
    canvas = Image.new("L", size)
    for polygon in thing.polygons:
        ImageDraw.Draw(canvas).polygon(polygon.ravel().tolist(), fill=1)
    return np.asarray(canvas).view(bool)
