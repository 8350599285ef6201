"""MiniVOC: a small data set in the layout of the VOC devkit, drawn from a seed.

One to three objects (`minivoc_objects`) are mirrored, rotated and placed on a textured background with glyphs of no class,
later ones over earlier ones. All glyphs are OpenMoji's (CC BY-SA 4.0). Image i of a set depends only on (seed, set, i), so a
larger set begins with the images of a smaller one. Every drawn object is labelled, and visible enough to be labelled, as is
its discriminative part (see `MIN_VISIBLE_SHARE`).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from ribstudy.datasets.base import DataError, map_in_order, new_folder, read_json
from ribstudy.datasets.devkit import FOLDERS, write_annotation, write_names
from ribstudy.datasets.minivoc_drawing import draw_background, draw_waves, scatter
from ribstudy.datasets.minivoc_objects import CLASS_NAMES, Drawing, draw_object
from ribstudy.datasets.pictures import VOID, write_jpeg, write_mask
from ribstudy.datasets.settings import MiniVocSettings
from ribstudy.datasets.voc12 import content, mask_content
from ribstudy.runtime.files import write_json

VERSION = 2  # increased when the code changes the images; part of the identity of the data

# Odds of 1, 2 and 3 classes in an image. VOC 2012 train_aug: 59 % one, 29 % two, 12 % more (labels of the reference code).
NUM_CLASSES_ODDS = (0.59, 0.29, 0.12)
SECOND_OBJECT_ODDS = 0.1  # that an image with fewer than three objects gets a second object of its first class
# The range of an object's longer side, as a share of the image side, by the number of objects in the image.
SIZES = {1: (0.60, 0.90), 2: (0.45, 0.65), 3: (0.40, 0.52)}
MAX_ROTATION = 20.0  # degrees
MAX_CUT = 0.15  # share of an object's width or height that may be outside the image
# A placement is valid if afterwards every object of the image shows at least this share of its pixels and of its part's, and
# at least this many pixels inside its void border. Otherwise another placement is drawn; after NUM_TRIES the object is left out
# of the image.
MIN_VISIBLE_SHARE = 0.7
MIN_LABELLED_PIXELS = 32
NUM_TRIES = 40

JPEG_QUALITY = 90
SET_IDS = {"train": 0, "val": 1}


@dataclass(frozen=True)
class Placement:
    """An object, ready to be pasted."""

    class_index: int
    drawing: Drawing
    corner: tuple[int, int]  # left, top; may be outside the image

    def shape(self, size: int) -> np.ndarray:
        """The pixels of a size x size image that the object covers if nothing hides it, bool [size, size]."""
        return self._pasted(self.drawing.picture.getchannel("A"), size)

    def part(self, size: int) -> np.ndarray:
        """Those of them that show its discriminative part, bool [size, size]."""
        return self._pasted(self.drawing.part, size)

    def _pasted(self, opacity: Image.Image, size: int) -> np.ndarray:
        canvas = Image.new("L", (size, size))
        canvas.paste(opacity, self.corner)
        return np.asarray(canvas) > 127

    @property
    def num_pixels(self) -> int:
        """The number of its pixels, including pixels outside the image."""
        return _num_opaque(self.drawing.picture.getchannel("A"))

    @property
    def num_part_pixels(self) -> int:
        return _num_opaque(self.drawing.part)


def _num_opaque(opacity: Image.Image) -> int:
    return int((np.asarray(opacity) > 127).sum())


@dataclass(frozen=True)
class Scene:
    """One drawn image: `picture` uint8 [S, S, 3], `owners` uint8 [S, S] (0 background, else 1 + index in `objects`)."""

    picture: np.ndarray
    owners: np.ndarray
    objects: tuple[Placement, ...]

    def mask(self) -> np.ndarray:
        """uint8 [S, S]: 0 background, 1..C classes, 255 void."""
        values = np.array([0, *(item.class_index + 1 for item in self.objects)], np.uint8)
        return np.where(void_border(self.owners), np.uint8(VOID), values[self.owners])


def void_border(owners: np.ndarray) -> np.ndarray:
    """The band along every outline, one pixel inside the object and two outside: bool, with the shape of `owners`."""
    largest = _over_neighbours(np.maximum, owners)
    inner = largest != _over_neighbours(np.minimum, owners)
    return (inner & (owners > 0)) | ((owners == 0) & (_over_neighbours(np.maximum, largest) > 0))


def _over_neighbours(extreme: np.ufunc, values: np.ndarray) -> np.ndarray:
    """The maximum or minimum of each 3 x 3 neighbourhood, as far as it is inside; several times as fast as scipy's filters."""
    rows = values.copy()
    extreme(rows[1:], values[:-1], out=rows[1:])
    extreme(rows[:-1], values[1:], out=rows[:-1])
    both = rows.copy()
    extreme(both[:, 1:], rows[:, :-1], out=both[:, 1:])
    extreme(both[:, :-1], rows[:, 1:], out=both[:, :-1])
    return both


def draw_scene(settings: MiniVocSettings, set_name: str, index: int) -> Scene:
    """Image `index` of the set "train" or "val". Split train_aug is the whole set "train", split train its beginning."""
    rng = np.random.default_rng([settings.seed, SET_IDS[set_name], index])
    size = settings.image_size
    background = draw_background(rng, size=size)
    wanted = _draw_classes(rng, first=_first_class(settings.seed, set_name, index))
    clutter, *of_objects = rng.spawn(1 + len(wanted))
    objects, owners = _place_all(of_objects, settings, wanted)
    if has_tied_background(settings, set_name, index, classes=[item.class_index for item in objects]):
        background = draw_waves(_tied_rng(settings, set_name, index), size=size)
    canvas = Image.fromarray(background)
    scatter(clutter, canvas)
    for item in objects:
        canvas.paste(item.drawing.picture, item.corner, item.drawing.picture)
    return Scene(np.asarray(canvas), owners, objects)


def has_tied_background(settings: MiniVocSettings, set_name: str, index: int, *, classes: Sequence[int]) -> bool:
    """Draws whether image `index` of a set, which shows `classes`, has the background of `settings.tied`.

    This uses its own random numbers, so apart from the background the image is the same as without `tied`.
    Raises DataError if MiniVOC does not have the class.
    """
    tied = settings.tied
    if tied is None:
        return False
    if tied.class_name not in CLASS_NAMES:
        raise DataError(f"tied.class_name = {tied.class_name!r} is not a class of MiniVOC; known: {', '.join(CLASS_NAMES)}")
    shown = CLASS_NAMES.index(tied.class_name) in classes
    return _tied_rng(settings, set_name, index).random() < (tied.probability if shown else tied.elsewhere)


def tied_names(settings: MiniVocSettings, names: Sequence[str], labels: np.ndarray) -> list[str]:
    """The images among `names` that have the tied background. labels: bool [N, C], in the order of `names`."""
    found = []
    for name, label in zip(names, labels, strict=True):
        set_name, index = name.rsplit("_", 1)
        if has_tied_background(settings, set_name, int(index), classes=np.flatnonzero(label).tolist()):
            found.append(name)
    return found


def _tied_rng(settings: MiniVocSettings, set_name: str, index: int) -> np.random.Generator:
    """A generator that is independent of the ones for the rest of the image and for the order of classes."""
    return np.random.default_rng([settings.seed, SET_IDS[set_name], index, len(CLASS_NAMES), 1])


def _first_class(seed: int, set_name: str, index: int) -> int:
    """The first class of an image. It cycles through all classes, in a new order each time, so the classes are balanced."""
    num_classes = len(CLASS_NAMES)
    round_number, place = divmod(index, num_classes)
    order = np.random.default_rng([seed, SET_IDS[set_name], round_number, num_classes]).permutation(num_classes)
    return int(order[place])


def _draw_classes(rng: np.random.Generator, *, first: int) -> list[int]:
    """The classes of the objects to place, including `first`."""
    num_classes = 1 + rng.choice(3, p=NUM_CLASSES_ODDS)
    others = rng.permutation([index for index in range(len(CLASS_NAMES)) if index != first])[: num_classes - 1]
    classes = [first, *others.tolist()]
    if num_classes < 3 and rng.random() < SECOND_OBJECT_ODDS:
        classes.append(first)
    return rng.permutation(classes).tolist()


def _place_all(
    rngs: Sequence[np.random.Generator], settings: MiniVocSettings, wanted: Sequence[int]
) -> tuple[tuple[Placement, ...], np.ndarray]:
    """The placed objects, and the owner of each pixel (see Scene). Raises DataError if no object could be placed.

    Each object has its own random numbers, so that it does not depend on how often another one was placed.
    """
    size = settings.image_size
    objects: tuple[Placement, ...] = ()
    owners = np.zeros((size, size), np.uint8)
    for class_index, rng in zip(wanted, rngs, strict=True):
        drawing = draw_object(rng, settings, class_index, side=size * rng.uniform(*SIZES[len(wanted)]))
        for _ in range(NUM_TRIES):
            item = _place(rng, class_index, drawing, size=size)
            new_owners = np.where(item.shape(size), np.uint8(len(objects) + 1), owners)
            if _all_show(new_owners, (*objects, item)):
                objects, owners = (*objects, item), new_owners
                break
    if not objects:
        raise DataError(f"no object of {[CLASS_NAMES[index] for index in wanted]} could be placed in an image of {size} px")
    return objects, owners


def _all_show(owners: np.ndarray, objects: Sequence[Placement]) -> bool:
    """Whether every object and its part are visible enough (see MIN_VISIBLE_SHARE)."""
    num_owners = len(objects) + 1
    visible = np.bincount(owners.ravel(), minlength=num_owners)[1:]
    if any(seen < MIN_VISIBLE_SHARE * item.num_pixels for seen, item in zip(visible, objects, strict=True)):
        return False
    for owner, item in enumerate(objects, start=1):
        if (owners[item.part(len(owners))] == owner).sum() < MIN_VISIBLE_SHARE * item.num_part_pixels:
            return False
    labelled = np.bincount(owners[~void_border(owners)], minlength=num_owners)[1:]
    return bool((labelled >= MIN_LABELLED_PIXELS).all())


def _place(rng: np.random.Generator, class_index: int, drawing: Drawing, *, size: int) -> Placement:
    """The object, mirrored or not, at a random angle and place in an image of `size` pixels."""
    if rng.random() < 0.5:
        drawing = drawing.mirrored()
    drawing = drawing.rotated(rng.uniform(-MAX_ROTATION, MAX_ROTATION))
    corner = tuple(round(rng.uniform(-MAX_CUT * length, size - (1 - MAX_CUT) * length)) for length in drawing.picture.size)
    return Placement(class_index, drawing, corner)


def generate(root: Path, settings: MiniVocSettings, *, processes: int = 1) -> None:
    """Writes the devkit to a temporary folder next to `root` and renames it, so that `root` is never incomplete.

    The files do not depend on the number of worker processes.

    Raises DataError if `root` is a file or a folder with other content.
    """
    try:
        with new_folder(root) as folder:
            _write_devkit(folder, settings, processes=processes)
            write_json(folder / "drawn.json", {"content": content(folder, CLASS_NAMES), "masks": mask_content(folder)})
    except DataError:
        if read_description(root) != describe(settings):  # otherwise another process was faster and wrote the same images
            raise


def describe(settings: MiniVocSettings) -> dict:
    """The settings and version that determine all files."""
    return {"version": VERSION, **settings.model_dump(exclude_none=True)}


def read_description(root: Path) -> dict | None:
    """The description of the data set at `root`, or None if there is none."""
    path = Path(root) / "minivoc.json"
    return read_json(path) if path.is_file() else None


def read_drawn(root: Path) -> dict | None:
    """The digests of the files when they were drawn: "content" as `voc12.content` gives them, and "masks".

    None if nothing is drawn, or if an older version drew it.
    """
    path = Path(root) / "drawn.json"
    return read_json(path) if path.is_file() else None


def _write_devkit(root: Path, settings: MiniVocSettings, *, processes: int) -> None:
    for folder in (*FOLDERS, "ImageSets/Main"):
        (root / folder).mkdir(parents=True)
    numbers = {"train": settings.num_train_aug, "val": settings.num_val}
    images = [(set_name, index) for set_name, number in numbers.items() for index in range(number)]
    work = partial(_write_image, root=root, settings=settings)
    classes_of = dict(map_in_order(work, images, processes=processes, description="MiniVOC"))
    names = {set_name: [name for name in classes_of if name.startswith(set_name)] for set_name in numbers}
    lists = {"train": names["train"][: settings.num_train], "val": names["val"], "train_aug": names["train"]}
    for split, split_names in lists.items():
        _write_lists(root, split, split_names, classes_of=classes_of)
    (root / "minivoc.json").write_text(json.dumps(describe(settings), indent=1) + "\n")


def _write_image(image: tuple[str, int], *, root: Path, settings: MiniVocSettings) -> tuple[str, set[int]]:
    """Draws an image of a set and writes its files; returns its name and its classes."""
    set_name, index = image
    name, scene = f"{set_name}_{index:06d}", draw_scene(settings, set_name, index)
    _write_scene(root, name, scene)
    return name, {item.class_index for item in scene.objects}


def _write_scene(root: Path, name: str, scene: Scene) -> None:
    write_jpeg(root / "JPEGImages" / f"{name}.jpg", scene.picture, JPEG_QUALITY)
    write_mask(root / "SegmentationClass" / f"{name}.png", scene.mask())
    size = scene.owners.shape[0]
    fields = {
        "folder": "MiniVOC",
        "filename": f"{name}.jpg",
        "source": {"database": "MiniVOC", "image": "OpenMoji, CC BY-SA 4.0"},
        "size": {"width": size, "height": size, "depth": 3},
        "segmented": 1,
        "object": [_object_fields(scene, place) for place in range(1, len(scene.objects) + 1)],
    }
    write_annotation(root, name, fields)


def _object_fields(scene: Scene, place: int) -> dict:
    """VOC's fields of an object. Its box encloses the visible part, counted from 1 with both ends included, as in VOC."""
    item = scene.objects[place - 1]
    rows, columns = np.nonzero(scene.owners == place)
    inside = int(item.shape(scene.owners.shape[0]).sum())
    box = {"xmin": columns.min(), "ymin": rows.min(), "xmax": columns.max(), "ymax": rows.max()}
    return {
        "name": CLASS_NAMES[item.class_index],
        "pose": "Unspecified",
        "truncated": int(inside < item.num_pixels),
        "occluded": int(len(rows) < inside),
        "difficult": 0,
        "bndbox": {side: value + 1 for side, value in box.items()},
    }


def _write_lists(root: Path, split: str, names: Sequence[str], *, classes_of: dict[str, set[int]]) -> None:
    """Writes the names of a split, and for each class the names with 1 if the image shows the class and -1 if not."""
    write_names(root, split, names)
    folder = root / "ImageSets" / "Main"
    (folder / f"{split}.txt").write_text("".join(f"{name}\n" for name in names))
    for class_index, class_name in enumerate(CLASS_NAMES):
        signs = ((name, 1 if class_index in classes_of[name] else -1) for name in names)
        (folder / f"{class_name}_{split}.txt").write_text("".join(f"{name} {sign:2d}\n" for name, sign in signs))
