"""Ranks: the processes that torchrun or accelerate launch start, on one machine or on several.

torchrun --nproc-per-node 8 -m ribstudy rib --preset voc12 --data-root /data/VOCdevkit/VOC2012

Of a stage that goes image by image each is a shard; a training they share, each with its part of every batch.
"""

import atexit
import contextlib
import os
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, TypeVar

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

Value = TypeVar("Value")

MEMORY_OF_A_PROCESS = 2 * 2**30  # bytes: an adaptation of ResNet-50 at VOC's sizes
PATIENCE = timedelta(days=30)  # the first rank that is through waits for the last one


def rank() -> tuple[int, int] | None:
    """(rank, number of ranks) where several processes were launched, else None."""
    count = int(os.environ.get("WORLD_SIZE", 1))
    return (int(os.environ["RANK"]), count) if count > 1 else None


def is_first() -> bool:
    """Whether this is the first rank, or the only process."""
    return (rank() or (0, 1))[0] == 0


def device() -> str:
    """The accelerator of this rank where there is one, else the CPU."""
    if not torch.cuda.is_available():
        return "cpu"
    return f"cuda:{int(os.environ.get('LOCAL_RANK', 0)) % torch.cuda.device_count()}"


def cores() -> int:
    """The processor cores that this rank may use: those that the system gives it, and no more than RIBSTUDY_CORES."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    available = min(available, int(os.environ.get("RIBSTUDY_CORES", available)))
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


def _join() -> None:
    """Makes the group of all ranks, once for the whole process: torchrun's store keeps addresses of a group that is gone."""
    if rank() and not torch.distributed.is_initialized():
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        torch.distributed.init_process_group(backend, timeout=PATIENCE)
        atexit.register(torch.distributed.destroy_process_group)


def agreed(value: Value) -> Value:
    """The first rank's value, in all of them once they have all come here; the value itself where there is one process."""
    if not rank():
        return value
    _join()
    values = [value]
    torch.distributed.broadcast_object_list(values, device=torch.device("cpu"))
    torch.distributed.all_reduce(torch.zeros(1))  # a barrier among CPUs, whatever the accelerator is
    return values[0]


def wait_for_all() -> None:
    """Returns when every rank has come here: a launcher ends the others as soon as one of them ends with an error."""
    agreed(None)


@contextlib.contextmanager
def accelerated(device: str, **options: Any) -> Iterator[Accelerator]:
    """What a training runs on: every rank that was launched, each with its device, or this process alone."""
    _join()
    try:
        yield Accelerator(cpu=device == "cpu", **options)
    finally:
        AcceleratorState._reset_state(reset_partial_state=True)  # another training may want other options
