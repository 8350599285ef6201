"""The lists of a folder of own images: tables as people write them, and the message for every fault."""

import io
import time
import unicodedata
import zlib
from pathlib import Path

import numpy as np
import pytest
from helpers.own_folder import HEIGHT, LABELS, WIDTH, open_train, own, write_labels
from PIL import Image

from ribstudy import datasets
from ribstudy.datasets import folder as folder_module
from ribstudy.datasets.base import DataError
from ribstudy.datasets.folder_lists import draw_val, read_listing
from ribstudy.items import ARRAYS, MASKS
from ribstudy.store import Store


def test_without_classes_txt_the_classes_are_sorted(bare_root):
    assert datasets.class_names(own(bare_root)) == ("cat", "dog")


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
def test_tables_as_spreadsheets_write_them(bare_root, text):
    (bare_root / "labels.csv").write_bytes(text.encode())
    (bare_root / "val.txt").write_text("b")
    assert open_train(bare_root).names == ["a"]
    assert datasets.class_names(own(bare_root)) == ("cat", "dog")


def test_a_class_may_contain_a_quoted_comma_and_any_letters(bare_root):
    (bare_root / "images" / "a.png").rename(bare_root / "images" / unicodedata.normalize("NFD", "Käfer 蟲.png"))
    write_labels(bare_root, {unicodedata.normalize("NFC", "Käfer 蟲.png"): '"beetle, Käfer"', "b.png": "dog", "d.png": ""})
    (bare_root / "val.txt").write_text("d")
    train = open_train(bare_root)
    assert train.names == ["Käfer 蟲", "b"]
    assert train.class_names == ("beetle, Käfer", "dog")
    assert train.image("Käfer 蟲").shape == (HEIGHT, WIDTH, 3)
    assert datasets.check(own(bare_root)) == []


def test_images_without_a_line_are_ignored_and_counted(bare_root, caplog):
    write_labels(bare_root, {name: classes for name, classes in LABELS.items() if name != "c.png"})
    (bare_root / "val.txt").write_text("e\n")
    with caplog.at_level("INFO"):
        assert datasets.check(own(bare_root)) == []
    assert "1 images have no line in labels.csv" in caplog.text
    assert open_train(bare_root).names == ["a", "b", "d", "f"]


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
    "no suffix": {"a": "cat", **{name: classes for name, classes in LABELS.items() if name != "a.png"}},
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
    "class of labelme": ("classes.txt", "__ignore__\n_background_\ndog\ncat\n"),
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
    "unknown class": r"labels.csv: line 2: class 'cta' is not in classes.txt; did you mean 'cat'\?",
    "missing picture": r"line 8: 'g.png' is not in images/",
    "other case": r"line 2: 'A.png' is not in images/; did you mean",
    "no picture": r"line 8: 'g.gif' is not an image; known suffixes: .jpg",
    "path": "line 8: 'sub/g.png' is a path",
    "class twice": "line 2: names 'cat' twice",
    "semicolon within": "line 2: 'cat;dog' contains a semicolon",
    "reserved": "line 2: a class cannot be called 'background'",
    "semicolons": "columns are separated by semicolons; expected commas",
    "tabs": "columns are separated by tabs; expected commas",
    "no header": "its first line is 'a.png,cat'; expected the header image,class",
    "empty table": "its first line is ''; expected the header",
    "open quote": "is not readable as CSV",
    "image twice": "line 4: 'a.png' has the same name as line 2; write all classes of an image into one line",
    "one image": "names 1 usable images; at least two are needed",
    "no classes at all": "names no class",
    "empty classes": "classes.txt: is empty",
    "repeated class": "classes.txt: class 'dog' is listed more than once",
    "reserved class": "classes.txt: a class cannot be called 'void'",
    "class of labelme": "classes.txt: a class cannot be called '__ignore__'; list only classes that can be learned",
    "no suffix": r"line 2: 'a' is not in images/",
    "too many classes": "classes.txt: names 255 classes, but a mask has values for at most 254",
    "empty val": "val.txt: is empty",
    "unknown in val": "val.txt: 'fff.png' has no usable line in labels.csv; did you mean 'f.png'",
    "twice in val": "val.txt: 'e' is listed more than once",
    "all in val": "val.txt: holds out every image",
    "latin-1": "labels.csv: is not UTF-8",
    "stem twice": "line 8: 'a.jpg' has the same name as line 2; without their suffixes, names must be unique",
    "subfolder": "more: images in subfolders are not read",
    "masks without classes": "classes.txt: is missing; masks need it",
    "accents": "line 8: 'ä.png' exists twice, with its accents encoded in two ways",
}


@pytest.mark.parametrize("fault", LIST_FAULTS)
def test_a_fault_in_the_lists_is_named_by_check_and_by_the_reader(own_root, fault):
    spoil(own_root, fault)
    with pytest.raises(DataError, match=LIST_FAULTS[fault]) as caught:
        datasets.open_dataset(own(own_root), "train")
    assert str(own_root) in str(caught.value)
    assert str(caught.value).split(" (and ")[0] in datasets.check(own(own_root))


def test_missing_folder_pictures_and_table(own_root, tmp_path):
    assert (
        "own2/images: this folder is missing; data.root is a folder with images/" in datasets.check(own(tmp_path / "own2"))[0]
    )
    (own_root / "labels.csv").unlink()
    assert "labels.csv: is missing; expected the header image,class" in datasets.check(own(own_root))[0]
    for path in (own_root / "images").iterdir():
        path.unlink()
    assert "contains no image; known suffixes: .jpg" in datasets.check(own(own_root))[0]
    with pytest.raises(DataError, match=r"data\.root is not set: pass a folder with images/ and labels\.csv"):
        datasets.open_dataset(own(None), "train")


def test_all_faults_are_reported_at_once(own_root):
    write_labels(own_root, {**LABELS, "a.png": "cta", "g.png": "cat"})
    (own_root / "val.txt").write_text("e\nf\nhhh\n")
    (own_root / "images" / "b.png").write_bytes(b"")
    assert len(datasets.check(own(own_root))) == 1 + 1 + 1 + 1 + 1  # the last one for the mask of a, which has no usable line
    with pytest.raises(DataError, match=r"cta.* \(and 3 more: python -m ribstudy data check\)"):
        open_train(own_root)


def test_the_lists_are_read_once_until_something_changes(own_root, monkeypatch):
    read = []
    monkeypatch.setattr(folder_module, "read_listing", lambda own_root: read.append(own_root) or read_listing(own_root))
    for _ in range(3):
        assert open_train(own_root).names == ["a", "b", "c", "d"]
    assert len(read) == 1
    (own_root / "val.txt").write_text("d\nf.png\ne\n")
    assert open_train(own_root).names == ["a", "b", "c"]
    (own_root / "images" / "a.png").unlink()
    with pytest.raises(DataError, match=r"'a\.png' is not in images/"):
        open_train(own_root)


DOUBTS = {
    "other case": ("cat", "Cat", "classes 'Cat' and 'cat' differ only in capitals, spaces or punctuation"),
    "spaces": ("big cat", "big  cat", "classes 'big  cat' and 'big cat' differ only in capitals"),
    "underscore": ("big cat", "big_cat", "classes 'big cat' and 'big_cat' differ only in capitals"),
    "no width": ("cat", "cat\u200b", r"classes 'cat' and 'cat\\u200b' differ only in capitals"),
    "bars": ("cat", "cat|dog", r"class 'cat\|dog' seems to be a list of classes; write each class into a column of its own"),
    "blanks": ("cat", "cat dog", "class 'cat dog' seems to be a list of classes"),
    "one cell": ("cat", '"cat, dog"', "class 'cat, dog' seems to be a list of classes"),
    "a list": ("cat", "['bird']", r"""class "\['bird'\]" seems to be a list of classes"""),
    "a number": ("cat", "0.9", "class '0.9' is a number and others are words; a line has an image, and then only its classes"),
    "missing value": ("cat", "NaN", "line 3: a class cannot be called 'NaN'"),
}


@pytest.mark.parametrize("doubt", DOUBTS)
def test_classes_that_may_be_meant_otherwise_are_reported(bare_root, doubt):
    first, second, message = DOUBTS[doubt]
    write_labels(bare_root, {"a.png": first, "b.png": second, "c.png": "dog", "d.png": "", "e.png": "dog"})
    (bare_root / "val.txt").write_text("e\n")
    with pytest.raises(DataError, match=message):
        open_train(bare_root)
    if doubt != "missing value":
        names = [first, second.strip('"'), "dog"]
        (bare_root / "classes.txt").write_text("\n".join(names))
        assert datasets.check(own(bare_root)) == []


def test_more_classes_than_a_mask_has_values_for_are_reported(bare_root):
    """Also without masks and classes.txt, because maps become masks."""
    names = [f"{index}.png" for index in range(256)]
    for name in names:
        (bare_root / "images" / name).write_bytes((bare_root / "images" / "a.png").read_bytes())
    (bare_root / "val.txt").write_text("255\n")
    for number, accepted in ((254, True), (255, False)):
        write_labels(bare_root, {name: f"k{index % number}" for index, name in enumerate(names)})
        problems = datasets.check(own(bare_root))
        assert [problem for problem in problems if "classes, but a mask has values for at most 254" in problem] == (
            [] if accepted else [f"{bare_root / 'labels.csv'}: names 255 classes, but a mask has values for at most 254"]
        )


def test_names_with_any_character_of_a_file_name_are_read(bare_root):
    names = ["a b#c%20d.png", "x{0}[1]*?.png", "'quoted' $y$.png", "-n.PNG", "\u732b.png", "a.b.png"]
    (bare_root / "masks").mkdir()
    (bare_root / "classes.txt").write_text("dog\ncat\n")
    for name in names:
        (bare_root / "images" / name).write_bytes((bare_root / "images" / "a.png").read_bytes())
        mask = Image.new("L", (WIDTH, HEIGHT), 2)
        mask.save(bare_root / "masks" / f"{name[:-4]}.png")
    write_labels(bare_root, {**dict.fromkeys(names, "cat"), "b.png": "dog", "c.png": ""})
    (bare_root / "val.txt").write_text(f"c\n{names[0]}\n")
    assert datasets.check(own(bare_root)) == []
    train = open_train(bare_root)
    assert train.names == sorted([*(name[:-4] for name in names[1:]), "b"])
    for name in train.masked_names:
        assert train.mask(name).min() == 2
        assert train.image(name).shape == (HEIGHT, WIDTH, 3)


def test_a_name_as_long_as_a_file_name_can_be_is_read_and_written(bare_root, tmp_path):
    name = "a%20" * 62 + "abc"  # 251 bytes, and the suffix has four
    (bare_root / "images" / "a.png").rename(bare_root / "images" / f"{name}.png")
    write_labels(bare_root, {f"{name}.png": "cat", "b.png": "dog", "d.png": ""})
    (bare_root / "val.txt").write_text("d\n")
    assert datasets.check(own(bare_root)) == []
    assert open_train(bare_root).names[0] == name
    for items in (ARRAYS, MASKS):
        result = Store(tmp_path / "results").result("stage", items.suffix, items)
        result.write_item(name, {"x": np.zeros(1)} if items is ARRAYS else np.zeros((2, 2), np.uint8))
        assert result.has_item(name)


def test_lists_are_read_in_time_that_grows_with_their_length(tmp_path):
    """Every line has a fault: no suffix, an unknown class, or a name that val.txt repeats."""
    picture = io.BytesIO()
    Image.new("RGB", (4, 4)).save(picture, "PNG")

    def seconds(number: int) -> float:
        root = tmp_path / str(number)
        (root / "images").mkdir(parents=True)
        for index in range(number):
            (root / "images" / f"im{index}.png").write_bytes(picture.getvalue())
        write_labels(root, {f"im{index}{'.png' * (index % 2)}": "cat" if index % 4 else f"c{index}" for index in range(number)})
        (root / "classes.txt").write_text("cat\ndog\n")
        (root / "val.txt").write_text("".join(f"im{index // 2}.png\n" for index in range(number)))
        return min(once(root, number) for _ in range(3))  # other work of the process, such as its memory, can slow one of them

    def once(root: Path, number: int) -> float:
        start = time.process_time()
        assert len(read_listing(root).problems) > number // 2
        return time.process_time() - start

    seconds(50)
    short, long = seconds(250), seconds(2000)
    assert long < 8 * 3 * short  # 64 times as long if the time were quadratic


@pytest.mark.parametrize("name", ["val.txt", "classes.txt", "labels.csv"])
@pytest.mark.parametrize("change", ["folder", "broken link"])
def test_a_list_that_is_there_but_cannot_be_read_is_not_a_missing_one(own_root, name, change):
    path = own_root / name
    path.unlink()
    path.mkdir() if change == "folder" else path.symlink_to("nowhere")
    reason = "could not be read (Is a directory)" if change == "folder" else "is missing"
    assert datasets.check(own(own_root)) == [f"{path}: {reason}"]


@pytest.mark.parametrize("name", ["val.txt", "masks", "images", "labels.csv"])
def test_capitals_in_the_name_of_a_part_are_reported(own_root, name):
    """On Windows and macOS, they do not matter."""
    other = (own_root / name).rename(own_root / name.capitalize())
    expected = [] if (own_root / name).exists() else [f"{other}: is not read; rename it to {name}"]
    assert datasets.check(own(own_root)) == expected


def test_texts_instead_of_classes_are_reported_in_time_that_grows_with_their_number(tmp_path):
    number = 3000
    (tmp_path / "images").mkdir()
    for index in range(number):
        (tmp_path / "images" / f"{index}.png").write_bytes(b"")
    write_labels(tmp_path, {f"{index}.png": f"a photo of cat {index}" for index in range(number)})
    start = time.process_time()
    problems = datasets.check(own(tmp_path))
    assert time.process_time() - start < 3
    assert f"{tmp_path / 'labels.csv'}: names {number} classes, but a mask has values for at most 254" in problems
