"""The training of the affinity network on a few random images and labels."""

import pytest
import torch
from helpers.arrays import ArrayDataset

from ribstudy.training.affinity import WEIGHTS, train_affinity_net
from ribstudy.training.settings import AffinitySettings

SETTINGS = AffinitySettings(
    images={"split": "train"}, backbone="tf_efficientnet_lite0", weights=None, epochs=2, batch_size=4, crop_size=32, radius=3
)


def trained(folder, **options):
    return train_affinity_net(ArrayDataset(**options), ArrayDataset().masks, SETTINGS, seed=5, folder=folder, device="cpu")


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
    assert histories[0].splitlines()[0] == "step,loss,bg_positive,fg_positive,negative,learning_rate"
