"""The training of DeepLab on a few random images and masks."""

import pytest
import torch
from helpers.arrays import ArrayDataset

from ribstudy.training.collapse import Collapsed
from ribstudy.training.deeplab import WEIGHTS, train_deeplab
from ribstudy.training.settings import SegmentationSettings

SETTINGS = SegmentationSettings(
    images={"split": "train"},
    backbone="tf_efficientnet_lite0",
    weights=None,
    output_stride=16,
    iterations=3,
    interval=2,
    batch_size=4,
    accumulation=2,
    crop_size=33,
)


def trained(folder, **options):
    return train_deeplab(
        ArrayDataset(**options), ArrayDataset().names, ArrayDataset().mask, SETTINGS, seed=5, folder=folder, device="cpu"
    )


def test_a_resumed_training_ends_like_an_uninterrupted_one(tmp_path):
    """The whole chain: crops, losses, files."""
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "resumed", stop_after=10)
    assert (tmp_path / "resumed" / "checkpoint.pt").is_file()
    ours, theirs = (trained(tmp_path / name).state_dict() for name in ("resumed", "whole"))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    kept = torch.load(tmp_path / "whole" / WEIGHTS, weights_only=True)
    assert all(torch.equal(kept[name], theirs[name]) for name in theirs)
    histories = [(tmp_path / name / "history.csv").read_text() for name in ("resumed", "whole")]
    assert histories[0] == histories[1]
    assert histories[0].splitlines()[0] == "step,loss,foreground,labelled_foreground,learning_rate"


def test_a_collapse_ends_the_training(tmp_path, monkeypatch):
    monkeypatch.setattr("ribstudy.training.deeplab.CollapseWatch", lambda patience: raise_collapsed)
    with pytest.raises(Collapsed):
        trained(tmp_path)
    assert not (tmp_path / WEIGHTS).exists()


def raise_collapsed(step, losses):
    assert losses["labelled_foreground"] > 0
    raise Collapsed("only background")
