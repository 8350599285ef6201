"""A network small enough to be checked by hand, of the same type as the real ones."""

import torch
from torch import nn

from ribstudy.models import CamNet
from ribstudy.models.backbones import Backbone


def tiny_net(num_classes: int = 3, seed: int = 0) -> CamNet:
    """Two convolutions and a batch norm at stride 4, random but seeded."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        frozen = nn.Sequential(nn.Conv2d(3, 6, 3, stride=2, padding=1), nn.ReLU())
        trained = nn.Sequential(nn.Conv2d(6, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        nn.init.normal_(trained[1].running_mean, std=0.1)
        nn.init.uniform_(trained[1].running_var, 0.5, 1.5)
        statistics = ((0.5,) * 3, (0.5,) * 3)
        return CamNet(Backbone(frozen, trained, 8, statistics, last_stage=(trained[1],)), num_classes).eval()


def negative_net():
    """A network whose map of class 0 is negative everywhere."""
    net = tiny_net()
    with torch.no_grad():
        net.classifier.weight[0] = -net.classifier.weight[0].abs() - 0.01
        net.trained[1].bias.fill_(2.0)  # behind the ReLU something is left everywhere
    return net
