"""Ranks: the processes that torchrun or accelerate launch start, on one machine or on several. Each is a shard of `cam`, `rib`.

torchrun --nproc-per-node 8 -m ribstudy rib --preset voc12 --data-root /data/VOCdevkit/VOC2012
"""

import contextlib
import os
from collections.abc import Iterator
from datetime import timedelta

import torch

# What the launchers tell the processes that they start.
VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
PATIENCE = timedelta(days=30)  # the first rank that is through waits for the last one


def rank() -> tuple[int, int] | None:
    """(rank, number of ranks) where several processes were launched, else None."""
    count = int(os.environ.get("WORLD_SIZE", 1))
    return (int(os.environ["RANK"]), count) if count > 1 else None


def device() -> str:
    """The accelerator of this rank where there is one, else the CPU."""
    return f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if torch.cuda.is_available() else "cpu"


def cores() -> int:
    """The processor cores that this rank may use."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, available // int(os.environ.get("LOCAL_WORLD_SIZE", 1)))


@contextlib.contextmanager
def together() -> Iterator[None]:
    """A scope that all ranks leave together: a launcher ends the others as soon as one of them ends with an error."""
    try:
        yield
    except Exception:
        _wait_for_all()
        raise
    _wait_for_all()


def _wait_for_all() -> None:
    if rank():
        torch.distributed.init_process_group("gloo", timeout=PATIENCE)  # returns when every rank has come here
        torch.distributed.destroy_process_group()


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """A scope in which this process knows of no other rank, so that nothing inside waits for them."""
    hidden = {name: os.environ.pop(name) for name in VARIABLES if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(hidden)
