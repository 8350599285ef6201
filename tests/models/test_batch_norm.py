"""Every network keeps the statistics of its batch norm fixed, from its constructor on."""

import importlib
import inspect
import pkgutil

import pytest
import torch
from helpers.networks import randomize_statistics
from torch import nn

from ribstudy import models
from ribstudy.models.affinity_net import AffinityNet, build_affinity_net
from ribstudy.models.batch_norm import FixedStatistics, batch_norms
from ribstudy.models.cam_net import CamNet, build_cam_net
from ribstudy.models.deeplab import DeepLab, build_deeplab
from ribstudy.models.imagenet_classifiers import PositionwiseHead

BACKBONE = "tf_efficientnet_lite0"
BUILDERS = {
    CamNet: lambda: build_cam_net(BACKBONE, num_classes=2),
    AffinityNet: lambda: build_affinity_net(BACKBONE),
    DeepLab: lambda: build_deeplab(BACKBONE, num_classes=2, output_stride=16),
}
MODES = {
    "just built": lambda net: net,
    "train": lambda net: net.train(),
    "eval": lambda net: net.eval(),
    "train after eval": lambda net: net.eval().train(),
}


def network_classes() -> set[type]:
    """Every class of `ribstudy.models` that consists of other modules and is not a part of another one."""
    modules = [importlib.import_module(f"ribstudy.models.{found.name}") for found in pkgutil.iter_modules(models.__path__)]
    classes = {kind for module in modules for _, kind in inspect.getmembers(module, inspect.isclass)}
    ours = {kind for kind in classes if kind.__module__.startswith("ribstudy.models") and issubclass(kind, nn.Module)}
    return {kind for kind in ours if not issubclass(kind, nn.Conv2d)} - {FixedStatistics, PositionwiseHead}


def test_every_network_class_is_tested():
    assert network_classes() == set(BUILDERS)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", BUILDERS, ids=lambda kind: kind.__name__)
def test_running_statistics_are_used_and_kept(kind, mode):
    net = MODES[mode](BUILDERS[kind]())
    randomize_statistics(net)
    assert any(batch_norms(net))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    together = net(images)
    torch.testing.assert_close(together, torch.cat([net(images[:1]), net(images[1:])]), rtol=1e-4, atol=1e-5)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    net.eval()
    assert torch.equal(net(images), together)
