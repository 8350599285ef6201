"""Decoding of image files and masks."""

import subprocess
import sys
import zlib

import numpy as np
import pytest
from helpers.own_folder import save_image
from helpers.png import chunk
from PIL import Image, ImageOps

from ribstudy.datasets.base import DataError
from ribstudy.datasets.pictures import (
    PALETTE,
    VOID,
    check_jpeg,
    check_picture,
    picture_size,
    read_jpeg,
    read_mask,
    read_picture,
    write_jpeg,
    write_mask,
)

PIXELS = np.arange(6, dtype=np.uint8).reshape(2, 3) * 40


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".webp", ".tif", ".TIFF", ".Png"])
def test_kinds_of_files(tmp_path, suffix):
    colours = np.stack([PIXELS, PIXELS[::-1], PIXELS * 0], axis=2)
    options = {"lossless": True} if suffix == ".webp" else {}
    path = save_image(tmp_path / f"x{suffix}", colours, **options)
    np.testing.assert_array_equal(read_picture(path), colours)


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".JPG"])
def test_jpegs(tmp_path, suffix):
    path = save_image(tmp_path / f"x{suffix}", np.full((8, 16, 3), 90, np.uint8))
    np.testing.assert_array_equal(read_picture(path), np.full((8, 16, 3), 90))


def test_grey_and_16_bits(tmp_path):
    grey = save_image(tmp_path / "grey.png", PIXELS)
    np.testing.assert_array_equal(read_picture(grey), np.stack([PIXELS] * 3, axis=2))
    deep = np.array([[0, 128, 129, 257], [32768, 65278, 65279, 65535]], np.uint16)
    expected = np.stack([[[0, 0, 1, 1], [128, 254, 254, 255]]] * 3, axis=-1)
    for name in ("deep.png", "deep.tif"):
        np.testing.assert_array_equal(read_picture(save_image(tmp_path / name, deep)), expected)


def test_transparency_is_laid_over_white(tmp_path):
    colours = np.array([[[200, 0, 0, 255], [200, 0, 0, 0], [0, 0, 0, 51]]], np.uint8)
    expected = [[[200, 0, 0], [255, 255, 255], [204, 204, 204]]]
    np.testing.assert_array_equal(read_picture(save_image(tmp_path / "rgba.png", colours)), expected)
    palette = Image.fromarray(np.array([[0, 1]], np.uint8)).convert("P")
    palette.putpalette([0, 0, 200, 0, 0, 100])
    palette.save(tmp_path / "palette.png", transparency=1)
    np.testing.assert_array_equal(read_picture(tmp_path / "palette.png"), [[[0, 0, 200], [255, 255, 255]]])
    grey = Image.fromarray(np.array([[[90, 255], [90, 0]]], np.uint8), "LA")
    grey.save(tmp_path / "grey.png")
    np.testing.assert_array_equal(read_picture(tmp_path / "grey.png"), [[[90, 90, 90], [255, 255, 255]]])


def test_cmyk(tmp_path):
    Image.new("CMYK", (16, 8), (0, 255, 255, 0)).save(tmp_path / "x.jpg", quality=100)
    np.testing.assert_allclose(read_picture(tmp_path / "x.jpg"), np.full((8, 16, 3), (255, 0, 0)), atol=2)


def test_the_first_of_several_frames(tmp_path):
    frames = [Image.new("RGB", (4, 3), colour) for colour in ((10, 20, 30), (90, 90, 90))]
    for name in ("x.tif", "x.png", "x.webp"):
        options = {"lossless": True} if name == "x.webp" else {}
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], **options)
        np.testing.assert_array_equal(read_picture(tmp_path / name), np.full((3, 4, 3), (10, 20, 30)))


def test_a_photograph_of_20_megapixels(tmp_path):
    rows, columns = np.mgrid[:3648, :5472]
    picture = np.stack([rows / 3648, columns / 5472, 0.5 * np.ones(rows.shape)], axis=2) * 255
    path = save_image(tmp_path / "x.jpg", picture.astype(np.uint8), quality=90)
    small = read_picture(path, max_side=1024)
    assert small.shape == (683, 1024, 3)
    whole = Image.open(path).resize((1024, 683), Image.Resampling.BICUBIC)
    assert np.abs(small.astype(int) - np.asarray(whole).astype(int)).max() <= 3
    np.testing.assert_array_equal(read_picture(path, max_side=1024), small)


def test_a_jpeg_that_does_not_fit_is_an_error_and_not_a_truncated_file(tmp_path):
    """A limit of the size of files stands for a full disk: both make the last write shorter than asked."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    write_jpeg(tmp_path / "whole.jpg", noise, 90)
    size = (tmp_path / "whole.jpg").stat().st_size
    np.save(tmp_path / "noise.npy", noise)
    code = (
        "import resource\nimport numpy as np\nfrom pathlib import Path\nfrom ribstudy.datasets.pictures import write_jpeg\n"
        f"noise = np.load({str(tmp_path / 'noise.npy')!r})\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({size - 10}, {size - 10}))\n"
        f"write_jpeg(Path({str(tmp_path / 'part.jpg')!r}), noise, 90)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "OSError: [Errno 27] File too large" in run.stderr


def test_a_very_long_picture_keeps_one_pixel(tmp_path):
    path = save_image(tmp_path / "x.png", np.zeros((1, 4000, 3), np.uint8))
    assert read_picture(path, max_side=100).shape == (1, 100, 3)


def test_a_picture_with_too_many_pixels(tmp_path, monkeypatch):
    path = save_image(tmp_path / "x.png", np.zeros((20, 20), np.uint8))
    for limit in (300, 100):  # Pillow warns from this limit on, and raises at twice as many
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        with pytest.raises(DataError, match=r"x\.png: has more than .* million pixels; shrink the file"):
            read_picture(path, max_side=10)


def test_pixels_whose_range_is_unknown(tmp_path):
    path = save_image(tmp_path / "x.tif", np.ones((4, 4), np.float32))
    with pytest.raises(DataError, match=r"x\.tif: its pixels have 32 bits \(mode F\)"):
        read_picture(path)


def test_the_palette_is_the_devkits():
    assert PALETTE[[0, 1, 2, 15, 20, 255]].tolist() == [
        [0, 0, 0],
        [128, 0, 0],
        [0, 128, 0],
        [192, 128, 128],
        [0, 64, 128],
        [224, 224, 192],
    ]


@pytest.mark.parametrize("name", ["x.jpg", "x.png", "x.tif", "x.webp"])
def test_a_picture_is_rotated_upright(tmp_path, name):
    """Orientation 6: the stored rows are the upright columns from right to left."""
    stored = np.zeros((16, 32, 3), np.uint8)
    stored[:8] = 200
    exif = Image.Exif()
    exif[0x0112] = 6
    options = {"x.webp": {"lossless": True}, "x.jpg": {"quality": 100}}
    path = save_image(tmp_path / name, stored, exif=exif, **options.get(name, {}))
    upright = np.zeros((32, 16, 3), np.uint8)
    upright[:, 8:] = 200
    np.testing.assert_allclose(read_picture(path), upright, atol=2)
    assert picture_size(path) == (16, 32)


def test_a_mask_is_read_as_it_was_written(tmp_path):
    mask = np.array([[0, 1, 2], [2, 1, VOID]], np.uint8)
    write_mask(tmp_path / "mask.png", mask)
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.png", 2), mask)
    with pytest.raises(DataError, match=r"mask\.png: contains \[2\], but only 0 to 1 and 255 are allowed for 1 classes"):
        read_mask(tmp_path / "mask.png", 1)


def broken_exif(path, **options):
    return save_image(path, np.full((8, 16, 3), 90, np.uint8), exif=b"Exif\0\0garbage!!!!", **options)


@pytest.mark.parametrize("name", ["x.jpg", "x.webp"])
def test_a_picture_with_damaged_exif_data_is_read_as_it_is_stored(tmp_path, name):
    path = broken_exif(tmp_path / name)
    np.testing.assert_allclose(read_picture(path), np.full((8, 16, 3), 90), atol=1)
    assert picture_size(path) == check_picture(path).size == check_picture(path, decode=True).size == (16, 8)
    assert read_picture(path, max_side=4).shape == (2, 4, 3)


@pytest.mark.parametrize("orientation", range(10))
def test_every_orientation_gives_the_image_on_screen(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.arange(24, dtype=np.uint8).reshape(2, 4, 3) * 10)
    stored.save(tmp_path / "x.png", exif=exif)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(tmp_path / "x.png")))
    np.testing.assert_array_equal(read_picture(tmp_path / "x.png"), expected)
    assert check_picture(tmp_path / "x.png").size == expected.shape[1::-1]


def test_a_png_whose_orientation_follows_its_pixels(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (4, 2)).save(tmp_path / "x.png", exif=exif)
    data = (tmp_path / "x.png").read_bytes()
    start = data.index(b"eXIf") - 4
    end = start + 12 + int.from_bytes(data[start : start + 4], "big")
    (tmp_path / "x.png").write_bytes(data[:start] + data[end:-12] + data[start:end] + data[-12:])
    assert read_picture(tmp_path / "x.png").shape == (4, 2, 3)
    assert picture_size(tmp_path / "x.png") == check_picture(tmp_path / "x.png").size == (2, 4)


def refuses(work) -> bool:
    try:
        work()
    except DataError:
        return True
    return False


@pytest.mark.parametrize("name", ["x.jpg", "x.png", "x.webp", "x.bmp", "x.tif", "progressive.jpg"])
def test_the_check_refuses_what_reading_refuses(tmp_path, name):
    """After flips of bits, cuts, zeros and insertions at random places."""
    rng = np.random.default_rng(1)
    options = {"progressive": True} if name.startswith("progressive") else {}
    small = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    small.resize((64, 48)).save(tmp_path / name, **options)
    path, data, refused = tmp_path / f"x{name[-4:]}", (tmp_path / name).read_bytes(), 0
    for trial in range(120):
        damaged, place = bytearray(data), int(rng.integers(len(data)))
        if trial % 4 == 0:
            damaged[place] ^= 1 << int(rng.integers(8))
        elif trial % 4 == 1:
            del damaged[place:]
        elif trial % 4 == 2:
            damaged[place : place + 20] = bytes(len(damaged[place : place + 20]))
        else:
            damaged[place:place] = rng.bytes(3)
        path.write_bytes(damaged)
        refused += refuses(lambda: read_picture(path))
        assert refuses(lambda: check_picture(path)) == refuses(lambda: check_picture(path, decode=True))
        assert refuses(lambda: check_picture(path)) == refuses(lambda: read_picture(path))
        if name.endswith("jpg"):
            assert refuses(lambda: check_jpeg(path)) == refuses(lambda: read_jpeg(path))
    assert refused > 20


def png_of(content: bytes) -> bytes:
    """A grey PNG of 8 x 6 px whose checksums are right, whatever the content of its pixels is."""
    header = chunk(b"IHDR", bytes([0, 0, 0, 8, 0, 0, 0, 6, 8, 0, 0, 0, 0]))
    return b"\x89PNG\r\n\x1a\n" + header + content + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    "pixels", [b"no zlib stream", zlib.compress(np.random.default_rng(0).bytes(54))[:20], zlib.compress(b"\x09" * 54)]
)
def test_a_png_whose_checksums_are_right_and_whose_pixels_are_not_is_refused_by_the_check_too(tmp_path, pixels):
    path = tmp_path / "x.png"
    path.write_bytes(png_of(chunk(b"IDAT", pixels)))
    assert refuses(lambda: read_picture(path))
    assert refuses(lambda: check_picture(path))
    path.write_bytes(png_of(b""))
    assert refuses(lambda: check_picture(path))
    path.write_bytes(png_of(chunk(b"IDAT", zlib.compress(bytes(54)))))
    assert check_picture(path).size == read_picture(path).shape[1::-1] == (8, 6)


@pytest.mark.parametrize("name", ["x.jpg", "x.png", "x.tif", "x.webp"])
def test_the_check_finds_an_orientation(tmp_path, name):
    for orientation in (1, 3, 6):
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.new("RGB", (4, 2)).save(tmp_path / name, exif=exif)
        size = (2, 4) if orientation == 6 else (4, 2)
        assert check_picture(tmp_path / name) == (size, orientation > 1)
        assert picture_size(tmp_path / name) == size
        if name == "x.jpg":
            assert check_jpeg(tmp_path / name) == ((4, 2), orientation > 1)


def test_no_warning_is_shown_without_the_name_of_the_file(tmp_path, recwarn):
    exif = Image.Exif()
    exif[0x010F] = "x" * 40
    Image.new("RGB", (4, 2)).save(tmp_path / "x.jpg", exif=exif)
    data = (tmp_path / "x.jpg").read_bytes()
    (tmp_path / "x.jpg").write_bytes(data.replace((41).to_bytes(4), (999).to_bytes(4)))
    assert read_picture(tmp_path / "x.jpg").shape == (2, 4, 3)
    assert not recwarn.list


def test_a_picture_of_a_phone_with_further_images_after_it(tmp_path):
    frames = [Image.new("RGB", (32, 16), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "x.mpo", save_all=True, append_images=frames[1:], quality=95)
    path = (tmp_path / "x.mpo").rename(tmp_path / "x.jpg")
    np.testing.assert_allclose(read_picture(path)[0, 0], (254, 0, 0), atol=2)
    assert check_picture(path) == check_jpeg(path) == ((32, 16), False)
