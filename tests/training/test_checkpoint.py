import struct

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from ribstudy.runtime import torch_files
from ribstudy.training.checkpoint import load_weights, resume, round_weights, save_checkpoint, save_weights
from ribstudy.training.files import WEIGHTS


def some_training(seed):
    torch.manual_seed(seed)
    net = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    schedule = LambdaLR(optimizer, lambda step: 1 / (1 + step))
    net(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    schedule.step()
    return net, optimizer, schedule


def test_everything_that_was_saved_is_restored(tmp_path):
    saved, other = some_training(0), some_training(1)
    history = [{"step": 1, "loss": 0.5}]
    torch.manual_seed(7)
    save_checkpoint(tmp_path / "checkpoint.pt", *saved, history, {"seed": 0})
    expected = torch.rand(3)
    assert resume(tmp_path / "checkpoint.pt", *other) == history
    assert torch.equal(torch.rand(3), expected)
    for ours, theirs in zip(other, saved, strict=True):
        assert str(ours.state_dict()) == str(theirs.state_dict())


def test_a_changed_byte_of_a_weight_is_noticed(tmp_path):
    """torch itself would read it without a word."""
    path = tmp_path / "net.pt"
    torch.save({"weight": torch.full((64,), 1.5)}, path)
    content = path.read_bytes()
    place = content.index(struct.pack("<f", 1.5))
    path.write_bytes(content[:place] + struct.pack("<f", 2.5) + content[place + 4 :])
    assert torch.load(path, weights_only=True)["weight"][0] == 2.5
    with pytest.raises(ValueError, match=r"the checksum of its part .*data/0 is wrong"):
        torch_files.read(path)
    with pytest.raises(ValueError, match=r"net.pt: is damaged \(.*\); remove it, and the training starts from the beginning"):
        resume(path, None, None, None)


def test_without_a_file_nothing_changes(tmp_path):
    net, optimizer, schedule = some_training(0)
    before, state = net.weight.clone(), torch.get_rng_state()
    assert resume(tmp_path / "checkpoint.pt", net, optimizer, schedule) == []
    assert torch.equal(net.weight, before)
    assert torch.equal(torch.get_rng_state(), state)


def net_of(value):
    net = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2))
    for parameter in net.parameters():
        nn.init.constant_(parameter, value)
    net[1].running_var.fill_(1e-9)  # 0 in float16
    return net


@pytest.mark.parametrize(("stored", "expected"), [("float32", 0.1), ("float16", float(np.float16(0.1)))])
def test_weights_are_rounded_to_their_precision_before_they_are_stored(tmp_path, stored, expected):
    net, loaded = net_of(0.1), net_of(0.0)
    round_weights(net, stored)
    save_weights(tmp_path / WEIGHTS, net)
    load_weights((tmp_path / WEIGHTS).open("rb"), loaded)
    for name, value in net.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value), name
    assert loaded[0].weight.flatten().tolist() == pytest.approx([expected] * 2, rel=1e-7)
    assert loaded[0].bias.tolist() == pytest.approx([0.1] * 2, rel=1e-7)
    kept = safetensors.torch.load_file(tmp_path / WEIGHTS)
    assert kept["0.weight"].dtype == getattr(torch, stored)
    assert kept["1.running_var"].tolist() == pytest.approx([1e-9] * 2)
