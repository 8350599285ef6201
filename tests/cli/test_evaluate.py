"""`python -m ribstudy evaluate`."""

import numpy as np
import pandas as pd
import pytest
from helpers.tiny_study import options_of, run_in

from ribstudy import datasets
from ribstudy.cli.evaluate import evaluate
from ribstudy.cli.main import main
from ribstudy.datasets.settings import ImageSelection
from ribstudy.evaluation.metrics import ConfusionMatrix
from ribstudy.evaluation.predictions import predicted_mask
from ribstudy.stages.maps import CAM


@pytest.fixture(scope="module")
def options(tmp_path_factory, data_root, trained):
    """Options of the command line, in a folder of results with a classifier; CAMs are computed by the first test."""
    root = run_in(tmp_path_factory.mktemp("evaluate") / "results", data_root, trained).store.root
    return [*options_of(data_root, root), "--processes", "1"]


@pytest.fixture(scope="module")
def run(options, data_root):
    return run_in(options[options.index("--results") + 1], data_root, images=ImageSelection(split="val"))


def scores_by_hand(run, threshold):
    """The scores of the CAMs from one confusion matrix of all images."""
    dataset = datasets.open_dataset(run.settings.data, "val")
    matrix = ConfusionMatrix(len(dataset.class_names) + 1)
    for name, maps in run.stored(CAM).items():
        matrix.update(dataset.mask(name), predicted_mask(maps, threshold))
    return matrix.summary()


def test_scores_equal_those_of_the_masks_at_the_threshold(run):
    table = evaluate("cam", run, threshold=0.3, processes=1)
    expected = scores_by_hand(run, 0.3)
    mean = table.iloc[0]
    assert mean["class"] == "mean"
    assert (mean["stage"], mean["images"], mean["threshold"]) == ("cam", 3, 0.3)
    for column, name in {"iou": "miou", "precision": "precision", "recall": "recall"}.items():
        assert mean[column] == pytest.approx(expected[name])
        assert table[1:][column].mean() == pytest.approx(mean[column])  # without nan
    assert list(table["class"][1:3]) == ["background", datasets.class_names(run.settings.data)[0]]


def test_the_best_threshold_is_the_one_with_the_highest_miou(run):
    best = evaluate("cam", run, processes=1).iloc[0]
    others = [evaluate("cam", run, threshold=t, processes=1).iloc[0]["iou"] for t in np.arange(0, 100, 7) / 100]
    assert best["iou"] >= max(others)
    assert best["iou"] == evaluate("cam", run, threshold=best["threshold"], processes=1).iloc[0]["iou"]


def test_the_command_prints_the_table_and_writes_it(options, tmp_path, capsys):
    command = ["evaluate", "cam", *options, "--images", "split=val"]
    assert main([*command, "--out", str(tmp_path / "table.csv")]) == 0
    printed = capsys.readouterr().out
    assert "3 images" in printed
    assert "the best one on these images" in printed
    assert "background threshold" in printed
    table = pd.read_csv(tmp_path / "table.csv")
    assert f"{table.iloc[0]['iou']:.4f}" in printed
    assert main([*command, "--threshold", "0.5", "--classes"]) == 0
    printed = capsys.readouterr().out
    assert "background threshold 0.50\n" in printed
    assert len(printed.splitlines()) == len(table) + 2


def test_masks_are_scored_without_a_threshold(options, run, capsys):
    command = ["evaluate", "masks", *options, "--images", "split=val,limit=1", "--set", "maps=cam", "--set", "masks.walk=false"]
    command += ["--set", "masks.crf=false", "--set", "masks.threshold=0.3"]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("masks: 1 images\n")
    first = run.with_images(ImageSelection(split="val", limit=1))
    assert f"{scores_by_hand(first, 0.3)['miou']:.4f}" in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["cam", "--threshold", "0.305"], "--threshold 0.305: expected one of 0, 0.01"),
        (["predictions", "--threshold", "0.3"], "predictions are masks, which need no threshold"),
    ],
)
def test_a_bad_threshold_is_refused(options, capsys, arguments, message):
    assert main(["evaluate", *arguments, *options]) == 1
    assert message in capsys.readouterr().err


def test_a_stage_without_scores_is_refused(capsys):
    with pytest.raises(SystemExit):
        main(["evaluate", "classifier"])
    assert "invalid choice: 'classifier'" in capsys.readouterr().err


def test_images_without_masks_are_refused(options, monkeypatch, capsys):
    monkeypatch.setattr("ribstudy.datasets.voc12.VocDataset.masked_names", [])
    assert main(["evaluate", "cam", *options, "--images", "split=val"]) == 1
    assert "no image of split 'val' has a true mask" in capsys.readouterr().err
