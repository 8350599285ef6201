"""The counted operations of convolutions, which torch counts without their groups in a backward pass."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ribstudy.bench.operations import count_flop


@pytest.mark.parametrize("groups", [1, 2, 8])
@pytest.mark.parametrize("of_images", [True, False])
def test_a_backward_pass_takes_as_many_operations_for_each_gradient_as_the_forward_pass(groups, of_images):
    layer = nn.Conv2d(8, 16, 3, stride=2, padding=1, groups=groups, bias=False)
    images = torch.randn(2, 8, 12, 10, requires_grad=of_images)
    forward, maps = count_flop(lambda: layer(images))
    # Images, positions and channels of the output, times the inputs of each, times a multiplication and an addition.
    assert forward == 2 * (6 * 5) * 16 * (8 // groups * 3 * 3) * 2
    backward, _ = count_flop(maps.sum().backward)
    assert backward == (1 + of_images) * forward


def test_without_groups_it_is_what_torch_counts():
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.ConvTranspose2d(8, 4, 2, stride=2), nn.Conv2d(4, 2, 1))
    forward, maps = count_flop(lambda: net(torch.randn(1, 3, 9, 9)))
    with FlopCounterMode(display=False) as counter:
        maps.sum().backward(retain_graph=True)
    backward, _ = count_flop(maps.sum().backward)
    assert backward == counter.get_total_flops()
    assert forward < backward < 2 * forward  # the gradient of the images is not computed
