"""Own images: every kind of picture, table and mask, and what is said about each thing that can be wrong."""

import re
import unicodedata
import zlib
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from ribstudy import datasets
from ribstudy.config import load_settings
from ribstudy.datasets import folder as folder_module
from ribstudy.datasets.base import DataError
from ribstudy.datasets.folder_lists import draw_val, read_listing
from ribstudy.datasets.pictures import picture_size, read_picture
from ribstudy.datasets.settings import DataSettings
from ribstudy.report.figures import data as data_figures

WIDTH, HEIGHT = 12, 8
LABELS = {"a.png": "cat", "b.png": "dog", "c.png": "cat,dog", "d.png": "", "e.png": "cat", "f.png": ""}


def own(root: Path | None, *, max_side: int | None = None) -> DataSettings:
    return DataSettings(name="folder", root=root, max_side=max_side)


def write_labels(root: Path, labels: dict[str, str]) -> None:
    lines = ["image,class", *(f"{name},{classes}".rstrip(",") for name, classes in labels.items())]
    (root / "labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture
def root(tmp_path) -> Path:
    """Six images of cats, dogs and neither, the last two held out, with masks for two of them."""
    folder = tmp_path / "own"
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    for place, name in enumerate(LABELS):
        Image.new("RGB", (WIDTH, HEIGHT), (10 * place, 0, 0)).save(folder / "images" / name)
    write_labels(folder, LABELS)
    (folder / "classes.txt").write_text("dog\ncat\n")
    (folder / "val.txt").write_text("e\nf.png\n")
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[2:6, 2:6], mask[6] = 2, 255
    for name in ("a", "e"):
        Image.fromarray(mask).save(folder / "masks" / f"{name}.png")
    return folder


@pytest.fixture
def bare(root) -> Path:
    """The same without masks, classes.txt and val.txt."""
    for path in [*(root / "masks").iterdir(), root / "classes.txt", root / "val.txt"]:
        path.unlink()
    (root / "masks").rmdir()
    return root


def open_train(root: Path):
    return datasets.open_dataset(own(root), "train")


# --- lists --------------------------------------------------------------------------------------------------------------


def test_names_labels_and_splits(root):
    train, val = (datasets.open_dataset(own(root), split) for split in ("train", "val"))
    assert (train.names, val.names) == (["a", "b", "c", "d"], ["e", "f"])
    assert train.class_names == datasets.class_names(own(root)) == ("dog", "cat")
    assert train.labels.tolist() == [[False, True], [True, False], [True, True], [False, False]]
    assert (train.labels.dtype, train.num_objects("a")) == (bool, None)
    assert datasets.splits(own(root)) == ("train", "val")
    assert datasets.training_set(own(root)).names == train.names
    assert [path.name for path in datasets.lists(own(root))] == ["labels.csv", "classes.txt", "val.txt"]
    assert train.image("c").tolist() == np.full((HEIGHT, WIDTH, 3), (20, 0, 0)).tolist()


def test_there_is_no_train_aug(root):
    with pytest.raises(DataError, match=r"folder has no split 'train_aug', only train, val: train is .*infer\.split=train"):
        datasets.open_dataset(own(root), "train_aug")


def test_without_classes_txt_the_classes_are_sorted(bare):
    assert datasets.class_names(own(bare)) == ("cat", "dog")


def test_check_accepts_both(root):
    assert datasets.check(own(root), decode=True) == []


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffimage,class\r\na.png,cat\r\nb.png,dog\r\n",
        " Image , Class \n\n a.png , cat \nb.png,  dog\n\n",
        '"image","class"\n"a.png","cat"\n"b.png","dog"\n',
        "image,class,,\na.png,cat,,\nb.png,dog,,\n,,,\n",
    ],
    ids=["bom_crlf", "spaces", "quoted", "padded"],
)
def test_tables_as_spreadsheets_write_them(bare, text):
    (bare / "labels.csv").write_bytes(text.encode())
    (bare / "val.txt").write_text("b")
    assert open_train(bare).names == ["a"]
    assert datasets.class_names(own(bare)) == ("cat", "dog")


def test_a_class_may_hold_a_comma_in_quotes_and_any_letters(bare):
    (bare / "images" / "a.png").rename(bare / "images" / unicodedata.normalize("NFD", "Käfer 蟲.png"))
    write_labels(bare, {unicodedata.normalize("NFC", "Käfer 蟲.png"): '"beetle, Käfer"', "b.png": "dog", "d.png": ""})
    (bare / "val.txt").write_text("d")
    train = open_train(bare)
    assert train.names == ["Käfer 蟲", "b"]
    assert train.class_names == ("beetle, Käfer", "dog")
    assert train.image("Käfer 蟲").shape == (HEIGHT, WIDTH, 3)
    assert datasets.check(own(bare)) == []


def test_pictures_without_a_line_are_left_out_and_counted(bare, caplog):
    write_labels(bare, {name: classes for name, classes in LABELS.items() if name != "c.png"})
    (bare / "val.txt").write_text("e\n")
    with caplog.at_level("INFO"):
        assert datasets.check(own(bare)) == []
    assert "1 pictures have no line in labels.csv" in caplog.text
    assert open_train(bare).names == ["a", "b", "d", "f"]


def test_the_drawn_split_stays_when_images_are_added():
    names = [f"image_{place}" for place in range(200)]
    first, all_ = draw_val(names[:100]), draw_val(names)
    assert first == all_ & set(names[:100])
    assert all_ == {name for name in names if zlib.crc32(name.encode()) % 5 == 0}
    assert 20 < len(all_) < 60


def test_a_drawn_split_has_images_on_both_sides():
    held_out = [name for name in map(str, range(100)) if zlib.crc32(name.encode()) % 5 == 0][:3]
    kept = [name for name in map(str, range(100)) if zlib.crc32(name.encode()) % 5][:3]
    assert draw_val(held_out) == {min(held_out, key=lambda name: zlib.crc32(name.encode()))}
    assert draw_val(kept) == {min(kept, key=lambda name: zlib.crc32(name.encode()))}
    assert draw_val([]) == frozenset()


LABEL_FAULTS = {
    "unknown class": {**LABELS, "a.png": "cta"},
    "missing picture": {**LABELS, "g.png": "cat"},
    "other case": {"A.png": "cat", **LABELS},
    "no picture": {**LABELS, "g.gif": "cat"},
    "path": {**LABELS, "sub/g.png": "cat"},
    "class twice": {**LABELS, "a.png": "cat,cat"},
    "semicolon within": {**LABELS, "a.png": "cat;dog"},
    "reserved": {**LABELS, "a.png": "background"},
}
TEXT_FAULTS = {
    "semicolons": ("labels.csv", "image;class\na.png;cat\n"),
    "tabs": ("labels.csv", "image\tclass\na.png\tcat\n"),
    "no header": ("labels.csv", "a.png,cat\nb.png,dog\n"),
    "empty table": ("labels.csv", "\n"),
    "open quote": ("labels.csv", 'image,class\n"a.png,cat\n'),
    "image twice": ("labels.csv", "image,class\na.png,cat\nb.png,dog\na.png,dog\nd.png\n"),
    "one image": ("labels.csv", "image,class\nb.png,dog\n"),
    "no classes at all": ("labels.csv", "image,class\na.png\nb.png\n"),
    "empty classes": ("classes.txt", "\n"),
    "repeated class": ("classes.txt", "dog\ncat\ndog\n"),
    "reserved class": ("classes.txt", "dog\ncat\nvoid\n"),
    "too many classes": ("classes.txt", "\n".join(["dog", "cat", *map(str, range(253))])),
    "empty val": ("val.txt", " \n"),
    "unknown in val": ("val.txt", "e\nfff.png\n"),
    "twice in val": ("val.txt", "e\ne\n"),
    "all in val": ("val.txt", "\n".join(LABELS)),
}


def spoil(root: Path, fault: str) -> None:
    if fault in LABEL_FAULTS:
        write_labels(root, LABEL_FAULTS[fault])
    elif fault in TEXT_FAULTS:
        name, text = TEXT_FAULTS[fault]
        (root / name).write_text(text)
    elif fault == "latin-1":
        (root / "labels.csv").write_bytes("image,class\nä.png,cat\n".encode("latin-1"))
    elif fault == "masks without classes":
        (root / "classes.txt").unlink()
    else:
        spoil_pictures(root, fault)
    if fault == "no classes at all":
        for name in ("classes.txt", "masks/a.png", "masks/e.png"):
            (root / name).unlink()


def spoil_pictures(root: Path, fault: str) -> None:
    if fault == "stem twice":
        Image.new("RGB", (WIDTH, HEIGHT)).save(root / "images" / "a.jpg")
        write_labels(root, {**LABELS, "a.jpg": "cat"})
    elif fault == "subfolder":
        (root / "images" / "more").mkdir()
        Image.new("RGB", (WIDTH, HEIGHT)).save(root / "images" / "more" / "g.PNG")
    elif fault == "accents":
        for form in ("NFC", "NFD"):
            Image.new("RGB", (WIDTH, HEIGHT)).save(root / "images" / unicodedata.normalize(form, "ä.png"))
        write_labels(root, {**LABELS, "ä.png": "cat"})


LIST_FAULTS = {
    "unknown class": r"labels.csv: line 2: class 'cta' is unknown; did you mean 'cat'\?",
    "missing picture": r"line 8: 'g.png' is not in images/",
    "other case": r"line 2: 'A.png' is not in images/; did you mean",
    "no picture": r"line 8: 'g.gif' is no picture; known are .jpg",
    "path": "line 8: 'sub/g.png' is a path",
    "class twice": "line 2: names 'cat' twice",
    "semicolon within": "line 2: 'cat;dog' holds a semicolon",
    "reserved": "line 2: class 'background' is unknown",
    "semicolons": "columns are separated by semicolons; expected commas",
    "tabs": "columns are separated by tabs; expected commas",
    "no header": "its first line is 'a.png,cat'; expected the header image,class",
    "empty table": "its first line is ''; expected the header",
    "open quote": "is not readable as CSV",
    "image twice": "line 4: 'a.png' has the name of line 2",
    "one image": "names 1 usable images; at least two are needed",
    "no classes at all": "names no class",
    "empty classes": "classes.txt: is empty",
    "repeated class": "classes.txt: class 'dog' stands there more than once",
    "reserved class": "classes.txt: a class cannot be called 'void'",
    "too many classes": "classes.txt: holds 255 classes; a mask has room for 254",
    "empty val": "val.txt: is empty",
    "unknown in val": "val.txt: 'fff.png' has no usable line in labels.csv; did you mean 'f.png'",
    "twice in val": "val.txt: 'e' stands there more than once",
    "all in val": "val.txt: holds out every image",
    "latin-1": "labels.csv: is not UTF-8",
    "stem twice": "line 8: 'a.jpg' has the name of line 2",
    "subfolder": "more: pictures in subfolders are not read",
    "masks without classes": "classes.txt: is missing; where there are masks",
    "accents": "line 8: 'ä.png' is there twice, with its accents written in two ways",
}


@pytest.mark.parametrize("fault", LIST_FAULTS)
def test_a_fault_in_the_lists_is_named_by_check_and_by_the_reader(root, fault):
    spoil(root, fault)
    with pytest.raises(DataError, match=LIST_FAULTS[fault]) as caught:
        datasets.open_dataset(own(root), "train")
    assert str(root) in str(caught.value)
    assert str(caught.value).split(" (and ")[0] in datasets.check(own(root))


def test_missing_folder_pictures_and_table(root, tmp_path):
    assert (
        "own2/images: this folder is missing; data.root is a folder with images/" in datasets.check(own(tmp_path / "own2"))[0]
    )
    (root / "labels.csv").unlink()
    assert "labels.csv: is missing; expected the header image,class" in datasets.check(own(root))[0]
    for path in (root / "images").iterdir():
        path.unlink()
    assert "holds no picture; known are .jpg" in datasets.check(own(root))[0]
    with pytest.raises(DataError, match=r"data\.root is not set: pass a folder with images/ and labels\.csv"):
        datasets.open_dataset(own(None), "train")


def test_all_faults_are_reported_at_once(root):
    write_labels(root, {**LABELS, "a.png": "cta", "g.png": "cat"})
    (root / "val.txt").write_text("e\nf\nhhh\n")
    (root / "images" / "b.png").write_bytes(b"")
    assert len(datasets.check(own(root))) == 1 + 1 + 1 + 1 + 1  # also the mask of a, which has no usable line
    with pytest.raises(DataError, match=r"cta.* \(and 2 more: python -m ribstudy data check\)"):
        open_train(root)


# --- what can be learned ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"a.png": "cat", "b.png": "cat"}, "class 'cat' is in every training image, so nothing tells it apart"),
        ({"a.png": "cat", "b.png": "", "f.png": "dog"}, "class 'dog' is in no training image"),
        ({"a.png": "cat", "b.png": "dog"}, None),
        ({"a.png": "cat", "b.png": ""}, None),
    ],
    ids=["everywhere", "nowhere", "two_classes", "one_class"],
)
def test_whether_the_classes_can_be_learned(bare, labels, message):
    write_labels(bare, {**labels, "f.png": labels.get("f.png", "")})
    (bare / "val.txt").write_text("f\n")
    problems = datasets.check(own(bare))
    assert len(problems) == (message is not None)
    assert message is None or message in problems[0]


def test_images_that_share_a_class_with_every_other_are_no_problem_but_said_once(bare, caplog):
    write_labels(bare, {"a.png": "cat", "b.png": "dog", "c.png": "cat,dog", "e.png": "dog,cat", "f.png": ""})
    (bare / "val.txt").write_text("e\nf\n")
    assert datasets.check(own(bare)) == []
    (record,) = caplog.records
    assert "2 images, such as c (cat, dog), share a class with every training image" in record.getMessage()
    assert "add images of other classes or of none, or adapt without: --set auxiliary.batch_size=0" in record.getMessage()


# --- pictures -----------------------------------------------------------------------------------------------------------


def save(path: Path, array: np.ndarray, mode: str | None = None, **options) -> Path:
    Image.fromarray(array, mode).save(path, **options) if mode else Image.fromarray(array).save(path, **options)
    return path


PIXELS = np.arange(6, dtype=np.uint8).reshape(2, 3) * 40


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".webp", ".tif", ".TIFF", ".Png"])
def test_kinds_of_files(tmp_path, suffix):
    colours = np.stack([PIXELS, PIXELS[::-1], PIXELS * 0], axis=2)
    options = {"lossless": True} if suffix == ".webp" else {}
    path = save(tmp_path / f"x{suffix}", colours, **options)
    np.testing.assert_array_equal(read_picture(path, max_side=None), colours)


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".JPG"])
def test_jpegs(tmp_path, suffix):
    path = save(tmp_path / f"x{suffix}", np.full((8, 16, 3), 90, np.uint8))
    np.testing.assert_array_equal(read_picture(path, max_side=None), np.full((8, 16, 3), 90))


def test_grey_and_16_bits(tmp_path):
    grey = save(tmp_path / "grey.png", PIXELS)
    np.testing.assert_array_equal(read_picture(grey, max_side=None), np.stack([PIXELS] * 3, axis=2))
    deep = np.array([[0, 128, 129, 257], [32768, 65278, 65279, 65535]], np.uint16)
    expected = np.stack([[[0, 0, 1, 1], [128, 254, 254, 255]]] * 3, axis=-1)
    for name in ("deep.png", "deep.tif"):
        np.testing.assert_array_equal(read_picture(save(tmp_path / name, deep), max_side=None), expected)


def test_transparency_is_laid_over_white(tmp_path):
    colours = np.array([[[200, 0, 0, 255], [200, 0, 0, 0], [0, 0, 0, 51]]], np.uint8)
    expected = [[[200, 0, 0], [255, 255, 255], [204, 204, 204]]]
    np.testing.assert_array_equal(read_picture(save(tmp_path / "rgba.png", colours), max_side=None), expected)
    palette = Image.fromarray(np.array([[0, 1]], np.uint8)).convert("P")
    palette.putpalette([0, 0, 200, 0, 0, 100])
    palette.save(tmp_path / "palette.png", transparency=1)
    np.testing.assert_array_equal(read_picture(tmp_path / "palette.png", max_side=None), [[[0, 0, 200], [255, 255, 255]]])
    grey = Image.fromarray(np.array([[[90, 255], [90, 0]]], np.uint8), "LA")
    grey.save(tmp_path / "grey.png")
    np.testing.assert_array_equal(read_picture(tmp_path / "grey.png", max_side=None), [[[90, 90, 90], [255, 255, 255]]])


def test_cmyk(tmp_path):
    Image.new("CMYK", (16, 8), (0, 255, 255, 0)).save(tmp_path / "x.jpg", quality=100)
    np.testing.assert_allclose(read_picture(tmp_path / "x.jpg", max_side=None), np.full((8, 16, 3), (255, 0, 0)), atol=2)


@pytest.mark.parametrize("name", ["x.jpg", "x.png", "x.tif", "x.webp"])
def test_a_picture_is_turned_upright_and_its_mask_is_of_that_size(root, name):
    """Orientation 6: the stored rows are the upright columns from right to left."""
    stored = np.zeros((16, 32, 3), np.uint8)
    stored[:8] = 200
    exif = Image.Exif()
    exif[0x0112] = 6
    path = root / "images" / name
    save(path, stored, exif=exif, **({"lossless": True} if name == "x.webp" else {"quality": 100} if name == "x.jpg" else {}))
    upright = np.zeros((32, 16, 3), np.uint8)
    upright[:, 8:] = 200
    np.testing.assert_allclose(read_picture(path, max_side=None), upright, atol=2)
    assert picture_size(path) == (16, 32)
    write_labels(root, {**LABELS, name: "cat"})
    save(root / "masks" / "x.png", np.full((32, 16), 2, np.uint8))
    assert datasets.check(own(root), decode=True) == []
    small = datasets.open_dataset(own(root, max_side=32), "train")
    assert small.image("x").shape[:2] == small.mask("x").shape == (32, 16)
    save(root / "masks" / "x.png", np.full((16, 32), 2, np.uint8))
    (problem,) = datasets.check(own(root))
    assert f"x.png: is 32 x 16 px, but {name} is 16 x 32 px" in problem


def test_the_first_of_several_frames(tmp_path):
    frames = [Image.new("RGB", (4, 3), colour) for colour in ((10, 20, 30), (90, 90, 90))]
    for name in ("x.tif", "x.png", "x.webp"):
        options = {"lossless": True} if name == "x.webp" else {}
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], **options)
        np.testing.assert_array_equal(read_picture(tmp_path / name, max_side=None), np.full((3, 4, 3), (10, 20, 30)))


def test_shrinking_of_pictures_and_masks(root):
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 256, (60, 100, 3), dtype=np.uint8)
    mask = np.zeros((60, 100), np.uint8)
    mask[:30, 50:] = 2
    save(root / "images" / "a.png", colours)
    save(root / "masks" / "a.png", mask)
    train = datasets.open_dataset(own(root, max_side=50), "train")
    expected = Image.fromarray(colours).resize((50, 30), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(train.image("a"), np.asarray(expected))
    np.testing.assert_array_equal(train.mask("a"), mask[::2, ::2])
    assert train.image("b").shape == (HEIGHT, WIDTH, 3)  # nothing is enlarged
    assert datasets.fingerprint(own(root, max_side=50)) != datasets.fingerprint(own(root))


def test_a_photograph_of_20_megapixels(tmp_path):
    rows, columns = np.mgrid[:3648, :5472]
    picture = np.stack([rows / 3648, columns / 5472, 0.5 * np.ones(rows.shape)], axis=2) * 255
    path = save(tmp_path / "x.jpg", picture.astype(np.uint8), quality=90)
    small = read_picture(path, max_side=1024)
    assert small.shape == (683, 1024, 3)
    whole = Image.open(path).resize((1024, 683), Image.Resampling.BICUBIC)
    assert np.abs(small.astype(int) - np.asarray(whole).astype(int)).max() <= 3
    np.testing.assert_array_equal(read_picture(path, max_side=1024), small)


def test_a_very_long_picture_keeps_one_pixel(tmp_path):
    path = save(tmp_path / "x.png", np.zeros((1, 4000, 3), np.uint8))
    assert read_picture(path, max_side=100).shape == (1, 100, 3)


def test_a_picture_with_too_many_pixels(tmp_path, monkeypatch):
    path = save(tmp_path / "x.png", np.zeros((20, 20), np.uint8))
    for limit in (300, 100):  # Pillow warns from there on, and refuses twice as many
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        with pytest.raises(DataError, match=r"x\.png: has more than .* million pixels; shrink the file"):
            read_picture(path, max_side=10)


@pytest.mark.parametrize("name", ["x.jpg", "x.png", "x.bmp", "x.webp", "x.tif"])
def test_a_broken_picture_is_named(root, name):
    path = save(root / "images" / name, np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    write_labels(root, {**LABELS, name: "cat"})
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(DataError, match=rf"{name}: "):
        open_train(root).image("x")
    (problem,) = datasets.check(own(root), decode=True)
    assert problem.startswith(str(path))
    path.write_bytes(b"<html>")
    (problem,) = datasets.check(own(root))
    assert problem == f"{path}: is not readable as one of JPEG, PNG, BMP, WEBP, TIFF"
    path.write_bytes(b"")
    assert datasets.check(own(root)) == [f"{path}: is empty (0 bytes)"]


def test_pixels_whose_range_is_not_known(root):
    path = save(root / "images" / "x.tif", np.ones((4, 4), np.float32))
    with pytest.raises(DataError, match=r"x\.tif: holds pixels of 32 bits \(mode F\)"):
        read_picture(path, max_side=None)


# --- masks --------------------------------------------------------------------------------------------------------------


def test_masks_of_some_images(root):
    train = open_train(root)
    assert (train.has_masks, train.masked_names) == (True, ["a"])
    assert np.unique(train.mask("a")).tolist() == [0, 2, 255]
    with pytest.raises(DataError, match=r"no masks: .*b\.png is not there"):
        train.mask("b")


def test_a_folder_without_masks(bare):
    train = open_train(bare)
    assert (train.has_masks, train.masked_names) == (False, [])
    with pytest.raises(DataError, match=r"no masks: there are none of train in .*own/masks; they are needed for scores"):
        train.mask(train.names[0])


@pytest.mark.parametrize(
    ("name", "mask", "message"),
    [
        ("a.png", np.full((HEIGHT, WIDTH), 3, np.uint8), r"a\.png: holds \[3\], but only 0 to 2 and 255"),
        ("a.png", np.zeros((HEIGHT, WIDTH, 3), np.uint8), r"a\.png: a mask holds class indices .* mode RGB"),
        ("a.png", np.zeros((4, 4), np.uint8), r"a\.png: is 4 x 4 px, but a\.png is 12 x 8 px"),
        ("a.png", np.full((HEIGHT, WIDTH), 1, np.uint8), r"a\.png: holds dog, but labels\.csv does not name it for a\.png"),
        ("g.png", np.zeros((HEIGHT, WIDTH), np.uint8), r"masks/g\.png: no image of this name is in labels\.csv"),
        ("b.bmp", np.zeros((HEIGHT, WIDTH), np.uint8), r"masks/b\.bmp: is no \.png file"),
    ],
)
def test_a_fault_in_a_mask_is_named(root, name, mask, message):
    save(root / "masks" / name, mask)
    (problem,) = datasets.check(own(root))
    assert re.search(message, problem)


# --- identity and processes ---------------------------------------------------------------------------------------------


def test_the_fingerprint_is_of_lists_and_pictures_and_not_of_the_place(root, tmp_path):
    before = datasets.fingerprint(own(root))
    root.rename(tmp_path / "elsewhere")
    root = tmp_path / "elsewhere"
    assert datasets.fingerprint(own(root)) == before
    (root / "masks" / "a.png").unlink()
    Image.new("RGB", (3, 3)).save(root / "images" / "unlisted.png")
    assert datasets.fingerprint(own(root)) == before
    save(root / "images" / "a.png", np.random.default_rng(0).integers(0, 256, (9, 9, 3), dtype=np.uint8))
    assert datasets.fingerprint(own(root)) != before


def test_the_lists_are_read_once_until_something_changes(root, monkeypatch):
    read = []
    monkeypatch.setattr(folder_module, "read_listing", lambda root: read.append(root) or read_listing(root))
    for _ in range(3):
        assert open_train(root).names == ["a", "b", "c", "d"]
    assert len(read) == 1
    (root / "val.txt").write_text("d\nf.png\ne\n")
    assert open_train(root).names == ["a", "b", "c"]
    (root / "images" / "a.png").unlink()
    with pytest.raises(DataError, match=r"'a\.png' is not in images/"):
        open_train(root)


def test_nothing_is_written_into_the_folder(root):
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    datasets.prepare(own(root))
    datasets.check(own(root), decode=True)
    open_train(root).mask("a")
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before


def test_check_says_the_same_with_two_processes(root, monkeypatch):
    monkeypatch.setattr(datasets.base, "CHUNK", 1)
    for name in ("b.png", "d.png", "f.png"):
        (root / "images" / name).write_bytes(name.encode())
    problems = datasets.check(own(root))
    assert len(problems) == 3
    assert datasets.check(own(root), processes=2) == problems


def test_the_papers_preset_takes_a_folder_and_says_that_it_has_no_train_aug(root):
    settings = load_settings("voc12", {"data.name": "folder", "data.max_side": 1024, "data.root": str(root)})
    assert datasets.training_set(settings.data).names == ["a", "b", "c", "d"]
    with pytest.raises(DataError, match=r"has no split 'train_aug'.*so set infer\.split=train"):
        datasets.open_dataset(settings.data, settings.infer.split)


@pytest.mark.parametrize("fixture", ["root", "bare"])
def test_the_figures_of_the_data_chapter_can_be_drawn_with_and_without_masks(request, fixture):
    folder = request.getfixturevalue(fixture)
    (folder / "val.txt").write_text("e\nf\n")
    train = open_train(folder)
    shares = data_figures.mask_shares(train, num_masks=5)
    assert len(shares) == len(train.masked_names)
    assert data_figures.mean_estimate(shares["void"]).n == len(shares)
    data_figures.draw_examples(train, data_figures.pick_examples(train, 6))
    for draw in (data_figures.draw_class_counts, data_figures.draw_counts_per_image):
        draw(train)
    data_figures.draw_class_shares(shares)
    data_figures.draw_void(train, shares)
    assert data_figures.split_table({"train": train}).loc["train", ["images", "annotated", "labelled"]].tolist() == [4, 3, 3]
    plt.close("all")
