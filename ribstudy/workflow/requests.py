"""The memory and the time that a job of a cluster asks for, from the seconds and the bytes of the items at hand.

The seconds of an item are the measured ones, if the results that are there have any for the same kind of processor. Otherwise
they follow from the operations of the networks, counted by `ribstudy.bench` on ResNet-50 at the image sizes of VOC, and from
times that the published results took on a core.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, cached_property

from ribstudy import datasets
from ribstudy.config import Settings
from ribstudy.datasets.selection import selected_names
from ribstudy.datasets.settings import DataSettings
from ribstudy.stages.memory import LARGEST, most_pixels
from ribstudy.stages.stage import ItemStage, Run, Stage, only_checks, reads_data, result_key
from ribstudy.store import Result, Store
from ribstudy.workflow.costs import seconds_per_item
from ribstudy.workflow.plan import Plan, PlannedJob
from ribstudy.workflow.waves import Wave

GPU_RATE = 10.0  # TFLOP/s that a GPU sustains
CORE_RATE = 0.05  # TFLOP/s that a processor core sustains
# TFLOP of an item: an image, or one that a training shows once.
FORWARD, STEP_OF_RIB = 0.71, 4.17
TFLOP: dict[str, Callable[[Settings], float]] = {
    "classifier": lambda settings: 0.16 * settings.classifier.epochs,
    "affinity": lambda settings: 0.07 * settings.affinity.epochs,
    "segmentation": lambda settings: 0.83 * (settings.segmentation.crop_size / 321) ** 2,
    "cam": lambda settings: FORWARD,
    "rib": lambda settings: STEP_OF_RIB * settings.rib.iterations,
    "baseline": lambda settings: 3 * FORWARD,
    "advcam": lambda settings: 3 * FORWARD * settings.advcam.iterations,
    "bottleneck": lambda settings: STEP_OF_RIB * settings.rib.iterations,
    "walk": lambda settings: 0.13,
    "scores": lambda settings: 0.99,
}
WHOLE_IMAGES = ("cam", "baseline", "advcam", "walk", "scores")  # the others mostly work on crops of one size
# Seconds of a core for an item of the published results on MiniVOC, for each megapixel.
PER_MEGAPIXEL = {"labels": 10.4, "agreement": 41.0, "masks": 5.1, "predictions": 5.3}
OTHER_PER_MEGAPIXEL = 0.6
SECONDS_OF_A_SEED = {"toy": 35.0, "toy-conditions": 5.0}

GIB = 2**30
HOST_OF_A_GPU = 8 * GIB  # of a process that uses a GPU, and as much for the processes that decode its images
UNKNOWN_MINUTES = 24 * 60  # of a job on missing data
START_MINUTES = 20  # until a job has read its networks and lists, on a slow disk
MARGIN = 2  # times the expected seconds


@dataclass(frozen=True)
class Request:
    """Megabytes of memory, and minutes, at the first attempt of a job. Each further attempt asks for that much more."""

    mem_mb: int
    minutes: int


class Requests:
    """The requests of the jobs of a plan, and the work that is left.

    Args:
        plan: the plan.
        threads: the processor cores of a job.
        on_gpu: whether stages with networks run on a GPU.
        store: the results; None: the project's.
    """

    def __init__(self, plan: Plan, *, threads: int, on_gpu: bool, store: Store | None = None):
        self.plan, self.threads, self.on_gpu = plan, threads, on_gpu
        self._store = store or Store()
        self._results: dict[str, list[Result]] = {}  # by stage, the results of the plan
        self._data: dict[str, bool] = {}  # whether there are data, by their settings
        self._request_of = cache(self._request)

    def of_group(self, name: str) -> Request:
        """The request of a job that computes a whole group."""
        return self._request_of((name,), 1)

    def of_wave(self, wave: Wave, parts: int) -> Request:
        """The request of one of the parts of a wave."""
        return self._request_of(wave.groups, parts)

    def work(self, names: Iterable[str]) -> float | None:
        """The seconds of all pending jobs of some groups in one process of `threads` cores; None if data are missing."""
        seconds = [self._seconds[name] for name in names if name in self.plan.pending]
        return None if any(value is None for value in seconds) else float(sum(seconds))

    def gpu_hours(self) -> float | None:
        """The expected hours of a GPU for all pending jobs; None if data are missing."""
        work = self.work(name for name in self.plan.pending if self.plan.groups[name].gpus)
        return None if work is None else work / 3600

    def _request(self, names: tuple[str, ...], parts: int) -> Request:
        jobs = [job for name in names for job in self.plan.pending.get(name, ())]
        memory = max(map(self._memory, jobs), default=HOST_OF_A_GPU)
        work = self.work(names)
        minutes = UNKNOWN_MINUTES if work is None else START_MINUTES + math.ceil(MARGIN * work / parts / 60)
        return Request(math.ceil(memory / 2**20), minutes)

    def _run(self, job: PlannedJob) -> Run:
        return Run(self.plan.settings_of(job), images=job.images, store=self._store)

    def _memory(self, job: PlannedJob) -> int:
        if job.stage.on_gpu and self.on_gpu:
            return HOST_OF_A_GPU + self.threads * GIB
        if not isinstance(job.stage, ItemStage):
            return HOST_OF_A_GPU
        run = self._run(job)
        if self._result(run, job.stage) is None:
            return GIB + self.threads * 4 * GIB
        return GIB + self.threads * job.stage.memory(run)

    @cached_property
    def _seconds(self) -> dict[str, float | None]:
        """The expected seconds of each pending group; None if data are missing. An item counts in one group only."""
        counted: dict[str, set[str]] = {}  # names of items by the key of their result
        return {name: self._seconds_of_group(jobs, counted) for name, jobs in self.plan.pending.items()}

    def _seconds_of_group(self, jobs: Iterable[PlannedJob], counted: dict[str, set[str]]) -> float | None:
        seconds = 0.0
        for job in jobs:
            if only_checks(job.stage):
                continue
            missing = self._missing(job)
            if missing is None:
                return None
            if not isinstance(missing, int):
                others = counted.setdefault(result_key(job.stage, self.plan.settings_of(job)), set())
                new = missing - others
                others |= new
                missing = len(new)
            seconds += missing * self._seconds_of_item(job)
        return seconds

    def _missing(self, job: PlannedJob) -> set[str] | int | None:
        """The names of a job's missing items, or how many images a training shows. None if the data are missing."""
        run = self._run(job)
        result = self._result(run, job.stage)
        if result is None:
            return None
        if not isinstance(job.stage, ItemStage):
            return _shown(job.stage, run.settings)
        return set(result.missing_items(run.items(job.stage)))

    def _result(self, run: Run, stage: Stage) -> Result | None:
        """The result of a job; None if the data are missing, which are not drawn for this."""
        try:
            missing = reads_data(stage, run.settings) and not self._are_there(run.settings.data)
            return None if missing else run.result(stage)
        except (ValueError, OSError):
            return None

    def _are_there(self, data: DataSettings) -> bool:
        """Whether there are data."""
        identity = data.model_dump_json()
        if identity not in self._data:
            self._data[identity] = bool(datasets.lists(data))
        return self._data[identity]

    def _seconds_of_item(self, job: PlannedJob) -> float:
        settings, stage = self.plan.settings_of(job), job.stage
        measured = self._measured(stage) if isinstance(stage, ItemStage) else None
        if measured is not None:
            return measured
        if stage.name in SECONDS_OF_A_SEED:
            return SECONDS_OF_A_SEED[stage.name] / self.threads
        pixels = most_pixels(settings.data)
        if stage.name in TFLOP:
            rate = GPU_RATE if self.on_gpu else CORE_RATE * self.threads
            larger = max(1, pixels / LARGEST["voc12"]) if stage.name in WHOLE_IMAGES else 1
            return TFLOP[stage.name](settings) * larger / rate
        return PER_MEGAPIXEL.get(stage.name, OTHER_PER_MEGAPIXEL) * pixels / 1e6 / self.threads

    def _measured(self, stage: Stage) -> float | None:
        """The mean seconds of an item in one job, in sessions on the same kind of processor; None if there are none."""
        if stage.name not in self._results:
            jobs = [job for group in self.plan.groups.values() for job in group.jobs if job.stage is stage]
            found = [self._result(self._run(job), stage) for job in jobs]
            self._results[stage.name] = [result for result in found if result is not None]
        on_gpu = stage.on_gpu and self.on_gpu
        sessions = [session for result in self._results[stage.name] for session in result.sessions()]
        seconds = seconds_per_item(session for session in sessions if session["device"].startswith("cuda") == on_gpu)
        return None if math.isnan(seconds) else seconds / (1 if on_gpu else self.threads)


def _shown(stage: Stage, settings: Settings) -> int:
    """The number of images that a training shows, once for each epoch of `TFLOP`."""
    if stage.name == "segmentation":
        return settings.segmentation.iterations * settings.segmentation.batch_size
    if stage.name == "affinity":
        images = settings.affinity.images
        return len(selected_names(datasets.open_dataset(settings.data, images.split), images))
    return len(datasets.training_set(settings.data).names)
