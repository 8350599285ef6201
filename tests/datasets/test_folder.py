"""A folder of own images: what is read from it, whether its classes can be learned, its masks and its identity."""

import re

import matplotlib.pyplot as plt
import numpy as np
import pytest
from helpers.own_folder import HEIGHT, LABELS, WIDTH, open_train, own, save_image, write_labels
from PIL import Image

from ribstudy import datasets
from ribstudy.config import load_settings
from ribstudy.datasets import pictures
from ribstudy.datasets.base import DataError, read_bytes
from ribstudy.evaluation.statistics import normal_mean
from ribstudy.report.figures import data as data_figures


def test_names_labels_and_splits(own_root):
    train, val = (datasets.open_dataset(own(own_root), split) for split in ("train", "val"))
    assert (train.names, val.names) == (["a", "b", "c", "d"], ["e", "f"])
    assert train.class_names == datasets.class_names(own(own_root)) == ("dog", "cat")
    assert train.labels.tolist() == [[False, True], [True, False], [True, True], [False, False]]
    assert (train.labels.dtype, train.num_objects("a")) == (bool, None)
    assert datasets.splits(own(own_root)) == ("train", "val")
    assert datasets.training_set(own(own_root)).names == train.names
    assert [path.name for path in datasets.lists(own(own_root))] == ["labels.csv", "classes.txt", "val.txt"]
    assert train.image("c").tolist() == np.full((HEIGHT, WIDTH, 3), (20, 0, 0)).tolist()


def test_there_is_no_train_aug(own_root):
    with pytest.raises(
        DataError,
        match=r"folder has no split 'train_aug', only train, val: the classifier is trained on split train; use split=train",
    ):
        datasets.open_dataset(own(own_root), "train_aug")


def test_the_check_finds_no_fault(own_root):
    assert datasets.check(own(own_root), decode=True) == []


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"a.png": "cat", "b.png": "cat"}, "class 'cat' is in every training image, so it cannot be learned"),
        ({"a.png": "cat", "b.png": "", "f.png": "dog"}, "class 'dog' is in no training image"),
        ({"a.png": "cat", "b.png": "dog"}, None),
        ({"a.png": "cat", "b.png": ""}, None),
    ],
    ids=["everywhere", "nowhere", "two_classes", "one_class"],
)
def test_whether_the_classes_can_be_learned(bare_root, labels, message):
    write_labels(bare_root, {**labels, "f.png": labels.get("f.png", "")})
    (bare_root / "val.txt").write_text("f\n")
    problems = datasets.check(own(bare_root))
    assert len(problems) == (message is not None)
    assert message is None or message in problems[0]


def test_classes_with_a_control_character_are_reported(own_root):
    (own_root / "classes.txt").write_text("dog\ncat\ncow\x07\n")
    write_labels(own_root, {**LABELS, "b.png": "dog,cow\x07"})
    problems = datasets.check(own(own_root))
    assert (
        f"{own_root / 'classes.txt'}: class 'cow\\x07' contains a control character, which cannot be seen; remove it"
        in problems
    )
    assert any(
        problem.endswith("line 3: class 'cow\\x07' contains a control character, which cannot be seen; remove it")
        for problem in problems
    )


def test_an_image_that_is_hidden_is_reported(own_root):
    (own_root / "images" / "d.png").rename(own_root / "images" / ".d.png")
    write_labels(own_root, {(".d.png" if name == "d.png" else name): classes for name, classes in LABELS.items()})
    (problem,) = datasets.check(own(own_root))
    assert problem.endswith("line 5: '.d.png' is hidden, because its name begins with a point; rename the file")


def test_images_without_auxiliary_images_are_logged_once(bare_root, caplog):
    write_labels(bare_root, {"a.png": "cat", "b.png": "dog", "c.png": "cat,dog", "e.png": "dog,cat", "f.png": ""})
    (bare_root / "val.txt").write_text("e\nf\n")
    assert datasets.check(own(bare_root)) == []
    (record,) = caplog.records
    assert "2 images, such as c (cat, dog), share a class with every training image" in record.getMessage()
    assert (
        "add images of other classes or of none, or adapt without auxiliary images: --set auxiliary.batch_size=0"
        in record.getMessage()
    )


@pytest.mark.parametrize("name", ["x.jpg", "x.png", "x.tif", "x.webp"])
def test_the_mask_of_a_rotated_image_has_the_upright_size(own_root, name):
    exif = Image.Exif()
    exif[0x0112] = 6  # rotated by 90 degrees
    save_image(own_root / "images" / name, np.zeros((16, 32, 3), np.uint8), exif=exif)
    write_labels(own_root, {**LABELS, name: "cat"})
    save_image(own_root / "masks" / "x.png", np.full((32, 16), 2, np.uint8))
    assert datasets.check(own(own_root), decode=True) == []
    small = datasets.open_dataset(own(own_root, max_side=32), "train")
    assert small.image("x").shape[:2] == small.mask("x").shape == (32, 16)
    save_image(own_root / "masks" / "x.png", np.full((16, 32), 2, np.uint8))
    (problem,) = datasets.check(own(own_root))
    assert f"x.png: is 32 x 16 px, but {name} is 16 x 32 px" in problem


def test_the_check_opens_every_file_once(own_root, monkeypatch):
    opened = []
    monkeypatch.setattr(pictures, "read_bytes", lambda path: opened.append(path) or read_bytes(path))
    assert datasets.check(own(own_root)) == []
    files = [*(own_root / "images").iterdir(), *(own_root / "masks").iterdir()]
    assert sorted(opened) == sorted(files)


def test_shrinking_of_pictures_and_masks(own_root):
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 256, (60, 100, 3), dtype=np.uint8)
    mask = np.zeros((60, 100), np.uint8)
    mask[:30, 50:] = 2
    save_image(own_root / "images" / "a.png", colours)
    save_image(own_root / "masks" / "a.png", mask)
    train = datasets.open_dataset(own(own_root, max_side=50), "train")
    expected = Image.fromarray(colours).resize((50, 30), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(train.image("a"), np.asarray(expected))
    np.testing.assert_array_equal(train.mask("a"), mask[::2, ::2])
    assert train.image("b").shape == (HEIGHT, WIDTH, 3)  # nothing is enlarged
    assert datasets.fingerprint(own(own_root, max_side=50)) != datasets.fingerprint(own(own_root))


@pytest.mark.parametrize("name", ["x.jpg", "x.png", "x.bmp", "x.webp", "x.tif"])
def test_a_broken_picture_is_named(own_root, name):
    path = save_image(own_root / "images" / name, np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    write_labels(own_root, {**LABELS, name: "cat"})
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(DataError, match=rf"{name}: "):
        open_train(own_root).image("x")
    (problem,) = datasets.check(own(own_root), decode=True)
    assert problem.startswith(str(path))
    path.write_bytes(b"<html>")
    (problem,) = datasets.check(own(own_root))
    assert problem == f"{path}: is not readable as one of JPEG, PNG, BMP, WEBP, TIFF"
    path.write_bytes(b"")
    assert datasets.check(own(own_root)) == [f"{path}: is empty (0 bytes)"]


def test_masks_of_some_images(own_root):
    train = open_train(own_root)
    assert (train.has_masks, train.masked_names) == (True, ["a"])
    assert np.unique(train.mask("a")).tolist() == [0, 2, 255]
    with pytest.raises(DataError, match=r"no masks: .*b\.png does not exist"):
        train.mask("b")


def test_a_folder_without_masks(bare_root):
    train = open_train(bare_root)
    assert (train.has_masks, train.masked_names) == (False, [])
    with pytest.raises(DataError, match=r"no masks: split train has none in .*own/masks; scores need masks"):
        train.mask(train.names[0])


@pytest.mark.parametrize(
    ("name", "mask", "message"),
    [
        ("a.png", np.full((HEIGHT, WIDTH), 3, np.uint8), r"a\.png: contains \[3\], but only 0 to 2 and 255"),
        ("a.png", np.zeros((HEIGHT, WIDTH, 3), np.uint8), r"a\.png: has mode RGB, but a mask contains class indices"),
        ("a.png", np.zeros((4, 4), np.uint8), r"a\.png: is 4 x 4 px, but a\.png is 12 x 8 px"),
        ("a.png", np.full((HEIGHT, WIDTH), 1, np.uint8), r"a\.png: contains dog, which labels\.csv does not list for a\.png"),
        ("g.png", np.zeros((HEIGHT, WIDTH), np.uint8), r"masks/g\.png: labels\.csv has no image of this name"),
        ("b.bmp", np.zeros((HEIGHT, WIDTH), np.uint8), r"masks/b\.bmp: is not a \.png file"),
    ],
)
def test_a_fault_in_a_mask_is_named(own_root, name, mask, message):
    save_image(own_root / "masks" / name, mask)
    (problem,) = datasets.check(own(own_root))
    assert re.search(message, problem)


def test_the_fingerprint_depends_on_listed_images_and_not_on_masks(own_root):
    before = datasets.fingerprint(own(own_root))
    (own_root / "masks" / "a.png").unlink()
    Image.new("RGB", (3, 3)).save(own_root / "images" / "unlisted.png")
    assert datasets.fingerprint(own(own_root)) == before
    save_image(own_root / "images" / "a.png", np.random.default_rng(0).integers(0, 256, (9, 9, 3), dtype=np.uint8))
    assert datasets.fingerprint(own(own_root)) != before


def test_nothing_is_written_into_the_folder(own_root):
    before = {path: path.stat().st_mtime_ns for path in own_root.rglob("*")}
    datasets.prepare(own(own_root))
    datasets.check(own(own_root), decode=True)
    open_train(own_root).mask("a")
    assert {path: path.stat().st_mtime_ns for path in own_root.rglob("*")} == before


def test_the_check_gives_the_same_with_two_processes(own_root, monkeypatch):
    monkeypatch.setattr(datasets.base, "CHUNK", 1)
    for name in ("b.png", "d.png", "f.png"):
        (own_root / "images" / name).write_bytes(name.encode())
    problems = datasets.check(own(own_root))
    assert len(problems) == 3
    assert datasets.check(own(own_root), processes=2) == problems


def test_the_papers_preset_accepts_a_folder(own_root):
    settings = load_settings("voc12", {"data.name": "folder", "data.max_side": 1024, "data.root": str(own_root)})
    assert datasets.training_set(settings.data).names == ["a", "b", "c", "d"]
    with pytest.raises(DataError, match=r"has no split 'train_aug', .* use split=train"):
        datasets.open_dataset(settings.data, "train_aug")


@pytest.mark.parametrize("fixture", ["own_root", "bare_root"])
def test_the_figures_of_the_data_chapter_can_be_drawn_with_and_without_masks(request, fixture):
    folder = request.getfixturevalue(fixture)
    (folder / "val.txt").write_text("e\nf\n")
    train = open_train(folder)
    shares = data_figures.mask_shares(train, num_masks=5)
    assert len(shares) == len(train.masked_names)
    assert normal_mean(shares["void"]).n == len(shares)
    data_figures.draw_examples(train, data_figures.pick_examples(train, 6))
    for draw in (data_figures.draw_class_counts, data_figures.draw_counts_per_image):
        draw(train)
    data_figures.draw_class_shares(shares)
    data_figures.draw_void_detail(train, shares)
    data_figures.draw_void_shares(shares)
    assert data_figures.split_table({"train": train}).loc["train", ["images", "annotated", "labelled"]].tolist() == [4, 3, 3]
    plt.close("all")
