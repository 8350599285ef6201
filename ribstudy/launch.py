"""Ranks: the processes that torchrun or accelerate launch start, on one machine or on several. Each is a shard of `cam`, `rib`.

torchrun --nproc-per-node 8 -m ribstudy rib --preset voc12 --data-root /data/VOCdevkit/VOC2012
"""

import contextlib
import logging
import os
from collections.abc import Iterator
from datetime import timedelta

import torch

log = logging.getLogger(__name__)

# What the launchers tell the processes that they start.
VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
MEMORY_OF_A_PROCESS = 2 * 2**30  # bytes: an adaptation of ResNet-50 at VOC's sizes
PATIENCE = timedelta(days=30)  # the first rank that is through waits for the last one


def rank() -> tuple[int, int] | None:
    """(rank, number of ranks) where several processes were launched, else None."""
    count = int(os.environ.get("WORLD_SIZE", 1))
    return (int(os.environ["RANK"]), count) if count > 1 else None


def device() -> str:
    """The accelerator of this rank where there is one, else the CPU."""
    if not torch.cuda.is_available():
        return "cpu"
    return f"cuda:{int(os.environ.get('LOCAL_RANK', 0)) % torch.cuda.device_count()}"


def cores() -> int:
    """The processor cores that this rank may use."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, available // int(os.environ.get("LOCAL_WORLD_SIZE", 1)))


def cores_with_memory() -> int:
    """As many of them as the machine has memory for, at MEMORY_OF_A_PROCESS each."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(1, min(cores(), memory // MEMORY_OF_A_PROCESS))


@contextlib.contextmanager
def one_thread(device: str) -> Iterator[None]:
    """A scope in which torch computes on one CPU thread; on an accelerator, which becomes the current one, nothing changes."""
    if device != "cpu":
        torch.cuda.set_device(device)
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextlib.contextmanager
def together() -> Iterator[None]:
    """A scope that all ranks leave together: a launcher ends the others as soon as one of them ends with an error."""
    try:
        yield
    except Exception as error:
        if rank():
            log.error("rank %d of %d ends with: %s; it waits for the others", *rank(), error)
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
    names = [name for name in os.environ if name in VARIABLES or name.startswith("ACCELERATE_")]
    hidden = {name: os.environ.pop(name) for name in names}
    try:
        yield
    finally:
        os.environ.update(hidden)
