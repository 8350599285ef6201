"""The objects of MiniVOC: a body that several classes share, with a small part on it that shows the class.

Bodies and parts are colour glyphs of OpenMoji. Colours are random, and so is which of its family's bodies an object has. So the
body narrows the class down to the classes of the family, and the part alone decides between these. It is the discriminative
part of the paper (Section 1), with a size and a place that the settings choose.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image, ImageOps

from ribstudy.datasets.minivoc_drawing import draw_glyph, recolour
from ribstudy.datasets.settings import MiniVocSettings

# The glyphs that show a class. Class names and their order are VOC's. Each object gets a random one.
PARTS: dict[str, tuple[str, ...]] = {
    "aeroplane": ("✈", "🛩"),
    "bird": ("🐦", "🐤"),
    "bus": ("🚌", "🚎"),
    "car": ("🚗", "🚙"),
    "cat": ("🐱", "😺"),
    "cow": ("🐮", "🐄"),
    "dog": ("🐶", "🐕"),
    "horse": ("🐴", "🐎"),
    "motorbike": ("🏍", "🛵"),
    "person": ("🧑", "🧍"),
    "sheep": ("🐑", "🐏"),
    "train": ("🚂", "🚅"),
}
CLASS_NAMES: tuple[str, ...] = tuple(PARTS)

# Families of classes, and the bodies that all classes of a family share.
FAMILIES: dict[tuple[str, ...], tuple[str, ...]] = {
    ("cat", "cow", "dog", "horse"): ("👕", "👗", "🧥", "👖"),
    ("bus", "car", "motorbike", "train"): ("🎒", "🧳", "📦", "🏺"),
    ("aeroplane", "bird", "person", "sheep"): ("☂", "🛡", "🔔", "⛺"),
}
BODIES: dict[str, tuple[str, ...]] = {name: bodies for family, bodies in FAMILIES.items() for name in family}

RIM = 20  # width of the white rim around a part, at the size at which glyphs are drawn
MIN_DEPTH = 0.4  # of the centre of a part anywhere: its distance to the outline of the body, as a share of the largest distance


@dataclass(frozen=True)
class Drawing:
    """A drawn object: `picture` RGBA, and `part`, the opacity of its discriminative part, L of the same size."""

    picture: Image.Image
    part: Image.Image

    def mirrored(self) -> "Drawing":
        flip = Image.Transpose.FLIP_LEFT_RIGHT
        return Drawing(self.picture.transpose(flip), self.part.transpose(flip))

    def rotated(self, degrees: float) -> "Drawing":
        """Rotated anticlockwise, and cropped to its pixels."""
        turned = [image.rotate(degrees, Image.Resampling.BICUBIC, expand=True) for image in (self.picture, self.part)]
        box = turned[0].getchannel("A").getbbox()
        return Drawing(*(image.crop(box) for image in turned))


@cache
def draw_sticker(emoji: str) -> Image.Image:
    """The glyph with a white rim, RGBA, so that it stands out from any body."""
    glyph = ImageOps.expand(draw_glyph(emoji), RIM, fill=(255, 255, 255, 0))
    distance = _distances(np.asarray(glyph.getchannel("A")) <= 127)
    rim = Image.new("RGBA", glyph.size, "white")
    rim.putalpha(Image.fromarray(np.uint8(255 * np.clip(RIM - distance, 0, 1))))
    rim.alpha_composite(glyph)
    return rim


@cache
def _depths(emoji: str) -> np.ndarray:
    """The distance of each pixel of a body to its outline, as a share of the largest distance, float32 [H, W]."""
    inside = np.asarray(draw_glyph(emoji).getchannel("A")) > 127
    depths = _distances(np.pad(inside, 1))[1:-1, 1:-1]
    return (depths / depths.max()).astype(np.float32)


def _distances(inside: np.ndarray) -> np.ndarray:
    """The distance of each pixel to the nearest pixel that is not `inside`."""
    from scipy import ndimage  # here, because a command that draws nothing should not wait for the import

    return ndimage.distance_transform_edt(inside)


def draw_object(rng: np.random.Generator, settings: MiniVocSettings, class_index: int, *, side: float) -> Drawing:
    """An object in random colours; the longer side of its body has `side` pixels.

    The random numbers that are drawn do not depend on the size and place of the part. So images with other parts are otherwise
    the same, as far as their objects fit into them in the same way.
    """
    name = CLASS_NAMES[class_index]
    emoji, part = (glyphs[rng.integers(len(glyphs))] for glyphs in (BODIES[name], PARTS[name]))
    body = recolour(rng, _resized(draw_glyph(emoji), side / max(draw_glyph(emoji).size)))
    glyph = draw_sticker(part)
    scale = np.sqrt(settings.part_share * _num_pixels(body) / _num_pixels(glyph))
    sticker = recolour(rng, _resized(glyph, float(scale)))
    return _stuck_on(body, sticker, _place(rng, emoji, settings))


def _resized(glyph: Image.Image, scale: float) -> Image.Image:
    return glyph.resize([max(1, round(length * scale)) for length in glyph.size], Image.Resampling.BOX)


def _num_pixels(glyph: Image.Image) -> int:
    return int((np.asarray(glyph.getchannel("A")) > 127).sum())


def _place(rng: np.random.Generator, emoji: str, settings: MiniVocSettings) -> tuple[float, float]:
    """The centre of the part, as shares (x, y) of the body's width and height."""
    depths = _depths(emoji)
    deep = np.flatnonzero(depths >= MIN_DEPTH)
    drawn = int(deep[rng.integers(len(deep))])
    row, column = np.unravel_index(drawn if settings.part_place == "anywhere" else depths.argmax(), depths.shape)
    return (column + 0.5) / depths.shape[1], (row + 0.5) / depths.shape[0]


def _stuck_on(body: Image.Image, sticker: Image.Image, centre: tuple[float, float]) -> Drawing:
    """The body with the sticker on it, on a canvas that contains both."""
    corner = [round(share * length - own / 2) for share, length, own in zip(centre, body.size, sticker.size, strict=True)]
    offset = [max(0, -first) for first in corner]
    size = [
        first + max(length, start + own)
        for length, first, start, own in zip(body.size, offset, corner, sticker.size, strict=True)
    ]
    place = tuple(first + start for first, start in zip(offset, corner, strict=True))
    picture, part = Image.new("RGBA", tuple(size)), Image.new("L", tuple(size))
    picture.paste(body, tuple(offset))
    picture.alpha_composite(sticker, place)
    part.paste(sticker.getchannel("A"), place)
    return Drawing(picture, part)
