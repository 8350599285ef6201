"""The training of DeepLab on a few random images and masks."""

import pytest
from helpers.arrays import ArrayDataset
from helpers.trainings import assert_resumes

from ribstudy.training.collapse import Collapsed
from ribstudy.training.deeplab import train_deeplab
from ribstudy.training.files import WEIGHTS
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
    assert_resumes(trained, tmp_path, header="step,loss,foreground,labelled_foreground,learning_rate")


def test_a_collapse_ends_the_training(tmp_path, monkeypatch):
    monkeypatch.setattr("ribstudy.training.deeplab.CollapseWatch", lambda patience: raise_collapsed)
    with pytest.raises(Collapsed):
        trained(tmp_path)
    assert not (tmp_path / WEIGHTS).exists()


def raise_collapsed(step, losses):
    assert losses["labelled_foreground"] > 0
    raise Collapsed("only background")
