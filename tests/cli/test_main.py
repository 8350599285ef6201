"""The command line: its options, and errors in one line."""

from pathlib import Path

import pytest
from helpers.tiny_study import options_of, run_in

from ribstudy.cli.main import _parser, main
from ribstudy.cli.study import presets
from ribstudy.runtime.limits import NEEDS_MEMORY
from ribstudy.stages import ItemsFailed, Shard
from ribstudy.stages.failures import ItemFailure
from ribstudy.workflow.book import batch_of_book


@pytest.mark.parametrize("text", ["2/2", "1", "a/b", "-1/2", "0/0"])
def test_bad_shards_are_refused(text):
    with pytest.raises(ValueError, match="shard"):
        Shard.parse(text)


def test_command_line(tmp_path, data_root, capsys):
    options = options_of(data_root, tmp_path)
    assert main(["status", "--results", str(tmp_path / "none")]) == 1
    assert "no such folder" in capsys.readouterr().err
    assert main(["cam", *options, "--processes", "0"]) == 1
    assert main(["status", *options]) == 0
    assert "not run" in capsys.readouterr().out
    assert main(["cam", *options, "--shard", "0/2"]) == 0
    assert main(["cam", *options]) == 0
    folder = capsys.readouterr().out.splitlines()[-1]
    assert len(list(Path(folder).glob("items/*.npz"))) == 4
    main(["status", *options])
    assert "finished (4/4)" in capsys.readouterr().out


def test_command_line_errors_are_one_line(tmp_path, capsys):
    assert main(["rib", "--set", "rib.taau=1", "--results", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith("error: preset study: rib.taau is unknown, did you mean tau?")
    assert main(["rib", "--preset", "voc12", "--data-root", str(tmp_path / "none"), "--results", str(tmp_path)]) == 1
    assert "none" in capsys.readouterr().err
    assert main(["rib", "--set", "rib.tau=[1", "--results", str(tmp_path)]) == 1
    assert "this value is not YAML" in capsys.readouterr().err
    assert main(["data", "--decode", "--results", str(tmp_path)]) == 1
    assert main(["data", "check", "--data-root", str(tmp_path / "none")]) == 1
    assert "not drawn yet" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["cam", "--images", ""], "images"),
        (["cam", "--each", "{images: {limit: 1}}"], "images = {'limit': 1}: expected a text, such as split=val,limit=2"),
        (["classifier", "--each", "{images: split=val}"], "--each: the stage classifier has no images to select"),
        (["rib", "--images", "class_name=wolf"], "images.class_name = 'wolf' is not a class of the data"),
        (["masks", "--images", "skip=1000"], "images.skip = 1000 leaves no image"),
        (["walk", "--set", "affinity.images={skip: 1000}"], "images.skip = 1000 leaves no image"),
    ],
)
def test_a_bad_selection_is_refused_before_any_training(tmp_path, data_root, capsys, arguments, message):
    assert main([*arguments, *options_of(data_root, tmp_path)]) == 1
    assert message in capsys.readouterr().err
    assert not list(tmp_path.glob("runs/classifier-*"))


def test_a_stage_is_run_under_each_of_several_settings(tmp_path, data_root, trained, capsys):
    root = run_in(tmp_path / "results", data_root, trained).store.root
    options = [*options_of(data_root, root), "--processes", "1"]
    options += ["--each", "{cam.scales: [1.0]}", "--each", "{cam.scales: [1.0, 0.5]}"]
    assert main(["cam", *options]) == 0
    assert len(set(capsys.readouterr().out.split())) == len(list((root / "runs").glob("cam-*"))) == 2
    assert main(["cam", *options, "--each", "{cam.scalse: [1.0]}"]) == 1
    assert "scalse" in capsys.readouterr().err


@pytest.mark.parametrize(("out_of_memory", "code"), [(True, NEEDS_MEMORY), (False, 1)])
def test_the_exit_code_tells_whether_more_memory_may_help(tmp_path, data_root, monkeypatch, capsys, out_of_memory, code):
    def execute(stage, run, **options):
        failed = {"a": ItemFailure("a fault", out_of_memory=False), "b": ItemFailure("too large", out_of_memory)}
        raise ItemsFailed(stage.name, failed, tmp_path)

    monkeypatch.setattr("ribstudy.stages.execute", execute)
    assert main(["cam", *options_of(data_root, tmp_path)]) == code
    assert "b: too large" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["left"], ["compare"], ["publish"], ["verify"]])
def test_commands_on_the_study_are_on_the_presets_of_the_book(command):
    assert presets(_parser().parse_args(command)) == batch_of_book().presets
    assert presets(_parser().parse_args([*command, "--preset", "mini"])) == ("mini",)
