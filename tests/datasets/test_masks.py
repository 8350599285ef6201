"""Masks as annotation tools write them: any number of bits, palettes, and sets that contradict their labels."""

import re
import shutil

import numpy as np
import pytest
from helpers.devkit import OBJECT, annotation, voc
from helpers.own_folder import HEIGHT, LABELS, WIDTH, open_train, own, save_image, write_labels
from helpers.png import write_grey_png
from PIL import Image

from ribstudy import datasets
from ribstudy.datasets.base import DataError
from ribstudy.datasets.pictures import PALETTE, VOID, read_mask, write_mask
from ribstudy.items import MASKS


@pytest.mark.parametrize(
    ("bits", "values"), [(1, [0, 1]), (2, [0, 1, 2, 3]), (4, [0, 1, 2, 15]), (8, [0, 17, 255]), (16, [0, 255])]
)
def test_a_grey_mask_contains_its_numbers_at_every_number_of_bits(tmp_path, bits, values):
    mask = np.resize(values, (5, 7))
    path = write_grey_png(tmp_path / "mask.png", mask, bits)
    for read in (read_mask(path, 20), MASKS.load(path)):
        np.testing.assert_array_equal(read, mask)
        assert read.dtype == np.uint8


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_a_palette_mask_contains_its_numbers_at_every_number_of_bits(tmp_path, bits):
    mask = np.resize(np.arange(min(2**bits, 21), dtype=np.uint8), (5, 7))
    picture = Image.fromarray(mask).convert("P")
    picture.putpalette(PALETTE[: 2**bits].tobytes())
    picture.save(tmp_path / "mask.png", bits=bits, transparency=0)
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.png", 20), mask)


def test_numbers_above_a_byte_do_not_wrap(tmp_path):
    path = write_grey_png(tmp_path / "mask.png", np.array([[0, 257, 65535, *range(300, 310)]]), 16)
    with pytest.raises(DataError, match=r"mask\.png: contains \[257, 300, 301, 302, 303, \.\.\.\], but only 0 to 20 and 255"):
        read_mask(path, 20)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
def test_a_mask_in_colours_is_refused_by_name(tmp_path, mode):
    Image.new(mode, (4, 3)).save(tmp_path / "mask.png")
    with pytest.raises(DataError, match=rf"mask\.png: has mode {mode}, but a mask contains class indices; save it as a grey"):
        read_mask(tmp_path / "mask.png", 20)


def fill_masks(root, value, names):
    for name in names:
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        mask[2:6, 2:6] = value
        Image.fromarray(mask).save(root / "masks" / f"{name}.png")


def test_masks_whose_objects_are_all_void_are_reported(own_root):
    fill_masks(own_root, VOID, "ae")
    (problem,) = datasets.check(own(own_root))
    assert problem == (
        f"{own_root / 'masks'}: 2 images with a mask are labelled 'cat', but no mask contains its value 2;"
        " all masks together contain 0, 255 (0 is background, 255 is void, and each class has its own value)"
    )


def test_masks_without_any_object_are_reported(own_root):
    fill_masks(own_root, 0, "ae")
    (problem,) = datasets.check(own(own_root))
    assert (
        "2 images with a mask are labelled 'cat', but no mask contains its value 2; all masks together contain 0 (" in problem
    )


def test_a_labelled_class_that_one_mask_shows_is_accepted(own_root, caplog):
    fill_masks(own_root, 0, "a")
    assert datasets.check(own(own_root)) == []
    assert "1 of 2 masks show no class of the label of their image, such as a.png" in caplog.text


def test_masks_without_background_are_logged(own_root, caplog):
    for name in "ae":
        save_image(own_root / "masks" / f"{name}.png", np.full((HEIGHT, WIDTH), 2, np.uint8))
    assert datasets.check(own(own_root)) == []
    assert "masks: no mask contains 0, the value of the background" in caplog.text


def test_the_image_of_a_mask_with_another_name_is_suggested(own_root):
    (own_root / "images" / "a.png").rename(own_root / "images" / "street-01.png")
    (own_root / "masks" / "a.png").rename(own_root / "masks" / "street-01_mask.png")
    write_labels(own_root, {("street-01.png" if name == "a.png" else name): classes for name, classes in LABELS.items()})
    (problem,) = datasets.check(own(own_root))
    assert problem.endswith("street-01_mask.png: labels.csv has no image of this name; did you mean 'street-01'?")


def test_a_mask_that_is_all_void_is_reported(own_root):
    save_image(own_root / "masks" / "d.png", np.full((HEIGHT, WIDTH), VOID, np.uint8))
    (problem,) = datasets.check(own(own_root))
    assert "d.png: every pixel is 255 (void), so it scores nothing; background is 0" in problem


def test_a_value_with_two_colours_is_reported(own_root):
    for name, colours in (("a", PALETTE), ("e", PALETTE[::-1])):
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        mask[2:6, 2:6] = 2
        picture = Image.fromarray(mask).convert("P")
        picture.putpalette(np.where(np.arange(256)[:, None] == 0, 0, colours).astype(np.uint8).tobytes())
        picture.save(own_root / "masks" / f"{name}.png")
    (problem,) = datasets.check(own(own_root))
    assert re.search(
        r"masks/e\.png: value 2 has the colour \(.*\), but \(0, 128, 0\) in a\.png, so it may stand for another", problem
    )
    fill_masks(own_root, 2, "e")  # grey: it has no colours
    assert datasets.check(own(own_root)) == []


def test_masks_of_objects_instead_of_classes_are_reported(devkit_root):
    for path in (devkit_root / "SegmentationClass").iterdir():
        write_mask(path, (read_mask(path, 20) == 12).astype(np.uint8))  # 1 is the first object, not an aeroplane
    absent, other = datasets.check(voc(devkit_root))
    assert (
        "3 images with a mask are labelled 'dog', but no mask contains its value 12; all masks together contain 0, 1" in absent
    )
    assert "3 of 3 masks show a class that is not in the label of their image, such as 2007_000001.png; their values" in other


def test_a_few_masks_that_differ_from_their_annotation_are_logged(devkit_root, caplog):
    (devkit_root / "Annotations" / "2007_000001.xml").write_text(annotation(OBJECT.format(name="cat", extra="")))
    mask = np.zeros((30, 40), np.uint8)
    mask[0], mask[1] = 8, 12
    write_mask(devkit_root / "SegmentationClass" / "2007_000001.png", mask)
    assert datasets.check(voc(devkit_root)) == []
    assert "1 of 3 masks show a class that is not in the label of their image, such as 2007_000001.png" in caplog.text


@pytest.mark.parametrize("suffix", [".PNG", ".Png"])
def test_the_suffix_of_a_mask_can_have_capitals(own_root, suffix):
    before = datasets.mask_fingerprint(own(own_root))
    (own_root / "masks" / "a.png").rename(own_root / "masks" / f"a{suffix}")
    assert datasets.check(own(own_root)) == []
    assert np.unique(open_train(own_root).mask("a")).tolist() == [0, 2, VOID]
    assert datasets.mask_fingerprint(own(own_root)) == before


def test_the_accents_of_a_mask_can_be_encoded_in_two_ways(bare_root):
    composed, decomposed = "\u00e4", "a\u0308"
    (bare_root / "images" / "a.png").rename(bare_root / "images" / f"{composed}.png")
    write_labels(bare_root, {f"{composed}.png": "cat", "b.png": "dog", "c.png": "", "d.png": ""})
    (bare_root / "val.txt").write_text("d\n")
    (bare_root / "classes.txt").write_text("dog\ncat\n")
    (bare_root / "masks").mkdir()
    fill_masks(bare_root, 2, [decomposed])
    assert datasets.check(own(bare_root)) == []
    train = open_train(bare_root)
    assert train.masked_names == [composed]
    assert train.mask(composed).max() == 2
    shutil.copy(bare_root / "masks" / f"{decomposed}.png", bare_root / "masks" / f"{composed}.png")
    (problem,) = datasets.check(own(bare_root))
    assert "is a second mask of the same name as" in problem


def test_files_that_are_not_masks(own_root):
    for name in ("Thumbs.db", "desktop.ini", ".DS_Store", "._a.png"):
        (own_root / "masks" / name).write_bytes(b"x")
    assert datasets.check(own(own_root)) == []
    (own_root / "masks" / "more").mkdir()
    shutil.copy(own_root / "masks" / "a.png", own_root / "masks" / "more" / "b.png")
    (problem,) = datasets.check(own(own_root))
    assert "masks/more: masks in subfolders are not read; move them to" in problem


@pytest.mark.parametrize("change", ["folder", "broken link"])
def test_a_mask_that_is_there_but_cannot_be_read_is_not_a_missing_one(own_root, change):
    path = own_root / "masks" / "a.png"
    path.unlink()
    path.mkdir() if change == "folder" else path.symlink_to("nowhere.png")
    (problem,) = datasets.check(own(own_root))
    assert problem.startswith(f"{path}: ")
    assert open_train(own_root).masked_names == ["a"]
    with pytest.raises(DataError, match=re.escape(problem)):
        open_train(own_root).mask("a")


@pytest.mark.parametrize("change", ["file", "broken link"])
def test_masks_that_are_not_in_a_folder_are_reported(own_root, devkit_root, change):
    shutil.rmtree(own_root / "masks")
    for path in (own_root / "masks", devkit_root / "SegmentationClassAug"):
        path.write_text("x") if change == "file" else path.symlink_to("nowhere")
    for settings in (own(own_root), voc(devkit_root)):
        (problem,) = datasets.check(settings)
        assert ": is a file, or a link that leads nowhere, instead of a folder" in problem
        with pytest.raises(DataError, match="instead of a folder"):
            datasets.prepare(settings)


def turn(path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.open(path).save(path, exif=exif)


def test_a_mask_that_was_not_turned_with_its_image_is_reported(own_root, caplog):
    turn(own_root / "images" / "a.png", 6)
    (problem,) = datasets.check(own(own_root))
    assert "masks/a.png: is 12 x 8 px, but a.png is 8 x 12 px; it must be turned as its image is read" in problem
    turn(own_root / "images" / "a.png", 3)  # upside down, which the size does not tell
    assert datasets.check(own(own_root)) == []
    assert "1 images with a mask, such as a.png, are turned by their EXIF orientation" in caplog.text
