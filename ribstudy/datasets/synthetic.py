"""Drawn stand-ins for VOC 2012 and COCO 2014, of any size, in their formats: for tests, and to time a run of full size.

Objects are lobed shapes, striped in the colours of their class, on coloured noise. Sizes of pictures and files, and the numbers
of classes and objects in an image, are near those of the real data; what the pictures show is not. Image i of a split depends
on (seed, split, i) alone: a larger set begins with the images of a smaller one. Bytes are the same on every run, as long as
the JPEG library is.

The layout of the objects leaves the centre of each one visible: every object that is annotated shows in the picture and, but
for the crowds of COCO, in the mask.
"""

import colorsys
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from PIL import Image, ImageDraw

from ribstudy.datasets.base import VOID, map_in_order, new_folder, write_mask
from ribstudy.datasets.coco14 import COCO_CLASSES
from ribstudy.datasets.voc12 import FOLDERS, VOC_CLASSES

Sizes = Mapping[tuple[int, int], float]  # (width, height) -> odds


@dataclass(frozen=True)
class Style:
    """What the images of a data set have in common.

    class_odds: of 1, 2, ... classes in an image; more_objects: mean number of objects of a class beyond its first;
    empty_every, crowd_every: one image in so many has no object, or one crowd more; 0: none has.
    """

    num_classes: int
    class_odds: tuple[float, ...]
    more_objects: float
    empty_every: int = 0
    crowd_every: int = 0


# Classes in an image: the labels of the reference code for train_aug (10,582 images, on average 1.555). Objects: 2.4 an image.
VOC_STYLE = Style(len(VOC_CLASSES), tuple(np.array([6249, 3104, 969, 210, 46, 4]) / 10582), more_objects=0.55)
# On average 2.9 classes and 7.3 objects an image; 702 of the 82,783 images of train have no annotation. Crowds: ours.
COCO_STYLE = Style(
    len(COCO_CLASSES),
    (0.25, 0.26, 0.19, 0.12, 0.08, 0.05, 0.03, 0.02),
    more_objects=1.5,
    empty_every=118,
    crowd_every=12,
)
# The frequent sizes of the real pictures; odds are ours.
VOC_SIZES: Sizes = {(500, 375): 60, (375, 500): 16, (500, 333): 14, (333, 500): 6, (500, 281): 2, (400, 300): 2}
COCO_SIZES: Sizes = {(640, 480): 36, (640, 427): 34, (480, 640): 13, (427, 640): 8, (500, 375): 5, (640, 640): 4}

SPLIT_IDS = {"train": 0, "val": 1, "test": 2}
VOC_YEARS = {"train": 2008, "val": 2007, "test": 2009}  # of the images' names
MIN_CELL = 40  # px; an image holds no more objects than cells of this side
CORNERS = 28  # of an outline
TWO_PARTS_ODDS = 0.1  # of an object that is seen in two parts
CROWD_PARTS = 8
VOID_WIDTH = 5  # px, of the border that the masks of VOC draw along every outline
UNUSED_COCO_IDS = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)  # numbers up to 90 that are no category
COCO_IDS = tuple(number for number in range(1, 91) if number not in UNUSED_COCO_IDS)

JPEG_QUALITY = 90
GRAIN = 22  # grey levels up and down; with it the files are as large as those of photographs


@dataclass(frozen=True)
class Thing:
    """An object: its class from 0, and the polygons [P, 2] (x, y) that it fills, clipped to the image."""

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


def write_voc(
    root: Path,
    *,
    num_train: int,
    num_train_aug: int,
    num_val: int,
    num_test: int = 0,
    seed: int = 0,
    sizes: Sizes = VOC_SIZES,
    processes: int = 1,
) -> None:
    """Writes a VOC devkit; train_aug begins with the images of train, which alone of it have masks, as in VOC 2012.

    The images of test have neither annotation nor mask; without any there is no list of it.

    Raises DataError where `root` holds something already; ValueError for numbers that do not fit.
    """
    _check_numbers(num_train=num_train, num_train_aug=num_train_aug, num_val=num_val)
    if num_train > num_train_aug:
        raise ValueError(f"num_train = {num_train}: train is a part of train_aug, which has {num_train_aug} images")
    if num_test < 0:
        raise ValueError(f"num_test = {num_test}: pass a number of images, or 0 for no split test")
    items = [("train", index, index < num_train) for index in range(num_train_aug)]
    items += [("val", index, True) for index in range(num_val)]
    items += [("test", index, False) for index in range(num_test)]
    with new_folder(root) as folder:
        for part in FOLDERS:
            (folder / part).mkdir(parents=True)
        work = partial(_write_voc_image, folder=folder, seed=seed, sizes=sizes)
        names = list(map_in_order(work, items, processes=processes, description="VOC"))
        of_train_aug, held_out = names[:num_train_aug], names[num_train_aug:]
        lists = {"train": names[:num_train], "train_aug": of_train_aug, "val": held_out[:num_val]}
        if num_test:
            lists["test"] = held_out[num_val:]
        for split, own in lists.items():
            (folder / "ImageSets" / "Segmentation" / f"{split}.txt").write_text("".join(f"{name}\n" for name in own))


def write_coco(
    root: Path, *, num_train: int, num_val: int, seed: int = 0, sizes: Sizes = COCO_SIZES, processes: int = 1
) -> None:
    """Writes train2014, val2014 and annotations/instances_{train,val}2014.json.

    One image in 118 has no annotation (the second of a split is the first), one in 12 has a crowd.

    Raises DataError where `root` holds something already; ValueError for numbers that do not fit.
    """
    _check_numbers(num_train=num_train, num_val=num_val)
    with new_folder(root) as folder:
        (folder / "annotations").mkdir()
        for split, number in (("train", num_train), ("val", num_val)):
            (folder / f"{split}2014").mkdir()
            work = partial(_write_coco_image, folder=folder, split=split, seed=seed, sizes=sizes)
            entries = list(map_in_order(work, range(number), processes=processes, description=f"COCO {split}2014"))
            _write_instances(folder / "annotations" / f"instances_{split}2014.json", entries)


def _check_numbers(**numbers: int) -> None:
    for name, number in numbers.items():
        if number < 1:
            raise ValueError(f"{name} = {number}: at least 1 image is needed")


# --- what is drawn ------------------------------------------------------------------------------------------------------


def draw_scene(style: Style, split: str, index: int, *, seed: int, sizes: Sizes) -> Scene:
    """Image `index` of the set "train" (of VOC: train_aug, which begins with train), "val" or "test"."""
    rng = np.random.default_rng([seed, SPLIT_IDS[split], index])
    size = tuple(sizes)[draw_place(rng, tuple(sizes.values()))]
    things = _draw_things(rng, style, index, size)
    picture = _draw_background(rng, size)
    for thing in things:
        _paint(rng, picture, thing)
    grain = rng.integers(-GRAIN, GRAIN + 1, picture.shape[:2], dtype=np.int16)
    return Scene(np.clip(picture + grain[..., None], 0, 255).astype(np.uint8), things)


def draw_place(rng: np.random.Generator, odds: Sequence[float]) -> int:
    """A place in `odds`, which need not add up to 1."""
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
    """The class of each object: once each class of the image, `first` before all, then those that have several objects."""
    number = 1 + draw_place(rng, style.class_odds)
    others = [index for index in rng.permutation(style.num_classes).tolist() if index != first]
    classes = [first, *others[: number - 1]]
    return classes + np.repeat(classes, rng.poisson(style.more_objects, number)).tolist()


def _cells(rng: np.random.Generator, number: int, size: tuple[int, int]) -> list[tuple[np.ndarray, float]]:
    """Centre (x, y) and radius of at most `number` objects: one in each cell of a grid, the next centres out of its reach."""
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
    """A shape with as many lobes as its class has, turned and flattened by chance; [CORNERS, 2], none farther than `radius`."""
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
    """Fills the object in `picture` with the stripes of its class, from a random place on and in a random light."""
    colours, (step_x, step_y) = stripes(thing.class_index)
    left, top, right, bottom = (int(side) for side in thing.box)
    rows, columns = np.nonzero(fill(thing, picture.shape[1::-1])[top : bottom + 1, left : right + 1])
    phases = (columns * step_x + rows * step_y + int(rng.integers(2**16))) >> 8 & 255
    picture[top : bottom + 1, left : right + 1][rows, columns] = (colours * rng.uniform(0.75, 1.1)).astype(np.int16)[phases]


@cache
def stripes(class_index: int) -> tuple[np.ndarray, tuple[int, int]]:
    """The colours along one period, [256, 3], and the steps in x and y in 1/256 of one. No two classes have the same."""
    hue = class_index * 0.61803 % 1  # the golden ratio keeps neighbours apart
    bright, dark = (np.array(colorsys.hsv_to_rgb(hue, 0.75, value)) * 255 for value in (0.95, 0.4))
    wave = (1 + np.sin(np.linspace(0, 2 * np.pi, 256)))[:, None] / 2
    angle, period = class_index * 0.38197 * np.pi, 8 + 6 * (class_index % 4)
    return bright * wave + dark * (1 - wave), (round(2**16 * np.cos(angle) / period), round(2**16 * np.sin(angle) / period))


def fill(thing: Thing, size: tuple[int, int]) -> np.ndarray:
    """The pixels of the object, whether later ones hide them or not; bool [H, W]."""
    canvas = Image.new("L", size)
    for polygon in thing.polygons:
        ImageDraw.Draw(canvas).polygon(polygon.ravel().tolist(), fill=1)
    return np.asarray(canvas).view(bool)


# --- VOC ----------------------------------------------------------------------------------------------------------------


def voc_mask(scene: Scene) -> np.ndarray:
    """uint8 [H, W]: 0 background, 1..C classes, 255 along every outline."""
    canvas = Image.new("L", scene.size)
    draw = ImageDraw.Draw(canvas)
    for thing in scene.things:
        for polygon in thing.polygons:
            draw.polygon(polygon.ravel().tolist(), fill=thing.class_index + 1)
            draw.line([*polygon.ravel().tolist(), *polygon[0].tolist()], fill=VOID, width=VOID_WIDTH, joint="curve")
    return np.asarray(canvas)


def _write_voc_image(item: tuple[str, int, bool], *, folder: Path, seed: int, sizes: Sizes) -> str:
    """item: split, index, and whether the mask is written. The image's name; test has no annotation."""
    split, index, has_mask = item
    scene = draw_scene(VOC_STYLE, split, index, seed=seed, sizes=sizes)
    name = f"{VOC_YEARS[split]}_{index:06d}"
    Image.fromarray(scene.picture).save(folder / "JPEGImages" / f"{name}.jpg", quality=JPEG_QUALITY)
    if has_mask:
        write_mask(folder / "SegmentationClass" / f"{name}.png", voc_mask(scene))
    if split != "test":
        tree = _annotation(name, scene)
        ElementTree.indent(tree)
        tree.write(folder / "Annotations" / f"{name}.xml", encoding="utf-8")
    return name


def _annotation(name: str, scene: Scene) -> ElementTree.ElementTree:
    """VOC's XML; a box holds the whole object, counted from 1 with both ends included, as VOC counts."""
    annotation = ElementTree.Element("annotation")
    _add(annotation, folder="VOC2012", filename=f"{name}.jpg")
    _add(ElementTree.SubElement(annotation, "source"), database="synthetic")
    _add(ElementTree.SubElement(annotation, "size"), width=scene.size[0], height=scene.size[1], depth=3)
    for thing in scene.things:
        node = ElementTree.SubElement(annotation, "object")
        _add(node, name=VOC_CLASSES[thing.class_index], truncated=0, occluded=0, difficult=0)
        left, top, right, bottom = thing.box
        box = {"xmin": int(left) + 1, "ymin": int(top) + 1, "xmax": int(np.ceil(right)), "ymax": int(np.ceil(bottom))}
        _add(ElementTree.SubElement(node, "bndbox"), **box)
    return ElementTree.ElementTree(annotation)


def _add(parent: ElementTree.Element, **values: object) -> None:
    for tag, value in values.items():
        ElementTree.SubElement(parent, tag).text = str(value)


# --- COCO ---------------------------------------------------------------------------------------------------------------


def _write_coco_image(index: int, *, folder: Path, split: str, seed: int, sizes: Sizes) -> tuple[str, list[str]]:
    """The entries of the image and of its annotations, as JSON."""
    scene = draw_scene(COCO_STYLE, split, index, seed=seed, sizes=sizes)
    image_id = 2 * index + 1 + SPLIT_IDS[split]  # as in COCO 2014, no image of train and val has the same
    file_name = f"COCO_{split}2014_{image_id:012d}.jpg"
    Image.fromarray(scene.picture).save(folder / f"{split}2014" / file_name, quality=JPEG_QUALITY)
    image = {"id": image_id, "file_name": file_name, "width": scene.size[0], "height": scene.size[1]}
    annotations = [
        {"id": 1000 * image_id + place, "image_id": image_id, **_instance(thing, scene.size)}
        for place, thing in enumerate(scene.things)
    ]
    return json.dumps(image), [json.dumps(annotation) for annotation in annotations]


def _instance(thing: Thing, size: tuple[int, int]) -> dict:
    """An object as COCO annotates it: a crowd by the run lengths of its pixels, any other by its polygons."""
    left, top, right, bottom = thing.box
    pixels = fill(thing, size)
    return {
        "category_id": COCO_IDS[thing.class_index],
        "iscrowd": int(thing.is_crowd),
        "segmentation": run_lengths(pixels) if thing.is_crowd else [polygon.ravel().tolist() for polygon in thing.polygons],
        "area": int(pixels.sum()),
        "bbox": [left, top, round(right - left, 2), round(bottom - top, 2)],
    }


def run_lengths(pixels: np.ndarray) -> dict[str, list[int]]:
    """COCO's code for a region, bool [H, W]: the lengths of the runs of 0, 1, 0, ... down the columns, one after the other."""
    changes = np.flatnonzero(np.diff(pixels.ravel(order="F"), prepend=False, append=~pixels[-1, -1]))
    return {"counts": np.diff(changes, prepend=0).tolist(), "size": list(pixels.shape)}


def _write_instances(path: Path, entries: Sequence[tuple[str, list[str]]]) -> None:
    categories = [{"id": number, "name": name} for number, name in zip(COCO_IDS, COCO_CLASSES, strict=True)]
    images = ",\n".join(image for image, _ in entries)
    annotations = ",\n".join(annotation for _, own in entries for annotation in own)
    head = f'{{"info": {{"description": "synthetic"}},\n"categories": {json.dumps(categories)},\n'
    path.write_text(f'{head}"images": [\n{images}\n],\n"annotations": [\n{annotations}\n]}}\n')
