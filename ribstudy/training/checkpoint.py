"""The files of a training: the checkpoint from which it resumes, the history of its losses, and the trained weights."""

import logging
from pathlib import Path

import pandas as pd
import torch
from torch import nn
from torch.optim.lr_scheduler import LRScheduler

from ribstudy.runtime.files import atomic

log = logging.getLogger(__name__)

CHECKPOINT = "checkpoint.pt"  # of an unfinished training
HISTORY = "history.csv"


def save_checkpoint(
    path: Path, net: nn.Module, optimizer: torch.optim.Optimizer, schedule: LRScheduler, history: list[dict], settings: dict
) -> None:
    """Writes everything that `resume` needs, and the settings, which only document the file."""
    state = {
        "net": net.state_dict(),
        "optimizer": optimizer.state_dict(),
        "schedule": schedule.state_dict(),
        "random_state": torch.get_rng_state(),
        "history": [{name: float(value) if name != "step" else value for name, value in row.items()} for row in history],
        "settings": settings,
    }
    with atomic(path) as temporary:
        torch.save(state, temporary)


def resume(path: Path, net: nn.Module, optimizer: torch.optim.Optimizer, schedule: LRScheduler) -> list[dict]:
    """Restores the state that `save_checkpoint` wrote and returns its history; [] and no changes if there is no file."""
    if not path.is_file():
        return []
    state = torch.load(path, map_location="cpu", weights_only=True)
    net.load_state_dict(state["net"])
    optimizer.load_state_dict(state["optimizer"])
    schedule.load_state_dict(state["schedule"])
    torch.set_rng_state(state["random_state"])
    log.info("resuming after step %d of %s", state["history"][-1]["step"], path)
    return state["history"]


def save_history(path: Path, history: pd.DataFrame) -> None:
    """Writes one row per interval as CSV."""
    with atomic(path) as temporary:
        history.to_csv(temporary, index=False)


def save_weights(path: Path, net: nn.Module) -> None:
    """Writes the state dict."""
    with atomic(path) as temporary:
        torch.save(net.state_dict(), temporary)
