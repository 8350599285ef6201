"""`python -m ribstudy data`: check, fetch, synthesize."""

import pytest

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
