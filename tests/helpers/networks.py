"""Networks small enough to be checked by hand, of the same types as the real ones."""

import torch
from torch import nn

from ribstudy.models import CamNet
from ribstudy.models.backbones import Backbone
from ribstudy.models.deeplab import DeepLab


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
        net.trained[1].bias.fill_(2.0)  # positive everywhere after the ReLU
    return net


def tiny_deeplab(num_classes=4):
    """Two convolutions at stride 4, and ASPP."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        features = nn.Sequential(
            nn.Conv2d(3, 6, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(6, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8)
        )
        net = DeepLab(features, 8, num_classes, rates=(1, 2), normalization=((0.5,) * 3, (0.25,) * 3))
        for branch in net.aspp:
            nn.init.normal_(branch.weight, std=0.3)
    return net
