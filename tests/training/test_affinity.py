"""The training of the affinity network on a few random images and labels."""

from helpers.arrays import ArrayDataset
from helpers.trainings import assert_resumes

from ribstudy.training.affinity import train_affinity_net
from ribstudy.training.settings import AffinitySettings

SETTINGS = AffinitySettings(
    images={"split": "train"}, backbone="tf_efficientnet_lite0", weights=None, epochs=2, batch_size=4, crop_size=32, radius=3
)


def trained(folder, **options):
    return train_affinity_net(ArrayDataset(**options), ArrayDataset().masks, SETTINGS, seed=5, folder=folder, device="cpu")


def test_a_resumed_training_ends_like_an_uninterrupted_one(tmp_path):
    """The whole chain: crops, losses, files."""
    assert_resumes(trained, tmp_path, header="step,loss,bg_positive,fg_positive,negative,learning_rate")
