"""Image files and masks: the only place that decodes them, and that writes masks.

`read_picture` accepts the image files that users bring, in several formats. `open_jpeg` is for the published data sets, whose
images are JPEGs. A mask is a PNG of class indices: 0 background, 1..C classes, `VOID` for pixels that no score counts.
"""

import io
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from ribstudy.datasets.base import DataError, read_bytes

Value = TypeVar("Value")

VOID = 255  # the value of void pixels in a mask
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")  # of the files that `read_picture` accepts
FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF")


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

    The image is rotated as its EXIF orientation says, and transparent parts become white. Grey values of 16 bits are divided
    by 257, so that 65,535 becomes 255. If a file contains several frames, the first one is read.

    Args:
        path: a JPEG, PNG, BMP, WebP or TIFF file; its suffix does not matter.
        max_side: if the longer side has more pixels, the image is shrunk to this many; None keeps the size.

    Raises:
        DataError: the file is missing, is not an image of these formats, is damaged, has too many pixels, or has pixels of
            32 bits, whose range is unknown.
    """
    return _decoded(path, partial(_decode, max_side=max_side))


def picture_size(path: Path) -> tuple[int, int]:
    """(width, height) of the image that `read_picture` returns without `max_side`. Reads only the header of the file."""
    return _decoded(path, _upright_size)


def shrunk_size(size: tuple[int, int], max_side: int | None) -> tuple[int, int]:
    """The (width, height) of an image after it is shrunk to `max_side`. Images are never enlarged."""
    if max_side is None or max(size) <= max_side:
        return size
    width, height = (max(round(side * max_side / max(size)), 1) for side in size)
    return width, height


def _decoded(path: Path, work: Callable[[Image.Image], Value]) -> Value:
    """work(opened image). All its errors become DataErrors that name the file."""
    data = read_bytes(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
                return work(picture)
    except UnidentifiedImageError:
        raise DataError(f"{path}: is not readable as one of {', '.join(FORMATS)}") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        limit = f"{Image.MAX_IMAGE_PIXELS / 1e6:.0f} million pixels"
        raise DataError(f"{path}: has more than {limit}; shrink the file") from None
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    except Exception as error:  # a damaged file can raise nearly anything in Pillow's decoders
        raise DataError(f"{path}: the image is not readable, it may be truncated ({error})") from None


def _upright_size(picture: Image.Image) -> tuple[int, int]:
    rotated = picture.format != "TIFF" and picture.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
    return picture.size[::-1] if rotated else picture.size  # Pillow rotates a TIFF itself


def _decode(picture: Image.Image, *, max_side: int | None) -> np.ndarray:
    size = shrunk_size(_upright_size(picture), max_side)
    if max(size) < max(picture.size):
        picture.draft(None, (2 * max(size), 2 * max(size)))  # decodes a JPEG at the next larger scale; no effect on others
    picture = _as_rgb(ImageOps.exif_transpose(picture))
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


def open_jpeg(path: Path, *, decode: bool = True) -> Image.Image:
    """Opens a JPEG; without `decode` only its header is parsed. Raises DataError if it is missing, truncated or damaged."""
    data = read_bytes(path)
    # A camera may pad a file after its end-of-image marker; the coded pixels never contain the marker.
    if b"\xff\xd9" not in data[-1024:]:
        raise DataError(f"{path}: the JPEG is truncated (its end marker is missing)")
    try:
        with Image.open(io.BytesIO(data), formats=["JPEG"]) as picture:
            if decode:
                picture.load()
            return picture
    except UnidentifiedImageError:
        raise DataError(f"{path}: is not a JPEG") from None
    except OSError as error:
        raise DataError(f"{path}: the JPEG is not readable ({error})") from None


def read_mask(path: Path, num_classes: int) -> np.ndarray:
    """Reads a mask: uint8 [H, W], with the values 0 to `num_classes` and `VOID`. Raises DataError for any other file."""
    try:
        with Image.open(io.BytesIO(read_bytes(path)), formats=["PNG"]) as picture:
            picture.load()
    except UnidentifiedImageError:
        raise DataError(f"{path}: is not a PNG") from None
    except (OSError, SyntaxError) as error:  # Pillow reports a damaged PNG chunk as SyntaxError
        raise DataError(f"{path}: the PNG is not readable ({error})") from None
    if picture.mode not in ("P", "L"):
        raise DataError(f"{path}: has mode {picture.mode}, but a mask contains class indices (mode P or L)")
    mask = np.asarray(picture)
    unknown = sorted(set(np.unique(mask).tolist()) - set(range(num_classes + 1)) - {VOID})
    if unknown:
        allowed = f"0 to {num_classes} and {VOID} are allowed for {num_classes} classes"
        raise DataError(f"{path}: contains {unknown}, but only {allowed}")
    return mask


def write_mask(path: Path | io.BytesIO, mask: np.ndarray) -> None:
    """Writes class indices, uint8 [H, W], as a palette PNG in the colours of the VOC devkit."""
    picture = Image.fromarray(mask).convert("P")
    picture.putpalette(PALETTE.tobytes())
    picture.save(path, format="PNG")


def size_problem(mask: Path, mask_size: tuple[int, int], picture: Path, picture_size: tuple[int, int]) -> str:
    """The message for a mask whose (width, height) differs from the size of its image."""
    return f"{mask}: is {mask_size[0]} x {mask_size[1]} px, but {picture.name} is {picture_size[0]} x {picture_size[1]} px"
