"""Image files and masks: the only place that decodes them, and that writes masks.

`read_picture` accepts the image files that users bring, in several formats. `read_jpeg` is for the published data sets, whose
images are JPEGs. A mask is a PNG of class indices: 0 background, 1..C classes, `VOID` for pixels that no score counts.
"""

import contextlib
import io
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from ribstudy.datasets.base import DataError, read_bytes

Colour = tuple[int, int, int]

VOID = 255  # the value of void pixels in a mask
MAX_CLASSES = VOID - 1  # that a mask has values for
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")  # of the files that `read_picture` accepts
FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF")
JPEGS = ("JPEG", "MPO")  # MPO: a JPEG of a phone, with further images after the first
TURNS = {  # by EXIF orientation
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SWAPPING = [TURNS[orientation] for orientation in (5, 6, 7, 8)]  # width and height
PNG = b"\x89PNG\r\n\x1a\n"  # the first bytes of a PNG
BIT_DEPTH = 24  # position of this byte in a PNG
TRANSPARENCY = (b"tRNS",)  # optional chunks of a PNG, by their names, or by the beginning of their text
ORIENTATION = (b"eXIf", b"Raw profile type exif", b"XML:com.adobe.xmp")
SHOWN = 5  # number of wrong values that an error lists


def _voc_palette() -> np.ndarray:
    """The colours of the VOC devkit, uint8 [256, 3].

    Bits 0, 1 and 2 of an index are the top bits of red, green and blue; bits 3, 4 and 5 are the next ones, and so on.
    """
    index = np.arange(256)
    palette = np.zeros((256, 3), np.uint8)
    for level in range(8):
        for channel in range(3):
            palette[:, channel] |= (((index >> (3 * level + channel)) & 1) << (7 - level)).astype(np.uint8)
    return palette


PALETTE = _voc_palette()


def read_picture(path: Path, *, max_side: int | None = None) -> np.ndarray:
    """Reads an image file as it appears on screen: RGB, uint8 [H, W, 3].

    The image is rotated as its EXIF orientation says, unless the EXIF data are damaged, and transparent parts become white.
    Grey values of 16 bits are divided by 257, so that 65,535 becomes 255. If a file contains several frames, the first one is
    read.

    Args:
        path: a JPEG, PNG, BMP, WebP or TIFF file; its suffix does not matter.
        max_side: if the longer side has more pixels, the image is shrunk to this many; None keeps the size.

    Raises:
        DataError: the file is missing, is not an image of these formats, is damaged, has too many pixels, or has pixels of
            32 bits, whose range is unknown.
    """
    data = read_bytes(path)
    with _opened(path, data, FORMATS) as picture:
        return _decode(picture, _turn(picture, data), max_side=max_side)


class Checked(NamedTuple):
    """An image file whose pixels can be read.

    size: (width, height) of the image as it is read; oriented: whether its EXIF orientation asks for a rotation or reflection.
    """

    size: tuple[int, int]
    oriented: bool


def picture_size(path: Path) -> tuple[int, int]:
    """(width, height) of the image that `read_picture` returns without `max_side`. Reads only the header of the file."""
    data = read_bytes(path)
    with _opened(path, data, FORMATS) as picture:
        return _turned_size(picture.size, _turn(picture, data))


def check_picture(path: Path, *, decode: bool = False) -> Checked:
    """Raises DataError for the files that `read_picture` refuses.

    Without `decode`, a JPEG is decoded at an eighth of its size, which reads all of its data.
    """
    data = read_bytes(path)
    with _opened(path, data, FORMATS) as picture:
        turn, size, oriented = _turn(picture, data), picture.size, _orientation(picture, data) is not None
        if picture.format in JPEGS and not decode:
            _read_shrunk(picture)
            return Checked(_turned_size(size, turn), oriented)
        return Checked(_decode(picture, turn, max_side=None).shape[1::-1], oriented)


def read_jpeg(path: Path) -> np.ndarray:
    """Reads a JPEG of a published data set: RGB, uint8 [H, W, 3]. It is not rotated, because its mask is not either.

    Raises DataError if the file is missing, is not a JPEG, is damaged or has too many pixels.
    """
    with _opened(path, read_bytes(path), ("JPEG",)) as picture:
        return np.asarray(picture.convert("RGB"))


def check_jpeg(path: Path, *, decode: bool = False) -> Checked:
    """Raises DataError for the files that `read_jpeg` refuses. `decode` as for `check_picture`."""
    data = read_bytes(path)
    with _opened(path, data, ("JPEG",)) as picture:
        checked = Checked(picture.size, _orientation(picture, data) is not None)
        if decode:
            picture.load()
        else:
            _read_shrunk(picture)
        return checked


def shrunk_size(size: tuple[int, int], max_side: int | None) -> tuple[int, int]:
    """The (width, height) of an image after it is shrunk to `max_side`. Images are never enlarged."""
    if max_side is None or max(size) <= max_side:
        return size
    width, height = (max(round(side * max_side / max(size)), 1) for side in size)
    return width, height


@contextlib.contextmanager
def _opened(path: Path, data: bytes, formats: Sequence[str]) -> Iterator[Image.Image]:
    """The image in the content of a file, not decoded yet. All errors of the block become DataErrors that name the file."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's warnings do not name the file
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(_essential(data, TRANSPARENCY)), formats=formats) as picture:
                yield picture
    except UnidentifiedImageError:
        known = f"readable as one of {', '.join(formats)}" if len(formats) > 1 else f"a {formats[0]}"
        raise DataError(f"{path}: is not {known}") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        limit = f"{Image.MAX_IMAGE_PIXELS / 1e6:.0f} million pixels"
        raise DataError(f"{path}: has more than {limit}; shrink the file") from None
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    except Exception as error:  # a damaged file can raise nearly anything in Pillow's decoders
        raise DataError(f"{path}: the image is not readable, it may be truncated ({error})") from None


def _read_shrunk(picture: Image.Image) -> None:
    """Decodes a JPEG at an eighth of its size. Raises an error if the file is damaged anywhere."""
    picture.draft(None, (1, 1))
    picture.load()


def _essential(data: bytes, kept: tuple[bytes, ...]) -> bytes:
    """A PNG without its optional chunks, except those that `kept` names; other data unchanged.

    Pillow refuses an image because of a damaged or very long text or colour profile, which its pixels do not need.
    """
    if not data.startswith(PNG):
        return data
    return PNG + b"".join(chunk for chunk in _chunks(data) if chunk[4:5].isupper() or _is_named(chunk, kept))


def _is_named(chunk: bytes, names: tuple[bytes, ...]) -> bool:
    return chunk.startswith(names, 4) or chunk.startswith(names, 8)


def _chunks(data: bytes) -> Iterator[bytes]:
    """The parts of a PNG: length of the content, name, content, checksum. The name of a necessary one begins with a capital."""
    start = len(PNG)
    while start < len(data):
        end = start + 12 + int.from_bytes(data[start : start + 4])
        yield data[start:end]
        start = end


def _orientation(picture: Image.Image, data: bytes) -> Image.Transpose | None:
    """The rotation or reflection that makes a stored image upright, from the EXIF data in its file; None if it needs none."""
    try:
        if picture.format != "PNG":
            return TURNS.get(picture.getexif().get(ExifTags.Base.Orientation))
        if not any(_is_named(chunk, ORIENTATION) for chunk in _chunks(data)):  # Pillow would decode the image to find out
            return None
        with Image.open(io.BytesIO(_essential(data, ORIENTATION)), formats=("PNG",)) as described:
            return TURNS.get(described.getexif().get(ExifTags.Base.Orientation))
    except Exception:  # damaged EXIF data can raise nearly anything, but the pixels may be fine
        return None


def _turn(picture: Image.Image, data: bytes) -> Image.Transpose | None:
    """As `_orientation`, but None for a TIFF, which Pillow rotates when it decodes it."""
    return None if picture.format == "TIFF" else _orientation(picture, data)


def _turned_size(size: tuple[int, int], turn: Image.Transpose | None) -> tuple[int, int]:
    return size[::-1] if turn in SWAPPING else size


def _decode(picture: Image.Image, turn: Image.Transpose | None, *, max_side: int | None) -> np.ndarray:
    size = shrunk_size(_turned_size(picture.size, turn), max_side)
    if max(size) < max(picture.size):
        picture.draft(None, (2 * max(size), 2 * max(size)))  # decodes a JPEG at the next larger scale; no effect on others
    picture = _as_rgb(picture if turn is None else picture.transpose(turn))
    return np.asarray(picture if picture.size == size else picture.resize(size, Image.Resampling.BICUBIC))


def _as_rgb(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I;16"):
        return Image.fromarray(np.uint8(np.round(np.asarray(picture) / 257))).convert("RGB")
    if picture.mode in ("I", "F"):
        raise DataError(f"its pixels have 32 bits (mode {picture.mode}) in an unknown range; save it with 8 or 16 bits")
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    picture = picture.convert("RGBA")
    white = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(white, picture).convert("RGB")


def read_mask(path: Path, num_classes: int) -> np.ndarray:
    """Reads a mask: uint8 [H, W], with the values 0 to `num_classes` and `VOID`. Raises DataError for any other file.

    They are the numbers in a grey or palette PNG of any number of bits; its colours, and transparency, do not matter. A mask
    with an EXIF orientation is refused, because its stored or its upright pixels can be meant.
    """
    return read_coloured_mask(path, num_classes)[0]


def read_coloured_mask(path: Path, num_classes: int) -> tuple[np.ndarray, dict[int, Colour | None]]:
    """As `read_mask`, with the colour in which viewers show each value of the mask; None if it is grey or has none."""
    data = read_bytes(path)
    with _opened(path, data, ("PNG",)) as picture:
        if _orientation(picture, data) is not None:
            raise DataError("has an EXIF orientation, so viewers show it turned; save it upright, without EXIF data")
        mask = _numbers(picture, bits=data[BIT_DEPTH])
        palette = np.reshape(picture.getpalette("RGB") or [], (-1, 3)).tolist()
    values = np.flatnonzero(np.bincount(mask.ravel())).tolist()
    if unknown := [value for value in values if value > num_classes and value != VOID]:
        shown = ", ".join(map(str, unknown[:SHOWN])) + (", ..." if len(unknown) > SHOWN else "")
        allowed = f"0 to {num_classes} and {VOID} are allowed for {num_classes} classes"
        raise DataError(f"{path}: contains [{shown}], but only {allowed}")
    colours = {value: tuple(palette[value]) if value < len(palette) else None for value in values}
    return mask.astype(np.uint8), colours


def _numbers(picture: Image.Image, *, bits: int) -> np.ndarray:
    """The numbers in a grey or palette PNG with `bits` bits per pixel, uint8 or uint16 [H, W]."""
    if picture.mode not in ("1", "L", "P", "I;16", "I"):
        raise DataError(f"has mode {picture.mode}, but a mask contains class indices; save it as a grey or palette PNG of them")
    numbers = np.asarray(picture)
    if picture.mode == "1":
        return numbers.astype(np.uint8)
    return numbers // (255 // (2**bits - 1)) if picture.mode == "L" else numbers  # Pillow scales grey values to 0..255


def write_jpeg(path: Path, picture: np.ndarray, quality: int) -> None:
    """Writes RGB, uint8 [H, W, 3], as a JPEG.

    Raises OSError if the disk is full. Pillow itself would end without a word, and with a truncated file, if only a part of its
    last block fits on the disk.
    """
    content = io.BytesIO()
    Image.fromarray(picture).save(content, format="JPEG", quality=quality)
    path.write_bytes(content.getbuffer())


def write_mask(path: Path | io.BytesIO, mask: np.ndarray) -> None:
    """Writes class indices, uint8 [H, W], as a palette PNG in the colours of the VOC devkit."""
    picture = Image.fromarray(mask).convert("P")
    picture.putpalette(PALETTE.tobytes())
    picture.save(path, format="PNG")
