"""The stages of the study: what each reads, what it needs, what it writes, and how one is run.

A stage is a function of (settings, inputs). Its key is a digest of the settings it reads and of the keys of the stages it
needs, so that changing `rib.tau` makes `rib` and what follows it stale, and nothing before it. A stage whose result is
finished is skipped; one that was killed goes on where it was.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch

from ribstudy import datasets, launch, toy
from ribstudy.auxiliary import AuxiliaryDraws, FeatureBank
from ribstudy.cam import cam_unit
from ribstudy.config import Settings, digest
from ribstudy.datasets import Dataset
from ribstudy.feed import Feed, OwnViews, ViewsAndAuxiliaryImages
from ribstudy.models import CamNet
from ribstudy.parallel import refuse_while_importing, run_tasks
from ribstudy.paths import MNIST
from ribstudy.progress import track
from ribstudy.rib import adapt_features, num_updates, rib_unit
from ribstudy.store import Result, Store, atomic, file_digest, locked
from ribstudy.training import CHECKPOINT, image_logits, load_classifier, train_classifier

log = logging.getLogger(__name__)

UnitWorker = Callable[[str], dict[str, np.ndarray]]
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
        return self.store.result(stage, key(stage, self.settings))

    def is_finished(self, stage: str) -> bool:
        """Finished is what has a record and, for a stage of units, every unit of these settings."""
        result = self.result(stage)
        return result.finished and all(map(result.has_unit, self.units(stage)))

    def units(self, stage: str) -> list[str]:
        unit_names = STAGES[stage].units
        return unit_names(self) if unit_names else []


@dataclass(frozen=True)
class Stage:
    """`whole(run, result)` does everything, or `worker(run, names)` the function that does one unit (an image, a seed).

    That function is called for the names in their order.
    """

    help: str
    reads: tuple[str, ...]  # sections of the settings
    needs: tuple[str, ...] = ()  # earlier stages
    whole: Callable[[Run, Result], None] | None = None
    units: Callable[[Run], list[str]] | None = None
    worker: Callable[[Run, Sequence[str]], UnitWorker] | None = None
    inputs: Callable[[Run], list[Path]] = lambda run: []  # files whose hashes the record holds
    only_checks: bool = False  # its result tells that something is sound, and is no input of other stages
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


def key(stage: str, settings: Settings) -> str:
    """Twelve hexadecimal digits: the same for the same settings, inputs and version of the stage."""
    return digest(_identity(stage, settings))


def _identity(stage: str, settings: Settings) -> dict:
    spec = STAGES[stage]
    return {
        "stage": stage,
        "version": spec.version,
        "settings": {section: _section(section, settings) for section in spec.reads},
        "needs": {need: key(need, settings) for need in spec.needs if not STAGES[need].only_checks},
    }


def _section(name: str, settings: Settings) -> object:
    if name == "data":
        return datasets.fingerprint(settings.data)
    if name == "data.root":
        return str(datasets.data_folder(settings.data))
    if name == "classifier":
        return _classifier_section(settings)
    if name == "toy":  # a seed's result does not depend on how many seeds there are
        return settings.toy.model_dump(mode="json", exclude={"seeds"})
    value = getattr(settings, name)
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else value


def _classifier_section(settings: Settings) -> dict:
    """The settings, with the content of a weights file in place of its path."""
    section = settings.classifier.model_dump(mode="json")
    if section["weights"] not in (None, "imagenet"):
        path = Path(section["weights"])
        if not path.is_file():
            raise ValueError(f"classifier.weights = {str(path)!r}: no such file")
        section["weights"] = file_digest(path)
    return section


def execute(stage: str, run: Run, *, shard: Shard | None = None, processes: int = 1) -> Result:
    """Runs a stage, and before it what it needs, unless their results are finished.

    `shard`: only this part of the units. `processes`: this many shards side by side. On a CPU each has one torch thread, since
    sums that several threads share are rounded otherwise: the result of a unit is the same to the last bit.
    """
    refuse_while_importing()
    result = run.result(stage)
    if run.is_finished(stage):
        log.info("%s: finished before, in %s", stage, result.folder)
        return result
    for need in STAGES[stage].needs:
        execute(need, run, processes=processes)
    if STAGES[stage].whole:
        _run_whole(stage, run, result)
    elif processes > 1 and shard is None:
        _run_side_by_side(stage, run, processes)
    else:
        _run_units(stage, run, result, shard or Shard())
    return result


def _run_whole(stage: str, run: Run, result: Result) -> None:
    result.folder.mkdir(parents=True, exist_ok=True)
    with locked(result.folder / ".lock", f"stage {stage}"):  # two may want the same training
        if run.is_finished(stage):
            return
        with result.session(run.device), launch.alone():
            STAGES[stage].whole(run, result)
        _finish(stage, run, result)


def _run_units(stage: str, run: Run, result: Result, shard: Shard) -> None:
    names = run.units(stage)
    missing = [name for name in shard.of(names) if not result.has_unit(name)]
    failures = {}
    if missing:
        with result.session(run.device) as notes, launch.one_thread(run.device):
            notes.update(shard=f"{shard.index}/{shard.count}", units=0)
            work = STAGES[stage].worker(run, missing)
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
            "inputs": {path.name: file_digest(path) for path in STAGES[stage].inputs(run)},
        }
    )


def default_processes(device: str) -> int:
    """On a CPU one process per core, as far as memory allows; one on an accelerator."""
    return launch.cores_with_memory() if device == "cpu" else 1


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


# --- what the stages do -------------------------------------------------------------------------------------------------


def _prepare_data(run: Run, result: Result) -> None:
    settings = run.settings.data
    folder = datasets.prepare(settings, processes=launch.cores())
    problems = datasets.check(settings, processes=launch.cores())
    if problems:
        raise ValueError(f"{len(problems)} problems in {folder}, the first: {problems[0]} (all: python -m ribstudy data check)")


def _lists(run: Run) -> list[Path]:
    return datasets.lists(run.settings.data)


def _train_classifier(run: Run, result: Result) -> None:
    settings = run.settings
    net = train_classifier(
        datasets.training_set(settings.data),
        settings.classifier,
        seed=settings.seed,
        folder=result.folder,
        device=run.device,
        num_workers=run.num_workers,
    )
    validation = datasets.open_dataset(settings.data, "val")
    logits = image_logits(net.eval(), validation, num_workers=run.num_workers)
    with atomic(result.path("validation.npz")) as temporary:
        np.savez_compressed(temporary, names=validation.names, labels=validation.labels, logits=logits)
    result.path(CHECKPOINT).unlink()


def _image_names(run: Run) -> list[str]:
    infer = run.settings.infer
    dataset = datasets.open_dataset(run.settings.data, infer.split)
    names = list(dataset.masked_names if infer.masked else dataset.names)
    if not names:
        raise ValueError(
            f"infer.masked: no image of split {infer.split!r} has a mask in {datasets.data_folder(run.settings.data)}"
        )
    return names[: infer.limit]


def trained_net(run: Run) -> CamNet:
    """The classifier of a run whose stage `classifier` is finished."""
    settings = run.settings
    num_classes = len(datasets.class_names(settings.data))
    net = load_classifier(run.result("classifier").folder, settings.classifier, num_classes, run.device)
    return net.compute_with(settings.compute)


def _classifier_weights(run: Run) -> list[Path]:
    return [run.result("classifier").path("classifier.pt")]


def _cam_worker(run: Run, names: Sequence[str]) -> UnitWorker:
    net = trained_net(run)
    dataset = datasets.open_dataset(run.settings.data, run.settings.infer.split)
    inputs = OwnViews(dataset, names, run.settings.cam.scales, net.normalization)
    feed = Feed(inputs, num_workers=run.num_workers, device=run.device)

    def work(name: str) -> dict[str, np.ndarray]:
        size, views = feed.views(name)
        return cam_unit(net, views, dataset.label(name), size)

    return work


def _rib_worker(run: Run, names: Sequence[str]) -> UnitWorker:
    net = trained_net(run)
    settings = run.settings
    dataset = datasets.open_dataset(settings.data, settings.infer.split)
    next_inputs = _rib_inputs(run, names, net, dataset)

    def work(name: str) -> dict[str, np.ndarray]:
        size, features, aux_features = next_inputs(name)
        label = dataset.label(name)
        if not label.any():
            return rib_unit(None, label, size)
        labels = torch.as_tensor(label, dtype=torch.float32)
        return rib_unit(adapt_features(net, features, labels, aux_features, settings.rib), label, size)

    return work


def _rib_inputs(run: Run, names: Sequence[str], net: CamNet, dataset: Dataset) -> Callable[[str], tuple]:
    """Gives for each name in turn the image's size, the features of its views, and step by step those of auxiliary images.

    The auxiliary images come from the feed, or from a bank of features where `auxiliary.bank` is set.
    """
    settings, auxiliary = run.settings, run.settings.auxiliary
    training_set = datasets.training_set(settings.data)
    bank = FeatureBank(net, training_set, auxiliary, seed=settings.seed) if auxiliary.bank else None
    set_labels = (bank or training_set).labels
    everything = run.units("rib")  # also of other shards: what one of them would refuse, all refuse before work starts
    labels = np.stack([dataset.label(name) for name in everything])
    draws = AuxiliaryDraws(set_labels, everything, labels, auxiliary, num_steps=num_updates(settings.rib), seed=settings.seed)
    own = (dataset, names, settings.rib.scales, net.normalization)
    if bank:
        inputs = OwnViews(*own)
    else:
        inputs = ViewsAndAuxiliaryImages(*own, auxiliary=training_set, draws=draws, settings=auxiliary, seed=settings.seed)
    feed = Feed(inputs, num_workers=run.num_workers, device=run.device)

    def next_inputs(name: str) -> tuple:
        size, views = feed.views(name)
        features = [net.features(view) for view in views]
        if bank:
            return size, features, bank.batches(draws, name)
        return size, features, ((net.features(images), labels) for images, labels in feed.batches())

    return next_inputs


def _toy_seeds(run: Run) -> list[str]:
    return [f"seed-{seed}" for seed in range(run.settings.toy.seeds)]


def _toy_worker(run: Run, names: Sequence[str]) -> UnitWorker:
    return lambda name: toy.run_seed(run.settings.toy, int(name.removeprefix("seed-")))


STAGES: dict[str, Stage] = {
    "toy": Stage(
        help="the simulated experiment of the paper's Section 3, seed by seed",
        reads=("toy",),
        units=_toy_seeds,
        inputs=lambda run: [MNIST],
        worker=_toy_worker,
    ),
    "data": Stage(
        help="draw MiniVOC where it is missing; check every annotation and image header",
        reads=("data", "data.root"),
        only_checks=True,
        whole=_prepare_data,
        inputs=_lists,
    ),
    "classifier": Stage(
        help="train the image classifier on image-level labels",
        reads=("seed", "data", "classifier"),
        needs=("data",),
        whole=_train_classifier,
        inputs=_lists,
    ),
    "cam": Stage(
        help="class activation maps of the images to infer",
        reads=("cam", "compute"),
        needs=("classifier",),
        units=_image_names,
        worker=_cam_worker,
        inputs=_classifier_weights,
        version=2,
    ),
    "rib": Stage(
        help="adapt the classifier to each image and keep the maps of every step",
        reads=("seed", "rib", "auxiliary", "compute"),
        needs=("classifier",),
        units=_image_names,
        worker=_rib_worker,
        inputs=_classifier_weights,
        version=3,
    ),
}
