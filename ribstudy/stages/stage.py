"""The two kinds of stage, the properties that a stage declares, and the key of its result.

A stage is a function of settings and of the results of other stages. Its key is a digest of the settings that it reads and of
the keys of the stages that it needs. A change of `rib.tau` therefore changes the key of `rib` and of every stage after it, but
not of the stages before it. A key does not depend on the machine, on paths, or on versions of libraries.

Some settings do not affect what a stage stores, but only how its items are read, such as `rib.normalization`. They are not part
of its key, but of the keys of the stages that read its items.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from operator import attrgetter
from pathlib import Path
from typing import Any

from ribstudy import datasets
from ribstudy.config import Settings
from ribstudy.datasets.settings import DataSettings, ImageSelection
from ribstudy.items import ARRAYS, Item, ItemFormat
from ribstudy.runtime import ranks
from ribstudy.runtime.files import digest, file_digest
from ribstudy.stages.memory import of_a_network
from ribstudy.stages.requirements import Requirement
from ribstudy.store import Result, Store, StoredItems

ItemWorker = Callable[[str], Item]
OfData = Callable[[DataSettings], object]
# The sections of `Stage.reads` that mean files of the data, and the function that identifies their content.
CONTENT: dict[str, OfData] = {"data": datasets.fingerprint, "data.masks": datasets.mask_fingerprint}


def _unchanged(item: Item, settings: Settings) -> Item:
    return item


@dataclass(frozen=True)
class Need:
    """A stage whose result another stage reads; images: the images it is needed for, None for the images of the run."""

    stage: "Stage"
    images: ImageSelection | None = None


def after(*stages: "Stage") -> Callable[[Settings], list[Need]]:
    """The needs of a stage that reads the results of `stages` for the images of its run."""
    return lambda settings: [Need(stage) for stage in stages]


@dataclass(frozen=True, kw_only=True)
class Stage:
    """The properties that both kinds of stage have.

    Args:
        name: name of the command, and first part of the name of the result's folder.
        help: one line for the command line.
        reads: the sections of the settings that affect the result, or a function that returns them for given settings. The
            section "data" stands for images and labels, "data.masks" for the true masks.
        reading: the settings of these sections, by dotted name, that do not affect what is stored. They affect how an item is
            read (`read`) or how many items there are, or nothing.
        read: applies them to a stored item.
        needs: returns, for given settings, the stages whose results this stage reads.
        inputs: returns the digests of files, by name, that the record contains.
        on_gpu: whether it uses an accelerator if there is one.
        decodes_ahead: whether worker processes can prepare its inputs.
        requires: returns what a run of it requires and can lack, which is checked before any work (`preflight`).
        item_bytes: returns about how many bytes an item of a run takes on disk, or for a stage without items, its files; 0: too
            few to matter.
        version: raised when a change of the code changes the result.
    """

    name: str
    help: str
    reads: tuple[str, ...] | Callable[[Settings], tuple[str, ...]]
    reading: tuple[str, ...] = ()
    read: Callable[[Item, Settings], Item] = _unchanged
    needs: Callable[[Settings], list[Need]] = lambda settings: []
    inputs: Callable[["Run"], dict[str, str]] = lambda run: {}
    on_gpu: bool = True
    decodes_ahead: bool = False
    requires: Callable[["Run"], list[Requirement]] = lambda run: []
    item_bytes: Callable[["Run"], int] = lambda run: 0
    version: int = 1

    def key(self, settings: Settings) -> str:
        """A digest of twelve hexadecimal digits: equal settings, data and versions give equal keys."""
        return digest(self.identity(settings))

    def identity(self, settings: Settings, *, content: Mapping[str, OfData] = CONTENT) -> dict:
        """Everything that affects the result, as a JSON-like value."""
        needed = [need.stage for need in self.needs(settings) if not only_checks(need.stage)]
        sections = self.reads(settings) if callable(self.reads) else self.reads
        return {
            "stage": self.name,
            "version": self.version,
            "settings": {section: _section(section, settings, self.reading, content) for section in sections},
            "needs": {stage.name: digest(stage.identity(settings, content=content)) for stage in needed},
            "reading": {name: attrgetter(name)(settings) for stage in needed for name in stage.reading},
        }


@dataclass(frozen=True, kw_only=True)
class WholeStage(Stage):
    """A stage that is computed as a whole: the preparation of the data, or a training.

    Args:
        work: computes the stage and writes its files into the result's folder.
        files: the files that it writes and others read; the stage is finished if it has all of them.
        shared: whether all ranks compute it together (a training) or only the first rank does.
        only_checks: whether it only checks its inputs. The keys of other stages do not include such a stage.
    """

    work: Callable[["Run", Result], None]
    files: tuple[str, ...] = ()
    shared: bool = False
    only_checks: bool = False


@dataclass(frozen=True, kw_only=True)
class ItemStage(Stage):
    """A stage that computes one item after another: an image, or a seed of the toy experiment.

    Args:
        items: returns the names of the items of a run.
        worker: takes a run and the names that will be computed, in order; returns the function that computes one item.
        format: the file format of an item.
        of_images: whether its items are the images of the run.
        asked: if they are not, the setting that decides how many items there are. The key does not include it.
        scores: the stage whose items this stage compares with the true masks, if it does.
        memory: returns the bytes of memory that a process needs for the items of a run (see `ribstudy.stages.memory`).
    """

    items: Callable[["Run"], list[str]]
    worker: Callable[["Run", Sequence[str]], ItemWorker]
    format: ItemFormat = ARRAYS
    of_images: bool = True
    asked: str | None = None
    scores: "ItemStage | None" = None
    memory: Callable[["Run"], int] = of_a_network


@dataclass(frozen=True)
class Run:
    """The conditions under which stages are computed.

    Args:
        settings: all settings that affect the numbers.
        images: the images for stages that compute one image after another. They decide which items are computed but not
            their values, so the key of a result does not include them.
        store: the folder of all results.
        given_device: the device to compute on. None: `ranks.device`.
        given_workers: the number of worker processes that prepare the inputs of stages with `decodes_ahead`. None:
            `ranks.default_workers`.
        only: names of items; other items of `images` are left out. None: all.
    """

    settings: Settings
    images: ImageSelection = field(default_factory=ImageSelection)
    store: Store = field(default_factory=Store)
    given_device: str | None = None
    given_workers: int | None = None
    only: tuple[str, ...] | None = None

    @cached_property
    def device(self) -> str:
        """The device to compute on: "cpu", or the accelerator of this rank. Only computations ask for it, as it needs torch."""
        return self.given_device or ranks.device()

    @property
    def num_workers(self) -> int:
        """The number of worker processes that prepare the inputs of stages with `decodes_ahead`."""
        return ranks.default_workers(self.device) if self.given_workers is None else self.given_workers

    def with_images(self, images: ImageSelection | None) -> "Run":
        """This run on other images; None keeps its own images."""
        return self if images is None else replace(self, images=images, only=None)

    def of(self, need: Need) -> "Run":
        """The run that computes a needed result: this run, on the images that are needed."""
        return self.with_images(need.images)

    def result(self, stage: Stage) -> Result:
        """The result of a stage under these settings, finished or not."""
        items = stage.format if isinstance(stage, ItemStage) else ARRAYS
        return self.store.result(stage.name, stage.key(self.settings), items)

    def is_finished(self, stage: Stage) -> bool:
        """Whether the result has a record, every file of the stage and every item of this run, here or published."""
        result = self.result(stage)
        files = stage.files if isinstance(stage, WholeStage) else ()
        return result.finished and all(map(result.has_file, files)) and all(map(result.has_item, self.items(stage)))

    def items(self, stage: Stage) -> list[str]:
        """The names of the items that the stage computes in this run; empty for a `WholeStage`."""
        if not isinstance(stage, ItemStage):
            return []
        return [name for name in stage.items(self) if self.only is None or name in self.only]

    def stored(self, stage: Stage, images: ImageSelection | None = None) -> StoredItems:
        """The stored items of a stage, for this run's images or for others, read as the settings say (`Stage.read`)."""
        run = self.with_images(images)
        return StoredItems(run.result(stage), run.items(stage), partial(stage.read, settings=self.settings))


def of_images(stage: Stage) -> bool:
    """Whether the stage computes one image after another."""
    return isinstance(stage, ItemStage) and stage.of_images


def reads_data(stage: Stage, settings: Settings) -> bool:
    """Whether images, labels or masks affect the stage's result, directly or through the stages that it needs."""
    sections = stage.reads(settings) if callable(stage.reads) else stage.reads
    return bool(set(sections) & set(CONTENT)) or any(reads_data(need.stage, settings) for need in stage.needs(settings))


def result_key(stage: Stage, settings: Settings) -> str:
    """Like `Stage.key`, but from the settings alone, so that a plan can be made before the data exist."""
    by_settings: OfData = lambda data: data.model_dump(mode="json")  # noqa: E731
    identity = stage.identity(settings, content=dict.fromkeys(CONTENT, by_settings))
    asked = stage.asked if isinstance(stage, ItemStage) else None
    return digest({**identity, "asked": attrgetter(asked)(settings) if asked else None})


def only_checks(stage: Stage) -> bool:
    """Whether the stage only checks its inputs, as `data` does."""
    return isinstance(stage, WholeStage) and stage.only_checks


def _section(name: str, settings: Settings, reading: tuple[str, ...], content: Mapping[str, OfData]) -> object:
    """The section of the settings in an identity: without settings that only affect reading, and with contents for paths."""
    if name in content:
        return content[name](settings.data)
    value: Any = getattr(settings, name)
    if not hasattr(value, "model_dump"):
        return value
    only_read = {setting.partition(".")[2] for setting in reading if setting.startswith(f"{name}.")}
    section = value.model_dump(mode="json", exclude=only_read)
    if section.get("weights") not in (None, "imagenet"):
        section["weights"] = _content_of(Path(section["weights"]), f"{name}.weights")
    return section


def _content_of(path: Path, setting: str) -> str:
    """The digest of a file, which replaces the file's path in an identity."""
    if not path.is_file():
        raise ValueError(f"{setting} = {str(path)!r}: no such file")
    return file_digest(path)
