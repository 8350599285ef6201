"""Timing, memory, and the device that is measured."""

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ribstudy.bench.operations import Workload
from ribstudy.runtime import ranks
from ribstudy.runtime.machine import cpu_model


class BenchError(Exception):
    """The numbers of a benchmark are not valid, for example because two results that should agree differ."""


@dataclass(frozen=True)
class Plan:
    """The device and the size of the benchmarks.

    device: as torch names it.
    quick: use tiny sizes, only to check that the benchmarks run.
    """

    device: str
    quick: bool = False

    @property
    def on_cpu(self) -> bool:
        return self.device == "cpu"

    @property
    def cores(self) -> int:
        return 1 if self.quick else ranks.cores()

    @property
    def workload(self) -> Workload:
        """The paper's workload on an accelerator; on a CPU a smaller one that takes half a minute instead of ten."""
        if self.quick:
            return Workload(32, 32, 2, 32, iterations=3, backbone="tf_efficientnet_lite0")
        return Workload(160, 160, 4, 160) if self.on_cpu else Workload(375, 500, 20, 512)

    def repeats(self, number: int) -> int:
        return 1 if self.quick else number


def describe_device(device: str) -> dict[str, Any]:
    """The description of the machine in a record. `slug` is the file name of the record."""
    cpu, cores = cpu_model(), ranks.cores()
    name = f"{cpu}, {cores} cores" if device == "cpu" else torch.cuda.get_device_name(device)
    return {
        "slug": re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-"),
        "name": name,
        "kind": torch.device(device).type,
        "cpu": cpu,
        "cores": cores,
        "torch": torch.__version__,
    }


def synchronize(device: str) -> None:
    """Waits until an accelerator has finished its work."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)


def time_once(work: Callable[[], Any], device: str = "cpu") -> float:
    """Seconds for one call of `work`."""
    synchronize(device)
    start = time.perf_counter()
    work()
    synchronize(device)
    return time.perf_counter() - start


def time_in_turn(works: Mapping[str, Callable[[], Any]], *, repeats: int, device: str = "cpu") -> dict[str, list[float]]:
    """Seconds for each repeat of each function, after one call that is not timed.

    The functions take turns, so that a slow minute of the machine affects all of them.
    """
    for work in works.values():
        work()
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(repeats):
        for name, work in works.items():
            seconds[name].append(time_once(work, device))
    return seconds


def ratios(first: list[float], second: list[float]) -> list[float]:
    """first / second for each repeat."""
    return [a / b for a, b in zip(first, second, strict=True)]


def peak_memory(device: str) -> int:
    """The largest number of bytes so far: of tensors on an accelerator, of this process's memory on a CPU.

    The kernel's VmHWM counts from the start of this program; `ru_maxrss` would include the parent process's maximum.
    """
    if torch.device(device).type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s*(\d+) kB", status)[1]) * 1024
