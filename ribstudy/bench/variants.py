"""The variants of one adaptation. Each runs in its own process, so that its memory can be measured."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ribstudy.bench.measure import BenchError, peak_memory, synchronize
from ribstudy.bench.operations import Workload, count_flop
from ribstudy.bench.reference import adapt_as_reference, release_frozen_weights
from ribstudy.method.rib import adapt, adapt_features
from ribstudy.method.settings import RibSettings
from ribstudy.models.cam_net import CamNet, build_cam_net
from ribstudy.models.kernels import use_exact_kernels

CLASSES = (0, 1)  # of the image; the auxiliary images have others


@dataclass(frozen=True)
class Variant:
    """One way to compute an adaptation.

    bank: the frozen features of the auxiliary images are computed beforehand. mode: as of `RibSettings`.
    """

    name: str
    schedule: Literal["reference", "study"] = "study"
    precision: Literal["fp32", "tf32", "bf16"] = "fp32"
    bank: bool = False
    compile: bool = False
    mode: Literal["code", "fast"] = "code"


@dataclass(frozen=True)
class Job:
    """An adaptation for a worker process. threads: 0 leaves the number to torch. count: also count the FLOP."""

    iterations: int
    threads: int = 0
    count: bool = False


@dataclass(frozen=True)
class Outcome:
    """The result of a job.

    maps: the summed maps [n, h, w] of the image's classes at each scale.
    flop: None if they were not counted.
    peak: the largest memory of the process so far, in bytes.
    """

    seconds: float
    maps: list[np.ndarray]
    flop: float | None
    peak: int


class Adaptation:
    """A variant with weights and inputs from fixed seeds. They are the same for all variants of a workload."""

    def __init__(self, variant: Variant, workload: Workload, device: str, folder: Path):
        self.variant, self.device = variant, device
        self.net = _net(variant, workload, device)
        self.labels = torch.zeros(workload.num_classes, device=device)
        self.labels[list(CLASSES)] = 1
        self.views, self.batches = _inputs(workload, device)
        self.weights = folder / "weights.pt"
        if variant.schedule == "reference":
            torch.save(self.net.state_dict(), self.weights)
            release_frozen_weights(self.net)
        if variant.bank:
            self.batches = [(self.net.features(images), labels) for images, labels in self.batches]

    def maps(self, iterations: int) -> list[Tensor]:
        """The summed maps [C, h, w] at each scale. The stopping rules are off, so that all steps are taken."""
        settings = RibSettings(mode=self.variant.mode, iterations=iterations, margin=1e12, spread_ratio=1.0)
        if self.variant.schedule == "reference":
            return adapt_as_reference(self.net, self.weights, self.views, self.labels, self.batches, settings)
        if self.variant.bank:
            features = [self.net.features(view) for view in self.views]
            return adapt_features(self.net, features, self.labels, self.batches, settings).maps
        return adapt(self.net, self.views, self.labels, self.batches, settings).maps

    def run(self, job: Job) -> Outcome:
        if job.threads:
            torch.set_num_threads(job.threads)
        synchronize(self.device)
        start = time.perf_counter()
        flop, maps = count_flop(lambda: self.maps(job.iterations)) if job.count else (None, self.maps(job.iterations))
        synchronize(self.device)
        seconds = time.perf_counter() - start
        return Outcome(seconds, [m[list(CLASSES)].cpu().numpy() for m in maps], flop, peak_memory(self.device))


def _net(variant: Variant, workload: Workload, device: str) -> CamNet:
    """A network with random weights, because the cost of a step does not depend on them.

    Residual branches are initialised with a scale of 0; here they get 0.25, so that they affect the maps.
    """
    torch.manual_seed(0)
    net = build_cam_net(workload.backbone, workload.num_classes).eval()
    for name, scale in net.named_parameters():
        if name.endswith("bn3.weight"):
            torch.nn.init.constant_(scale, 0.25)
    if variant.schedule == "reference":  # plain torch
        use_exact_kernels(tf32=variant.precision == "tf32")
        return net.to(device)
    net = net.to(device, memory_format=torch.channels_last)  # the memory format of `stages.classifier.trained_net`
    return net.compute_with(precision=variant.precision, compile=variant.compile)


def _inputs(workload: Workload, device: str) -> tuple[list[Tensor], list[tuple[Tensor, Tensor]]]:
    """Views of noise at all scales, and a batch for each step. The time for decoding images is measured in `loading`."""
    generator = torch.Generator().manual_seed(1)
    views = []
    for size in workload.view_sizes(RibSettings().scales):
        plain = torch.randn(3, *size, generator=generator)
        views.append(torch.stack([plain, plain.flip(-1)]).to(device))
    batches = []
    for _ in range(workload.iterations):
        images = torch.randn(workload.num_auxiliary, 3, workload.crop_side, workload.crop_side, generator=generator)
        labels = torch.zeros(workload.num_auxiliary, workload.num_classes)
        labels[torch.arange(len(labels)), len(CLASSES) + torch.arange(len(labels)) % (workload.num_classes - len(CLASSES))] = 1
        batches.append((images.to(device), labels.to(device)))
    return views, batches


class Worker:
    """A process that runs jobs of one variant, one after another. The context manager ends the process."""

    def __init__(self, variant: Variant, workload: Workload, device: str):
        self.variant = variant
        context = get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, variant, workload, device), daemon=True)
        self._process.start()
        theirs.close()

    def start(self, job: Job) -> None:
        self._connection.send(job)

    def outcome(self) -> Outcome:
        """The outcome of the job that was started. Raises BenchError with the reason if the process failed."""
        try:
            outcome = self._connection.recv()
        except EOFError:
            raise BenchError(f"{self.variant.name}: its process ended, perhaps because memory ran out") from None
        if isinstance(outcome, str):
            raise BenchError(f"{self.variant.name}: {outcome}")
        return outcome

    def run(self, job: Job) -> Outcome:
        self.start(job)
        return self.outcome()

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.join()


def _serve(connection: Connection, variant: Variant, workload: Workload, device: str) -> None:
    with TemporaryDirectory() as folder, suppress(EOFError, BrokenPipeError):  # the parent process has ended
        run = catching(lambda: Adaptation(variant, workload, device, Path(folder)).run)
        while True:
            job = connection.recv()
            connection.send(run if isinstance(run, str) else catching(partial(run, job)))


def catching(work: Callable) -> object:
    """The return value of `work`; if it raises an error, a string with the type and the first line of the error."""
    try:
        return work()
    except Exception as error:
        lines = str(error).strip().splitlines() or [""]
        return f"{type(error).__name__}: {lines[0][:200]}"


def deviation(maps: Sequence[np.ndarray], exact: Sequence[np.ndarray]) -> tuple[float, float]:
    """The largest and the mean deviation of maps [n, h, w] at all scales, each relative to the maximum of its exact map."""
    shares = [
        np.abs(m - e) / np.maximum(e.max(axis=(1, 2), keepdims=True), np.finfo(e.dtype).tiny)
        for m, e in zip(maps, exact, strict=True)
    ]
    values = np.concatenate([share.ravel() for share in shares])
    return float(values.max()), float(values.mean())
