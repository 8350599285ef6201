"""The training of the classifier on a few random images."""

import numpy as np
from helpers.arrays import ArrayDataset
from helpers.trainings import assert_resumes

from ribstudy.models.cam_net import build_cam_net
from ribstudy.training.checkpoint import load_weights
from ribstudy.training.classifier import image_logits, train_classifier
from ribstudy.training.files import WEIGHTS
from ribstudy.training.settings import ClassifierSettings

SETTINGS = ClassifierSettings(
    backbone="tf_efficientnet_lite0",
    weights=None,
    epochs=2,
    batch_size=4,
    learning_rate=0.01,
    head_lr_factor=10,
    momentum=0.9,
    weight_decay=1e-4,
    poly_power=0.9,
    long_side=(32, 40),
    crop_size=32,
)


def trained(folder, **options):
    return train_classifier(ArrayDataset(**options), SETTINGS, seed=5, folder=folder, device="cpu")


def test_a_resumed_training_ends_like_an_uninterrupted_one(tmp_path):
    """The whole chain: crops, losses, files."""
    assert_resumes(trained, tmp_path, header="step,loss,learning_rate")


def test_the_trained_classifier_is_loaded_with_its_logits(tmp_path):
    net, dataset = trained(tmp_path).eval(), ArrayDataset()
    loaded = build_cam_net(SETTINGS.backbone, len(dataset.class_names), weights=None).eval()
    load_weights((tmp_path / WEIGHTS).open("rb"), loaded)
    logits = image_logits(loaded, dataset)
    assert logits.shape == (9, 3)
    np.testing.assert_allclose(logits, image_logits(net, dataset), rtol=1e-4, atol=1e-5)
