"""Ranks: the processes that `torchrun` or `accelerate launch` starts, on one machine or on several. ::

    torchrun --nproc-per-node 8 -m ribstudy rib --preset voc12 --data-root /data/VOCdevkit/VOC2012

In a stage that computes one image after another, each rank computes one shard of the images. A training runs on all ranks
together, and each rank gets a part of every batch. Without a launcher there is one process, and no rank.

Functions import torch and accelerate themselves, because this takes seconds and a command without computations needs neither.
"""

from __future__ import annotations

import atexit
import contextlib
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from ribstudy.runtime import environment, limits

if TYPE_CHECKING:
    from accelerate import Accelerator

Value = TypeVar("Value")

MEMORY_OF_A_PROCESS = 2 * 2**30  # bytes, for an adaptation of ResNet-50 at the image sizes of VOC
SHARED_BY_A_WORKER = 128 * 2**20  # bytes, for two batches of 20 crops of 512 pixels that wait to be taken
RENDEZVOUS = ("MASTER_ADDR", "MASTER_PORT")  # the variables from which torch knows where the ranks meet
MAX_WORKERS = 12  # they decode about 1,600 crops per second
PATIENCE = timedelta(days=30)  # how long the first rank to finish waits for the last one


def rank() -> tuple[int, int] | None:
    """(rank, number of ranks) if several processes were launched, else None.

    Raises ValueError if the variables of the launcher contradict each other, as if something else had set WORLD_SIZE.
    """
    count = environment.number("WORLD_SIZE", least=1) or 1
    if count == 1:
        return None
    own = environment.number("RANK", least=0)
    if own is None or own >= count:
        found = "is not set" if own is None else f"= {own} is not below it"
        raise ValueError(
            f"the environment variable WORLD_SIZE = {count}, but RANK {found}; start the processes with torchrun or accelerate "
            "launch, or unset WORLD_SIZE to work in one process"
        )
    return own, count


def is_first() -> bool:
    """Whether this process is the first rank, or the only process."""
    return (rank() or (0, 1))[0] == 0


def device() -> str:
    """The device of this rank, such as "cuda:0", or "cpu" if there is no GPU."""
    import torch

    if not torch.cuda.is_available():
        return "cpu"
    return f"cuda:{(environment.number('LOCAL_RANK', least=0) or 0) % torch.cuda.device_count()}"


def cores() -> int:
    """The number of processor cores that this rank may use, at least 1.

    The ranks of a machine share `limits.cores`, or RIBSTUDY_CORES if this is fewer.
    """
    available = limits.cores()
    available = min(available, environment.number("RIBSTUDY_CORES", least=1) or available)
    return max(1, available // (environment.number("LOCAL_WORLD_SIZE", least=1) or 1))


def processes_with(memory: int) -> int:
    """The number of processes of `memory` bytes each: one for each core, as far as there is memory for them; at least 1.

    Work that may only use a part of the cores has the same part of the memory, because other work runs next to it.
    """
    return max(1, min(cores(), limits.memory() * cores() // limits.cores() // memory))


def default_workers(device: str) -> int:
    """The number of processes that decode images: 0 on a CPU, which the network keeps busy, else one less than the cores.

    With an accelerator it is at least 1 and at most `MAX_WORKERS`, and at most as many as the shared memory has room for.
    """
    if device == "cpu":
        return 0
    wanted = min(MAX_WORKERS, max(1, cores() - 1))
    room = _workers_with_room()
    return wanted if room is None else min(wanted, room)


def check_workers(number: int) -> None:
    """Raises ValueError if the shared memory has no room for this number of workers."""
    room = _workers_with_room()
    if room is not None and number > room:
        raise ValueError(
            f"--workers {number}: each worker needs {SHARED_BY_A_WORKER >> 20} MiB of shared memory, and "
            f"{limits.SHARED_MEMORY} has room for {room}; use --workers {room}, or enlarge it (Docker: --shm-size={number}g)"
        )


def _workers_with_room() -> int | None:
    """The number of workers that the shared memory has room for; None if there is no such limit."""
    free = limits.shared_memory()
    return None if free is None else free // SHARED_BY_A_WORKER


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


def threads_within_cores() -> contextlib.AbstractContextManager[None]:
    """A scope in which torch computes on as many threads as it would, but on no more than `cores`: it ignores containers."""
    import torch

    return threads(min(torch.get_num_threads(), cores()))


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
        if missing := [name for name in RENDEZVOUS if environment.text(name) is None]:
            raise ValueError(
                f"the environment variable {missing[0]} is not set, so the ranks cannot find each other; use torchrun"
            )
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
