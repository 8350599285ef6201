"""The files of a training: the checkpoint from which it resumes, the history of its losses, and the trained weights."""

from __future__ import annotations

import io
import logging
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import safetensors.torch
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler

from ribstudy.runtime import torch_files
from ribstudy.runtime.files import atomic

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)


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
    content = io.BytesIO()  # because torch hides the reason if it cannot write a file
    torch.save(state, content)
    with atomic(path) as temporary:
        temporary.write_bytes(content.getbuffer())


def resume(path: Path, net: nn.Module, optimizer: torch.optim.Optimizer, schedule: LRScheduler) -> list[dict]:
    """Restores the state that `save_checkpoint` wrote and returns its history; [] and no changes if there is no file.

    Raises ValueError if the file is damaged.
    """
    if not path.is_file():
        return []
    try:
        state = torch_files.read(path)
    except ValueError as error:
        raise ValueError(f"{path}: is damaged ({error}); remove it, and the training starts from the beginning") from error
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


@torch.no_grad()
def round_weights(net: nn.Module, stored: str) -> None:
    """Rounds the weights in place to the precision in which they are stored: "float32" (no change) or "float16".

    Biases and the four vectors of batch norm stay as they are: they are small, and a variance can be too small for float16.
    """
    if stored == "float16":
        for weight in net.parameters():
            if weight.ndim > 1:
                weight.copy_(weight.half())


def save_weights(path: Path, net: nn.Module) -> None:
    """Writes the state dict as safetensors, without pickles. Tensors that float16 holds exactly are stored as float16."""
    state = {name: _as_half_if_exact(value.cpu().contiguous()) for name, value in net.state_dict().items()}
    with atomic(path) as temporary:
        temporary.write_bytes(safetensors.torch.save(state))


def _as_half_if_exact(values: Tensor) -> Tensor:
    half = values.half() if values.ndim > 1 and values.is_floating_point() else values
    return half if torch.equal(half.to(values.dtype), values) else values


def load_weights(file: BinaryIO, net: nn.Module) -> None:
    """Loads the state dict that `save_weights` wrote into a network of the same architecture; closes the file."""
    with file:
        net.load_state_dict(safetensors.torch.load(file.read()))
