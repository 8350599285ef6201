"""How things are timed, and on what."""

import platform
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ribstudy.bench.costs import Workload
from ribstudy.runtime import ranks as launch


class BenchError(Exception):
    """Something that makes a benchmark's numbers worthless, such as two results that should agree and do not."""


@dataclass(frozen=True)
class Plan:
    """Where the benchmarks run (`device` as torch names it), and whether only on tiny sizes, to see that they run at all."""

    device: str
    quick: bool = False

    @property
    def on_cpu(self) -> bool:
        return self.device == "cpu"

    @property
    def cores(self) -> int:
        return 1 if self.quick else launch.cores()

    @property
    def workload(self) -> Workload:
        """The paper's on an accelerator; on a CPU one that takes half a minute instead of ten."""
        if self.quick:
            return Workload(32, 32, 2, 32, iterations=3, backbone="tf_efficientnet_lite0")
        return Workload(160, 160, 4, 160) if self.on_cpu else Workload(375, 500, 20, 512)

    def repeats(self, number: int) -> int:
        return 1 if self.quick else number


def describe_device(device: str) -> dict[str, Any]:
    """What a record says of the machine; `slug` is made of it and names the record."""
    cpu, cores = _cpu_model(), launch.cores()
    name = f"{cpu}, {cores} cores" if device == "cpu" else torch.cuda.get_device_name(device)
    return {
        "slug": re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-"),
        "name": name,
        "kind": torch.device(device).type,
        "cpu": cpu,
        "cores": cores,
        "torch": torch.__version__,
    }


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*:\s*(.+)", info.read_text()) if info.is_file() else None
    return found[1].strip() if found else platform.processor() or platform.machine()


def synchronize(device: str) -> None:
    """Waits until an accelerator has done what it was given."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)


def time_once(work: Callable[[], Any], device: str = "cpu") -> float:
    """Seconds."""
    synchronize(device)
    start = time.perf_counter()
    work()
    synchronize(device)
    return time.perf_counter() - start


def time_in_turn(works: Mapping[str, Callable[[], Any]], *, repeats: int, device: str = "cpu") -> dict[str, list[float]]:
    """Seconds of each repeat of each work, after one that does not count; in turn, so that a slow minute meets all of them."""
    for work in works.values():
        work()
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(repeats):
        for name, work in works.items():
            seconds[name].append(time_once(work, device))
    return seconds


def ratios(first: list[float], second: list[float]) -> list[float]:
    """first / second, repeat by repeat."""
    return [a / b for a, b in zip(first, second, strict=True)]


def peak_memory(device: str) -> int:
    """Bytes: on an accelerator what tensors took at most, else what this process had in memory at most.

    The kernel's VmHWM counts from the start of this process's program; `ru_maxrss` would go on from its parent's.
    """
    if torch.device(device).type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s*(\d+) kB", status)[1]) * 1024


@contextmanager
def threads(number: int) -> Iterator[None]:
    """A scope in which torch computes on `number` threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
