"""Checks that the three trainings share."""

from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import nn

from ribstudy.training.files import WEIGHTS


def assert_resumes(train: Callable[..., nn.Module], folder: Path, *, header: str) -> None:
    """A resumed training ends like an uninterrupted one: in its network, its file of weights and its history.

    Args:
        train: `train(folder, stop_after=n)` trains on an `ArrayDataset`, which raises KeyboardInterrupt after n images.
        header: the first line of the history.
    """
    with pytest.raises(KeyboardInterrupt):
        train(folder / "resumed", stop_after=10)
    assert (folder / "resumed" / "checkpoint.pt").is_file()
    ours, theirs = (train(folder / name).state_dict() for name in ("resumed", "whole"))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    kept = safetensors.torch.load_file(folder / "whole" / WEIGHTS)
    assert all(torch.equal(kept[name], theirs[name]) for name in theirs)
    histories = [(folder / name / "history.csv").read_text() for name in ("resumed", "whole")]
    assert histories[0] == histories[1]
    assert histories[0].splitlines()[0] == header
