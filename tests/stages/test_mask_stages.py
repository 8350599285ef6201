"""The stages from maps to predictions, on a few small images of MiniVOC and with random weights."""

import shutil

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch
from helpers.tiny_study import TINY, files, launch, options_of
from PIL import Image

from ribstudy import datasets
from ribstudy.cli.main import main
from ribstudy.config import load_settings
from ribstudy.datasets.settings import ImageSelection
from ribstudy.evaluation.mask_scores import score_masks
from ribstudy.evaluation.metrics import threshold_sweep
from ribstudy.evaluation.sweeps import sweep_scores
from ribstudy.masks.threshold import AGREEMENT_THRESHOLDS
from ribstudy.stages import STAGES, Run, Shard, execute
from ribstudy.stages.evaluate import MAP_EVALUATIONS
from ribstudy.stages.masks import AGREEMENT, mask_threshold
from ribstudy.stages.segmentation import EVALUATE_PREDICTIONS, PREDICTIONS, SEGMENTATION
from ribstudy.stages.walk import AFFINITY, WALK
from ribstudy.store import Store
from ribstudy.training import fit
from ribstudy.training.files import WEIGHTS

SMALL = {
    **TINY,
    "affinity.images": {"split": "train_aug", "limit": 4},
    "affinity.weights": None,
    "affinity.epochs": 1,
    "affinity.batch_size": 2,
    "affinity.crop_size": 96,
    "masks.threshold": None,
    "choices": {"split": "val", "limit": 2, "masked": True},
    "segmentation.images": {"split": "train_aug", "limit": 4},
    "segmentation.weights": None,
    "segmentation.iterations": 4,
    "segmentation.batch_size": 2,
    "segmentation.crop_size": 64,
    "segmentation.interval": 2,
    "segmentation.rescale": [1.0],
    "maps": "cam",
}


@pytest.fixture(scope="module")
def data_root(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "minivoc"
    datasets.prepare(load_settings("mini", {**SMALL, "data.root": str(root)}).data)
    return root


@pytest.fixture(scope="module")
def done(data_root, tmp_path_factory):
    """A store in which all stages are finished."""
    run = run_in(tmp_path_factory.mktemp("done"), data_root)
    execute(PREDICTIONS, run)
    return run


def run_in(root, data_root, done=None, **overrides) -> Run:
    if done is not None:
        shutil.copytree(done.store.root, root, dirs_exist_ok=True)
    settings = load_settings("mini", {**SMALL, "data.root": str(data_root), **overrides})
    return Run(settings, ImageSelection(split="val", limit=2), Store(root))


def test_everything_before_predictions_is_run_for_the_images_that_need_it(done):
    expected = {"cam": 4 + 2, "labels": 4, "walk": 4 + 2, "masks": 4, "scores": 2, "predictions": 2}
    assert {name: len(done.result(STAGES[name]).item_names()) for name in expected} == expected
    for name in done.items(PREDICTIONS):
        mask = done.result(PREDICTIONS).read_item(name)
        assert mask.shape == (64, 64)
        assert mask.max() <= len(datasets.class_names(done.settings.data))
        assert Image.open(done.result(PREDICTIONS).item_path(name)).mode == "P"


def test_keys_follow_what_a_stage_depends_on(done):
    everything = ["labels", "affinity", "walk", "masks", "segmentation", "predictions"]

    def keys(**overrides):
        settings = load_settings("mini", {**SMALL, "data.root": str(done.settings.data.root), **overrides})
        return {name: STAGES[name].key(settings) for name in everything}

    def changed(**overrides):
        before, after = keys(), keys(**overrides)
        return [stage for stage in before if before[stage] != after[stage]]

    assert changed(maps="rib") == everything
    assert changed(**{"affinity.epochs": 2}) == everything[1:]
    assert changed(**{"walk.beta": 5.0}) == everything[2:]
    assert changed(**{"masks.crf": False}) == everything[3:]
    assert changed(**{"segmentation.iterations": 5}) == everything[4:]
    assert changed(**{"predictions.crf": False}) == everything[5:]
    assert "walk" not in changed(**{"masks.walk": False})


def test_a_network_taught_by_true_masks_needs_no_maps(tmp_path, data_root):
    run = run_in(tmp_path, data_root, **{"segmentation.truth": "dataset"})
    execute(PREDICTIONS, run)
    assert {path.name.split("-")[0] for path in (tmp_path / "runs").iterdir()} == {
        "data",
        "segmentation",
        "scores",
        "predictions",
    }


def test_shards_of_the_walk_and_of_masks_equal_one_run(tmp_path, data_root, done):
    run = run_in(tmp_path, data_root)
    for name in ("classifier", "cam", "labels", "affinity"):
        for folder in (done.store.root / "runs").glob(f"{name}-*"):
            shutil.copytree(folder, tmp_path / "runs" / folder.name)
    assert not execute(WALK, run, shard=Shard(1, 2)).finished
    assert execute(WALK, run, shard=Shard(0, 2)).finished
    mine, theirs = files(run.result(WALK)), files(done.result(WALK))
    assert {name: theirs[name] for name in mine} == mine


def test_the_threshold_is_the_best_on_the_images_for_choices(done):
    tuning = done.settings.choices
    sweep = sweep_scores(done.stored(MAP_EVALUATIONS["walk"], tuning))
    assert len(sweep.names) == 2
    assert mask_threshold(done) == sweep.thresholds[sweep.miou().argmax()]
    given = run_in(done.store.root, done.settings.data.root, **{"masks.threshold": 0.4})
    assert mask_threshold(given) == 0.4


def test_masks_are_scored_with_their_confusion(tmp_path, data_root, done):
    run = run_in(tmp_path, data_root, done)
    execute(EVALUATE_PREDICTIONS, run)
    val, masks = datasets.open_dataset(run.settings.data, "val"), run.stored(PREDICTIONS)
    found = score_masks(run.stored(EVALUATE_PREDICTIONS))
    truth = {name: val.mask(name) for name in found.names}
    assert found.confusion.sum() == sum((mask != 255).sum() for mask in truth.values())
    hits = sum(((masks[name] == truth[name]) & (truth[name] != 255)).sum() for name in found.names)
    assert np.trace(found.confusion) == hits == found.counts[:, 0].sum()


def test_maps_of_the_walk_are_scored_and_compared_with_the_crf(tmp_path, data_root, done):
    run = run_in(tmp_path, data_root, done)
    for stage in (MAP_EVALUATIONS["walk"], AGREEMENT):
        execute(stage, run)
    scores, agreement = run.stored(MAP_EVALUATIONS["walk"]), run.stored(AGREEMENT)
    val = datasets.open_dataset(run.settings.data, "val")
    for name, walked in run.stored(WALK).items():
        expected = threshold_sweep(walked.normalized(), walked.classes, val.mask(name), num_classes=len(val.class_names) + 1)
        np.testing.assert_array_equal(scores[name].counts(), expected)
        assert agreement[name]["agreement"].shape == AGREEMENT_THRESHOLDS.shape


def test_two_ranks_train_deeplab_with_the_losses_of_one(tmp_path, data_root, done):
    truth = {"segmentation.truth": "dataset"}
    alone = execute(SEGMENTATION, run_in(tmp_path / "one", data_root, **truth))
    options = [*options_of(data_root, tmp_path / "two"), *settings_options({**SMALL, **truth})]
    codes, outputs = launch(2, "segmentation", *options)
    assert codes == [0, 0], outputs
    shared = run_in(tmp_path / "two", data_root, **truth).result(SEGMENTATION)
    assert len(shared.sessions()) == 2
    histories = [pd.read_csv(result.path("history.csv")) for result in (alone, shared)]
    ours, theirs = (history[["step", "loss", "learning_rate"]] for history in histories)
    pd.testing.assert_frame_equal(ours, theirs, rtol=1e-3)


def test_two_ranks_train_the_affinity_network_with_the_losses_of_one(tmp_path, data_root, done):
    """The terms of the loss are means over pairs, and the two halves of a batch have different numbers of pairs."""
    run = run_in(tmp_path, data_root, done)
    alone = pd.read_csv(run.result(AFFINITY).path("history.csv"))
    shutil.rmtree(run.result(AFFINITY).folder)
    codes, outputs = launch(2, "affinity", *options_of(data_root, tmp_path), *settings_options(SMALL))
    assert codes == [0, 0], outputs
    shared = pd.read_csv(run.result(AFFINITY).path("history.csv"))
    pd.testing.assert_frame_equal(alone, shared, rtol=1e-3)


def settings_options(settings):
    return [part for name, value in settings.items() for part in ("--set", f"{name}={'null' if value is None else value}")]


def test_an_interrupted_segmentation_training_ends_as_one_that_was_not(tmp_path, data_root, monkeypatch):
    truth = {"segmentation.truth": "dataset"}
    whole = execute(SEGMENTATION, run_in(tmp_path / "whole", data_root, **truth))
    run = run_in(tmp_path / "resumed", data_root, **truth)
    original = fit.training_batches

    def interrupted(load, num_images, batch_size, steps, **keywords):
        if steps.start:
            raise KeyboardInterrupt
        return original(load, num_images, batch_size, steps, **keywords)

    monkeypatch.setattr(fit, "training_batches", interrupted)
    with pytest.raises(KeyboardInterrupt):
        execute(SEGMENTATION, run)
    monkeypatch.undo()
    resumed = execute(SEGMENTATION, run)
    assert resumed.path("history.csv").read_text() == whole.path("history.csv").read_text()
    ours, theirs = (safetensors.torch.load_file(result.path(WEIGHTS)) for result in (resumed, whole))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_images_without_a_mask_cannot_teach(tmp_path, data_root):
    root = tmp_path / "data"
    shutil.copytree(data_root, root)
    run = run_in(tmp_path / "results", root, **{"segmentation.truth": "dataset"})
    aug_only = next(name for name in datasets.training_set(run.settings.data).names[:4])
    train = set(datasets.open_dataset(run.settings.data, "train").names)
    if aug_only in train:
        aug_only = next(name for name in datasets.training_set(run.settings.data).names if name not in train)
        run = run_in(
            tmp_path / "results", root, **{"segmentation.truth": "dataset", "segmentation.images": {"split": "train_aug"}}
        )
    (root / "SegmentationClass" / f"{aug_only}.png").unlink()
    with pytest.raises(ValueError, match=f"1 of 12 images, such as {aug_only}, have no mask, which a training on them needs"):
        execute(SEGMENTATION, run)


def test_only_voc_is_submitted(tmp_path, data_root, capsys):
    assert main(["submit", "voc12", "--preset", "mini", "--data-root", str(data_root), "--results", str(tmp_path)]) == 1
    assert "VOC 2012, not for minivoc" in capsys.readouterr().err
