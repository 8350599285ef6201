"""Networks small enough to be checked by hand, of the same types as the real ones."""

import torch
from torch import nn

from ribstudy.models.backbones import Backbone
from ribstudy.models.batch_norm import batch_norms
from ribstudy.models.cam_net import CamNet
from ribstudy.models.deeplab import DeepLab


def randomize_statistics(network: nn.Module) -> None:
    """Gives every batch norm statistics other than its initial ones."""
    for norm in batch_norms(network):
        nn.init.normal_(norm.running_mean, std=0.1)
        nn.init.uniform_(norm.running_var, 0.5, 1.5)


def tiny_net(num_classes: int = 3, seed: int = 0) -> CamNet:
    """Two convolutions and a batch norm at stride 4, with random weights from a seed; just built, so in training mode."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        frozen = nn.Sequential(nn.Conv2d(3, 6, 3, stride=2, padding=1), nn.ReLU())
        trained = nn.Sequential(nn.Conv2d(6, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        randomize_statistics(trained)
        statistics = ((0.5,) * 3, (0.5,) * 3)
        return CamNet(Backbone(frozen, trained, 8, statistics, last_stage=(trained[1],)), num_classes)


def negative_net() -> CamNet:
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
