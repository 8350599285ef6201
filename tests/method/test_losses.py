"""The objectives of the adaptation, in cases that can be computed by hand."""

import math

import pytest
import torch

from ribstudy.method.losses import cross_entropy_objective


def test_the_control_has_the_gradient_of_the_rib_objective_for_low_logits_and_none_for_high_ones():
    logits = torch.tensor([[-30.0, 30.0, 30.0, 0.0]], requires_grad=True)
    cross_entropy_objective(logits, torch.tensor([[1.0, 1.0, 0.0, 1.0]])).backward()
    assert logits.grad[0].tolist() == pytest.approx([-1, 0, 1, -0.5], abs=1e-6)
    assert cross_entropy_objective(torch.zeros(2, 3), torch.ones(2, 3)).item() == pytest.approx(6 * math.log(2))
