"""PNGs with damaged, long or turning data around their pixels."""

import zlib

import numpy as np
import pytest
from helpers.png import chunk
from PIL import Image, PngImagePlugin

from ribstudy.datasets.base import DataError
from ribstudy.datasets.pictures import check_picture, picture_size, read_mask, read_picture

COLOURS = np.arange(24, dtype=np.uint8).reshape(2, 4, 3) * 10
LONG = zlib.compress(bytes(PngImagePlugin.MAX_TEXT_CHUNK + 1))
XMP = b'<x:xmpmeta xmlns:tiff="http://ns.adobe.com/tiff/1.0/"><d tiff:Orientation="6"/></x:xmpmeta>'


def spoiled(part: bytes) -> bytes:
    """A chunk with a wrong checksum."""
    return part[:-1] + bytes([part[-1] ^ 1])


OPTIONAL = {
    "long text": chunk(b"zTXt", b"Comment\0\0" + LONG),
    "long international text": chunk(b"iTXt", b"Comment\0\1\0\0\0" + LONG),
    "long profile": chunk(b"iCCP", b"profile\0\0" + LONG),
    "damaged profile": chunk(b"iCCP", b"profile\0\0no zlib stream"),
    "profile of an unknown compression": chunk(b"iCCP", b"profile\0\7x"),
    "text with a wrong checksum": spoiled(chunk(b"tEXt", b"Comment\0x")),
    "resolution that is too short": chunk(b"pHYs", b"\0"),
    "gamma that is too short": chunk(b"gAMA", b"\0"),
    "animation of no frames": chunk(b"acTL", bytes(8)),
    "damaged orientation": spoiled(chunk(b"eXIf", b"MM\0*")),
    "long orientation": chunk(b"zTXt", b"Raw profile type exif\0\0" + LONG),
}


def write_png(path, array, *, before: bytes = b"", after: bytes = b""):
    """A PNG with chunks before and after its pixels."""
    Image.fromarray(array).save(path)
    data = path.read_bytes()
    path.write_bytes(data[:33] + before + data[33:-12] + after + data[-12:])
    return path


@pytest.mark.parametrize("part", OPTIONAL.values(), ids=OPTIONAL.keys())
@pytest.mark.parametrize("place", ["before", "after"])
def test_pixels_are_read_whatever_is_around_them(tmp_path, part, place):
    path = write_png(tmp_path / "x.png", COLOURS, **{place: part})
    np.testing.assert_array_equal(read_picture(path), COLOURS)
    assert check_picture(path) == ((4, 2), False)
    mask = write_png(tmp_path / "mask.png", COLOURS[..., 0] // 30, **{place: part})
    np.testing.assert_array_equal(read_mask(mask, 20), COLOURS[..., 0] // 30)


@pytest.mark.parametrize("part", [OPTIONAL["long text"], OPTIONAL["damaged profile"], b""])
@pytest.mark.parametrize(
    "orientation",
    [
        chunk(b"eXIf", b"MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"),
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP),
    ],
)
def test_an_orientation_beside_a_damaged_chunk_is_applied(tmp_path, part, orientation):
    path = write_png(tmp_path / "x.png", COLOURS, before=part + orientation)
    np.testing.assert_array_equal(read_picture(path), np.rot90(COLOURS, -1))
    assert check_picture(path) == ((2, 4), True)
    assert picture_size(path) == (2, 4)


def test_transparency_is_kept(tmp_path):
    path = write_png(tmp_path / "x.png", np.array([[0, 90]], np.uint8), before=chunk(b"tRNS", b"\0\0"))
    assert read_picture(path)[0, :, 0].tolist() == [255, 90]


@pytest.mark.parametrize("part", [chunk(b"tRNS", b"\0\0")[:-2], chunk(b"tEXt", b"Comment\0x")[:-2]])
def test_a_png_that_ends_before_its_pixels_is_refused(tmp_path, part):
    path = tmp_path / "x.png"
    path.write_bytes(write_png(tmp_path / "whole.png", COLOURS).read_bytes()[:33] + part)
    for read in (read_picture, check_picture):
        with pytest.raises(DataError, match=r"x\.png: "):
            read(path)


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_a_mask_with_an_orientation_is_refused(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(COLOURS[..., 0] // 30).save(tmp_path / "mask.png", exif=exif)
    if orientation == 1:
        assert read_mask(tmp_path / "mask.png", 20).shape == (2, 4)
        return
    with pytest.raises(DataError, match=r"mask\.png: has an EXIF orientation, so viewers show it turned; save it upright"):
        read_mask(tmp_path / "mask.png", 20)
