"""Ranks: the processes that `torchrun` or `accelerate launch` starts, on one machine or on several. ::

    torchrun --nproc-per-node 8 -m ribstudy rib --preset voc12 --data-root /data/VOCdevkit/VOC2012

In a stage that computes one image after another, each rank computes one shard of the images. A training runs on all ranks
together, and each rank gets a part of every batch. Without a launcher there is one process, and no rank.

Functions import torch and accelerate themselves, because this takes seconds and a command without computations needs neither.
"""

from __future__ import annotations

import atexit
import contextlib
import os
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from accelerate import Accelerator

Value = TypeVar("Value")

MEMORY_OF_A_PROCESS = 2 * 2**30  # bytes, for an adaptation of ResNet-50 at the image sizes of VOC
MAX_WORKERS = 12  # they decode about 1,600 crops per second
PATIENCE = timedelta(days=30)  # how long the first rank to finish waits for the last one


def rank() -> tuple[int, int] | None:
    """(rank, number of ranks) if several processes were launched, else None."""
    count = int(os.environ.get("WORLD_SIZE", 1))
    return (int(os.environ["RANK"]), count) if count > 1 else None


def is_first() -> bool:
    """Whether this process is the first rank, or the only process."""
    return (rank() or (0, 1))[0] == 0


def device() -> str:
    """The device of this rank, such as "cuda:0", or "cpu" if there is no GPU."""
    import torch

    if not torch.cuda.is_available():
        return "cpu"
    return f"cuda:{int(os.environ.get('LOCAL_RANK', 0)) % torch.cuda.device_count()}"


def cores() -> int:
    """The number of processor cores that this rank may use, at least 1.

    The ranks of a machine share the cores that the system allows this process to use, or RIBSTUDY_CORES if this is fewer.
    """
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    available = min(available, int(os.environ.get("RIBSTUDY_CORES", available)))
    return max(1, available // int(os.environ.get("LOCAL_WORLD_SIZE", 1)))


def cores_with_memory() -> int:
    """The number of cores, limited so that the machine has MEMORY_OF_A_PROCESS for each of them; at least 1."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(1, min(cores(), memory // MEMORY_OF_A_PROCESS))


def default_workers(device: str) -> int:
    """The number of processes that decode images: 0 on a CPU, which the network keeps busy, else one less than the cores.

    It is at least 1 and at most `MAX_WORKERS` with an accelerator.
    """
    return 0 if device == "cpu" else min(MAX_WORKERS, max(1, cores() - 1))


@contextlib.contextmanager
def threads(number: int) -> Iterator[None]:
    """A scope in which torch computes on `number` CPU threads."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def one_thread(device: str) -> contextlib.AbstractContextManager[None]:
    """A scope in which torch computes on one CPU thread. If `device` is a GPU, only makes it the current one."""
    if device == "cpu":
        return threads(1)
    import torch

    torch.cuda.set_device(device)
    return contextlib.nullcontext()


def _join() -> None:
    """Creates the process group of all ranks, once per process: torchrun's store keeps the addresses of a destroyed group."""
    import torch

    if rank() and not torch.distributed.is_initialized():
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        torch.distributed.init_process_group(backend, timeout=PATIENCE)
        atexit.register(torch.distributed.destroy_process_group)


def agreed(value: Value) -> Value:
    """The first rank's value, returned in every rank after all ranks have made this call; `value` itself without ranks."""
    if not rank():
        return value
    import torch

    _join()
    values = [value]
    torch.distributed.broadcast_object_list(values, device=torch.device("cpu"))
    torch.distributed.all_reduce(torch.zeros(1))  # a barrier on the CPU, with any accelerator
    return values[0]


def wait_for_all() -> None:
    """Returns after all ranks have made this call.

    Call it before a rank exits with an error, because a launcher then ends the other ranks at once.
    """
    agreed(None)


@contextlib.contextmanager
def accelerated(device: str, **options: Any) -> Iterator[Accelerator]:
    """Yields the Accelerator that a training runs on: all ranks, each with its device, or this process alone.

    `options` are passed to Accelerator.
    """
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    _join()
    try:
        yield Accelerator(cpu=device == "cpu", **options)
    finally:
        AcceleratorState._reset_state(reset_partial_state=True)  # another training may need other options
