import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from ribstudy.training.checkpoint import resume, save_checkpoint


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


def test_without_a_file_nothing_changes(tmp_path):
    net, optimizer, schedule = some_training(0)
    before, state = net.weight.clone(), torch.get_rng_state()
    assert resume(tmp_path / "checkpoint.pt", net, optimizer, schedule) == []
    assert torch.equal(net.weight, before)
    assert torch.equal(torch.get_rng_state(), state)
