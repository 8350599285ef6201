"""What a stage is, and how one is run: in one process, in several, in shards, by several ranks, or not again.

A stage is a function of (settings, inputs). Its key is a digest of the settings it reads and of the keys of the stages it
needs, so that changing `rib.tau` makes `rib` and what follows it stale, and nothing before it. A stage whose result is
finished is skipped; one that was killed goes on where it was.
"""

import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import torch

from ribstudy import datasets
from ribstudy.config import Settings
from ribstudy.datasets.settings import DataSettings
from ribstudy.runtime import ranks as launch
from ribstudy.runtime.files import digest, file_digest, locked
from ribstudy.runtime.processes import refuse_while_importing, run_tasks
from ribstudy.runtime.progress import track
from ribstudy.store import Result, Store, Unit

log = logging.getLogger(__name__)

UnitWorker = Callable[[str], Unit]
Need = tuple[str, Settings]  # a stage, and the settings that it is needed under
MAX_WORKERS = 12  # decode about 1,600 crops in a second
# What can be wrong with one image and leaves the others as they are: its file, its numbers, its size.
UNIT_ERRORS = (ValueError, ArithmeticError, torch.OutOfMemoryError)


class UnitsFailed(ValueError):
    """Some units of a stage failed; the results of all others are kept.

    failures: unit name -> message.
    """

    def __init__(self, stage: str, failures: dict[str, str], folder: Path):
        names_of: dict[str, list[str]] = {}
        for name, message in failures.items():
            names_of.setdefault(message, []).append(name)
        shown = [f"\n  {', '.join(names)}: {message}" for message, names in names_of.items()]
        super().__init__(f"{stage}: {len(failures)} units failed; all others are kept in {folder}" + "".join(shown))
        self.failures = failures


@dataclass(frozen=True)
class Run:
    """Settings, and where and on what they are run."""

    settings: Settings
    store: Store = field(default_factory=Store)
    device: str = field(default_factory=launch.device)
    num_workers: int = 0  # processes that prepare the inputs of cam and rib ahead of time

    def result(self, stage: str) -> Result:
        return self.store.result(stage, key(stage, self.settings), stage_named(stage).suffix)

    def is_finished(self, stage: str) -> bool:
        """Finished is what has a record and, for a stage of units, every unit of these settings."""
        result = self.result(stage)
        return result.finished and all(map(result.has_unit, self.units(stage)))

    def units(self, stage: str) -> list[str]:
        unit_names = stage_named(stage).units
        return unit_names(self) if unit_names else []

    def under(self, settings: Settings) -> "Run":
        """The same run with other settings."""
        return replace(self, settings=settings)


def after(*stages: str) -> Callable[[Settings], list[Need]]:
    """The needs of a stage that comes after others under its own settings."""
    return lambda settings: [(stage, settings) for stage in stages]


@dataclass(frozen=True)
class Stage:
    """`whole(run, result)` does everything, or `worker(run, names)` the function that does one unit (an image, a seed).

    That function is called for the names in their order.
    """

    help: str
    reads: tuple[str, ...]  # sections of the settings
    needs: Callable[[Settings], list[Need]] = lambda settings: []
    whole: Callable[[Run, Result], None] | None = None
    units: Callable[[Run], list[str]] | None = None
    worker: Callable[[Run, Sequence[str]], UnitWorker] | None = None
    inputs: Callable[[Run], list[Path]] = lambda run: []  # files whose hashes the record holds
    only_checks: bool = False  # its result tells that something is sound, and is no input of other stages
    shared: bool = False  # `whole` is a training, which all ranks do together
    on_cpu: bool = False  # no accelerator is of use
    suffix: str = ".npz"  # of the units (see `Result`)
    version: int = 1  # raised when a change of the code changes what the stage computes


@dataclass(frozen=True)
class Shard:
    """Part `index` (from 0) of `count` nearly equal parts."""

    index: int = 0
    count: int = 1

    def __post_init__(self):
        if not 0 <= self.index < self.count:
            raise ValueError(f"shard {self.index}/{self.count}: the index must be from 0 to the count less one")

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """The shard that "0/2" (the first of two) names."""
        index, _, count = text.partition("/")
        if not (index.isdecimal() and count.isdecimal()):
            raise ValueError(f"shard {text!r}: expected INDEX/COUNT, such as 0/2 for the first of two")
        return cls(int(index), int(count))

    @classmethod
    def of_launch(cls) -> "Shard | None":
        """The part of this rank where torchrun or accelerate launch started several processes, else None."""
        found = launch.rank()
        return cls(*found) if found else None

    def of(self, names: list[str]) -> list[str]:
        return names[self.index :: self.count]


def stage_named(name: str) -> Stage:
    from ribstudy.stages import STAGES  # here, since they are made of what this file holds

    return STAGES[name]


def key(stage: str, settings: Settings) -> str:
    """Twelve hexadecimal digits: the same for the same settings, inputs and version of the stage."""
    return digest(_identity(stage, settings))


def work_key(stage: str, settings: Settings) -> str:
    """As `key`, of the settings alone, so that work can be planned before the data are there; and of the images asked for."""
    identity = _identity(stage, settings, of_data=lambda data: data.model_dump(mode="json"))
    asked = [settings.infer.model_dump(), settings.toy.seeds] if stage_named(stage).units else None
    return digest({**identity, "asked": asked})


def _identity(stage: str, settings: Settings, *, of_data: Callable[[DataSettings], object] = datasets.fingerprint) -> dict:
    spec = stage_named(stage)
    needs = [need for need in spec.needs(settings) if not stage_named(need[0]).only_checks]
    return {
        "stage": stage,
        "version": spec.version,
        "settings": {section: _section(section, settings, of_data) for section in spec.reads},
        "needs": {need: digest(_identity(need, their_settings, of_data=of_data)) for need, their_settings in needs},
    }


def _section(name: str, settings: Settings, of_data: Callable[[DataSettings], object]) -> object:
    if name == "data":
        return of_data(settings.data)
    if name == "data.root":
        return str(datasets.data_folder(settings.data))
    if name == "toy":  # a seed's result does not depend on how many seeds there are
        return settings.toy.model_dump(mode="json", exclude={"seeds"})
    value = getattr(settings, name)
    if not hasattr(value, "model_dump"):
        return value
    section = value.model_dump(mode="json")
    if section.get("weights") not in (None, "imagenet"):
        section["weights"] = _content_of(Path(section["weights"]), f"{name}.weights")
    return section


def _content_of(path: Path, setting: str) -> str:
    """What takes the place of a file's path in an identity: the digest of what it holds."""
    if not path.is_file():
        raise ValueError(f"{setting} = {str(path)!r}: no such file")
    return file_digest(path)


def execute(stage: str, run: Run, *, shard: Shard | None = None, processes: int | None = 1) -> Result:
    """Runs a stage, and before it what it needs, unless their results are finished.

    `shard`: only this part of the units; of several ranks each takes its own. `processes`: so many shards side by side; None:
    as many as suit the stage. On a CPU each has one torch thread, since sums that several threads share are rounded otherwise:
    the result of a unit is the same to the last bit.
    """
    refuse_while_importing()
    result = run.result(stage)
    if launch.agreed(run.is_finished(stage)):
        log.info("%s: finished before, in %s", stage, result.folder)
        return result
    for need, settings in stage_named(stage).needs(run.settings):
        execute(need, run.under(settings), processes=processes)
        if launch.rank() and not launch.agreed(run.under(settings).is_finished(need)):
            raise ValueError(f"{stage}: {need}, which it needs, was not finished by all ranks; see what they say")
    if stage_named(stage).whole:
        _run_whole(stage, run, result)
        return result
    shard = shard or Shard.of_launch()
    processes = processes or default_processes(stage, run.device)
    if processes > 1 and shard is None:
        _run_side_by_side(stage, run, processes)
        return result
    try:
        _run_units(stage, run, result, shard or Shard())
    finally:
        launch.wait_for_all()  # a launcher ends the others as soon as one rank ends with an error
    return result


def _run_whole(stage: str, run: Run, result: Result) -> None:
    spec, first = stage_named(stage), launch.is_first()
    result.folder.mkdir(parents=True, exist_ok=True)
    with _held_by_first(result.folder / ".lock", stage):
        if launch.agreed(run.is_finished(stage)):
            return
        if first or spec.shared:
            with result.session(run.device):
                spec.whole(run, result)
        launch.wait_for_all()
        if first:
            _finish(stage, run, result)
    launch.wait_for_all()


@contextlib.contextmanager
def _held_by_first(path: Path, stage: str) -> Iterator[None]:
    """The lock on a stage's folder, since two runs may want the same training; of several ranks the first holds it for all."""
    with locked(path, f"stage {stage}") if launch.is_first() else contextlib.nullcontext():
        yield


def _run_units(stage: str, run: Run, result: Result, shard: Shard) -> None:
    names = run.units(stage)
    missing = [name for name in shard.of(names) if not result.has_unit(name)]
    failures = {}
    if missing:
        with result.session(run.device) as notes, launch.one_thread(run.device):
            notes.update(shard=f"{shard.index}/{shard.count}", units=0)
            work = stage_named(stage).worker(run, missing)
            for name in track(missing, stage):
                if result.has_unit(name):  # of a run that does the same at the same time
                    continue
                try:
                    result.write_unit(name, work(name))
                    notes["units"] += 1
                except UNIT_ERRORS as error:
                    failures[name] = str(error)
                    log.error("%s: unit %s failed: %s", stage, name, error)
                except Exception as error:
                    error.add_note(f"stage {stage}, unit {name}; the units before it are kept in {result.folder}")
                    raise
    if failures:
        raise UnitsFailed(stage, failures, result.folder)
    done = sum(map(result.has_unit, names))
    if done == len(names):
        result.remove_leftovers()
        _finish(stage, run, result)
    else:
        log.info("%s: %d of %d units done; the rest belongs to other shards", stage, done, len(names))


def _run_side_by_side(stage: str, run: Run, processes: int) -> None:
    count = min(processes, len(run.units(stage)))
    shards = [Shard(index, count) for index in range(count)]
    failures = {}
    for failed in run_tasks(partial(_run_shard, stage, run), shards, processes=count):
        failures |= failed
    if failures:
        raise UnitsFailed(stage, failures, run.result(stage).folder)


def _run_shard(stage: str, run: Run, shard: Shard) -> dict[str, str]:
    """Runs a shard and gives the units that failed; any other exception passes through."""
    try:
        _run_units(stage, run, run.result(stage), shard)
    except UnitsFailed as error:
        return error.failures
    return {}


def _finish(stage: str, run: Run, result: Result) -> None:
    result.finish(
        {
            "stage": stage,
            "key": key(stage, run.settings),
            "identity": _identity(stage, run.settings),
            "device": run.device,
            "units": len(result.unit_names()),
            "inputs": {path.name: file_digest(path) for path in stage_named(stage).inputs(run)},
        }
    )


def default_processes(stage: str, device: str) -> int:
    """On a CPU one process per core, as far as memory allows; one on an accelerator."""
    return launch.cores_with_memory() if device == "cpu" or stage_named(stage).on_cpu else 1


def default_workers(device: str) -> int:
    """On a CPU none, since the cores are busy with the network; on an accelerator the cores but one, and no more than help."""
    return 0 if device == "cpu" else min(MAX_WORKERS, max(1, launch.cores() - 1))


def status(stage: str, run: Run) -> dict:
    """A stage's state, the seconds worked on it, its key and folder; reading it runs nothing."""
    result = run.result(stage)
    units = run.units(stage) if result.folder.is_dir() else []
    done = sum(map(result.has_unit, units))
    finished = result.finished and done == len(units)
    state = "finished" if finished else "not run" if not result.folder.is_dir() else "unfinished"
    return {
        "stage": stage,
        "state": state + (f" ({done}/{len(units)})" if units else ""),
        "seconds": sum(session["seconds"] for session in result.sessions()),
        "key": key(stage, run.settings),
        "folder": str(result.folder),
    }
