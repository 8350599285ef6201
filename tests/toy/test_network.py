import pytest
import torch

from ribstudy.toy import network


def test_softmax_probability_is_the_sigmoid_of_the_difference():
    activation = network.ACTIVATIONS["softmax"]
    outputs = torch.tensor([[1.0, 3.0], [0.5, -2.0]])
    torch.testing.assert_close(activation.squash(activation.evidence(outputs)), outputs.softmax(dim=1)[:, 1])


def test_rib_loss_pulls_each_class_its_own_way_up_to_the_margin():
    outputs = torch.tensor([[3.0], [-2.0], [9.0]])
    loss = network.rib_loss(outputs, torch.tensor([1, 0, 1]), margin=5.0)
    assert loss.item() == pytest.approx(-(3.0 + 2.0 + 5.0) / 3)
