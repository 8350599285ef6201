import numpy as np
import pytest
import torch

from ribstudy.config import load_settings
from ribstudy.toy import network
from ribstudy.toy.data import Scenes

SETTINGS = load_settings("study").toy


def test_softmax_probability_is_the_sigmoid_of_the_difference():
    activation = network.ACTIVATIONS["softmax"]
    outputs = torch.tensor([[1.0, 3.0], [0.5, -2.0]])
    torch.testing.assert_close(activation.squash(activation.evidence(outputs)), outputs.softmax(dim=1)[:, 1])


def test_rib_loss_pulls_each_class_its_own_way_up_to_the_margin():
    outputs = torch.tensor([[3.0], [-2.0], [9.0]])
    loss = network.rib_loss(outputs, torch.tensor([1, 0, 1]), margin=5.0)
    assert loss.item() == pytest.approx(-(3.0 + 2.0 + 5.0) / 3)


@pytest.fixture
def scenes():
    images = np.random.default_rng(0).random((8, 40, 40), dtype=np.float32)
    nothing = np.zeros(images.shape, dtype=bool)
    return Scenes(images, np.arange(8) % 2, nothing, nothing)


@pytest.mark.parametrize("norm_layer", network.NORM_LAYERS)
def test_an_image_has_the_same_outputs_in_every_batch_after_training(norm_layer, scenes):
    settings = SETTINGS.changed({"norm_layer": norm_layer, "training_steps": 3, "batch_size": 4})
    net = network.trained_net(settings, scenes, activation=network.ACTIVATIONS["sigmoid"], seed=0)
    images, _ = network.as_tensors(scenes)
    torch.testing.assert_close(net(images)[:3], net(images[:3]))


def test_a_normalisation_leaves_the_first_weights_as_they_are():
    plain, *others = (
        network.build_net(SETTINGS.changed({"norm_layer": name}), num_outputs=1, seed=3) for name in network.NORM_LAYERS
    )
    for net in others:
        assert all(torch.equal(a.weight, b.weight) for a, b in zip(plain.convolutions, net.convolutions, strict=True))
        assert torch.equal(plain.classifier.weight, net.classifier.weight)


def test_layers_are_the_convolutions_before_and_after_normalisation_and_relu(scenes):
    net = network.build_net(SETTINGS.changed({"norm_layer": "layer"}), num_outputs=1, seed=0)
    images, _ = network.as_tensors(scenes)
    convolved, activated, outputs = net.layers(images)
    assert len(convolved) == len(activated) == SETTINGS.depth
    torch.testing.assert_close(convolved[0], net.convolutions[0](images))
    torch.testing.assert_close(activated[0], net.norms[0](convolved[0]).relu())
    torch.testing.assert_close(outputs, net.classifier(activated[-1].flatten(1)))


def test_weight_decay_shrinks_the_weights_without_a_gradient(scenes):
    net = network.build_net(SETTINGS, num_outputs=1, seed=0)
    before = network.weight_vector(net)
    moved = network.train(
        net,
        *network.as_tensors(scenes),
        loss_of=lambda outputs, labels: 0 * outputs.sum(),
        num_steps=2,
        batch_size=4,
        learning_rate=0.1,
        weight_decay=0.5,
        seed=0,
        one_cycle=False,
    )
    torch.testing.assert_close(network.weight_vector(net), before * (1 - 0.1 * 0.5) ** 2)
    assert moved == pytest.approx(1 - 0.95**2, rel=1e-4)
