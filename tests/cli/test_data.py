"""`python -m ribstudy data`: check, fetch, synthesize."""

from pathlib import Path

import numpy as np
import pytest
from helpers.own_folder import HEIGHT, LABELS, WIDTH, save_image, write_labels, write_own_folder
from PIL import Image

from ribstudy.cli import data as data_command
from ribstudy.cli.main import main
from ribstudy.datasets import listed


@pytest.mark.parametrize(("data_set", "numbers"), [("voc12", "2 3 1"), ("coco14", "3 2")])
def test_a_synthetic_data_set_passes_the_check_of_its_preset(tmp_path, capsys, monkeypatch, data_set, numbers):
    monkeypatch.setattr("ribstudy.runtime.paths.DATA", tmp_path / "cache")
    root = tmp_path / "kit"
    sizes = zip(data_command.SIZES[data_set], numbers.split(), strict=True)
    options = [text for split, number in sizes for text in (f"--{split.replace('_', '-')}", number)]
    assert main(["data", "synthesize", data_set, "--root", str(root), "--processes", "1", *options]) == 0
    assert capsys.readouterr().out == f"{root}\n"
    check = ["data", "check", "--preset", data_set, "--root", str(root), "--processes", "1", "--decode"]
    assert main(check) == 0
    assert "no problems" in capsys.readouterr().err
    picture = next(root.rglob("*.jpg"))
    picture.write_bytes(b"")
    assert main(check) == 1
    assert f"{picture}: is empty" in capsys.readouterr().out


def test_a_list_of_the_images_replaces_them(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(listed, "FOLDER", tmp_path)
    monkeypatch.setattr("ribstudy.runtime.paths.DATA", tmp_path / "cache")
    root = str(tmp_path / "kit")
    numbers = ["--train", "1", "--train-aug", "1", "--val", "1"]
    assert main(["data", "synthesize", "voc12", "--root", root, "--processes", "1", *numbers]) == 0
    assert main(["data", "list", "drawn", "--preset", "voc12-lite", "--root", root, "--about", "drawings"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(tmp_path / "drawn.json")
    check = ["data", "check", "--preset", "voc12-lite", "--set", "data.listed=drawn", "--processes", "1"]
    assert main([*check, "--root", root]) == 0
    capsys.readouterr()
    assert main(check) == 1
    assert "are not here" in capsys.readouterr().out


def test_a_split_test_is_written_on_request(tmp_path):
    numbers = ["--train", "1", "--train-aug", "1", "--val", "1", "--test", "2"]
    assert main(["data", "synthesize", "voc12", "--root", str(tmp_path / "kit"), "--processes", "1", *numbers]) == 0
    assert len((tmp_path / "kit/ImageSets/Segmentation/test.txt").read_text().split()) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fetch"], "only voc12 can be downloaded"),
        (["fetch", "coco14", "--root", "x"], "only voc12 can be downloaded"),
        (["fetch", "voc12"], "pass the folder to write to: --root DIR"),
        (["synthesize"], "pass a format: voc12 or coco14"),
        (["synthesize", "voc12", "--train", "1"], "pass --train-aug N"),
        (["synthesize", "coco14", "--train", "1", "--val", "1"], "pass the folder"),
        (["synthesize", "coco14", "--train", "1", "--val", "1", "--test", "1"], "--test 1: only voc12 has a split test"),
        (["list"], "pass a name and a description"),
        (["list", "few"], "pass a name and a description"),
        (["list", "few", "--preset", "voc12", "--about", "some"], "data.root is not set"),
        (["check", "--processes", "0"], "--processes 0: at least 1"),
        (["check", "--preset", "custom"], "data.root"),
        (["--decode"], "--decode is an option of data check"),
    ],
)
def test_a_missing_option_is_named_in_one_line(arguments, message, capsys):
    assert main(["data", *arguments]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert len(error.splitlines()) == 1


def add_picture(root: Path, name: str) -> Path:
    write_labels(root, {**LABELS, name: "cat"})
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    return save_image(root / "images" / name, pixels)


def cut_in_half(root: Path) -> None:
    path = add_picture(root, "x.jpg")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def damage_exif(root: Path) -> None:
    Image.new("RGB", (WIDTH, HEIGHT)).save(add_picture(root, "x.jpg"), exif=b"Exif\0\0garbage!!!!", dpi=(72, 72))


def fill_with_void(root: Path) -> None:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[2:6, 2:6] = 255
    for name in "ae":
        save_image(root / "masks" / f"{name}.png", mask)


def name_300_classes(root: Path) -> None:
    for path in [*(root / "masks").iterdir(), root / "classes.txt"]:
        path.unlink()
    write_labels(root, {**LABELS, "a.png": ",".join(f"k{index}" for index in range(300))})


CASES = {  # what is done to a folder of own images, and the message; none if nothing is wrong
    "nothing": (lambda root: None, ""),
    "truncated picture": (cut_in_half, "images/x.jpg: the image is not readable, it may be truncated"),
    "damaged EXIF data": (damage_exif, ""),
    "long name": (lambda root: add_picture(root, "a%20" * 61 + ".jpg"), ""),
    "masks of 0 and 255": (fill_with_void, "masks: 2 images with a mask are labelled 'cat', but no mask contains its value 2"),
    "300 classes": (name_300_classes, "labels.csv: names 302 classes, but a mask has values for at most 254"),
}


@pytest.mark.parametrize("case", CASES)
def test_the_check_and_the_stage_refuse_the_same_data(tmp_path, capsys, case):
    change, message = CASES[case]
    write_own_folder(tmp_path / "own")
    change(tmp_path / "own")
    options = ["--preset", "custom", "--data-root", str(tmp_path / "own")]
    expected = 1 if message else 0
    assert main(["data", "check", *options, "--processes", "1"]) == expected
    shown = capsys.readouterr()
    assert (message in shown.out) if message else ("no problems" in shown.err)
    assert main(["data", *options, "--results", str(tmp_path / "results")]) == expected
    error = capsys.readouterr().err.splitlines()[-1:]
    assert not message or message in error[0]
