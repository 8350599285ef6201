"""The two kinds of stage, the properties that a stage declares, and the key of its result.

A stage is a function of settings and of the results of other stages. Its key is a digest of the settings that it reads and of
the keys of the stages that it needs. A change of `rib.tau` therefore changes the key of `rib` and of every stage after it, but
not of the stages before it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ribstudy import datasets
from ribstudy.config import Settings
from ribstudy.datasets.settings import DataSettings, ImageSelection
from ribstudy.runtime import ranks
from ribstudy.runtime.files import digest, file_digest
from ribstudy.store import ARRAYS, Item, ItemFormat, Result, Store, StoredItems

ItemWorker = Callable[[str], Item]
OfData = Callable[[DataSettings], object]  # describes the data in an identity


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
        reads: the sections of the settings that affect the result.
        needs: returns, for given settings, the stages whose results this stage reads.
        inputs: returns the files whose hashes the record contains.
        on_gpu: whether it uses an accelerator if there is one.
        decodes_ahead: whether worker processes can prepare its inputs.
        version: raised when a change of the code changes the result.
    """

    name: str
    help: str
    reads: tuple[str, ...]
    needs: Callable[[Settings], list[Need]] = lambda settings: []
    inputs: Callable[["Run"], list[Path]] = lambda run: []
    on_gpu: bool = True
    decodes_ahead: bool = False
    version: int = 1

    def key(self, settings: Settings) -> str:
        """A digest of twelve hexadecimal digits: equal settings, data and versions give equal keys."""
        return digest(self.identity(settings))

    def identity(self, settings: Settings, *, of_data: OfData = datasets.fingerprint) -> dict:
        """Everything that affects the result, as a JSON-like value; `of_data` describes the data."""
        needed = [need.stage for need in self.needs(settings) if not only_checks(need.stage)]
        return {
            "stage": self.name,
            "version": self.version,
            "settings": {section: _section(section, settings, of_data) for section in self.reads},
            "needs": {stage.name: digest(stage.identity(settings, of_data=of_data)) for stage in needed},
        }


@dataclass(frozen=True, kw_only=True)
class WholeStage(Stage):
    """A stage that is computed as a whole: the preparation of the data, or a training.

    Args:
        work: computes the stage and writes its files into the result's folder.
        shared: whether all ranks compute it together (a training) or only the first rank does.
        only_checks: whether it only checks its inputs. The keys of other stages do not include such a stage.
    """

    work: Callable[["Run", Result], None]
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
        asked: if they are not, returns the setting that decides how many items there are. The key does not include it.
    """

    items: Callable[["Run"], list[str]]
    worker: Callable[["Run", Sequence[str]], ItemWorker]
    format: ItemFormat = ARRAYS
    of_images: bool = True
    asked: Callable[[Settings], object] = lambda settings: None


@dataclass(frozen=True)
class Run:
    """The conditions under which stages are computed.

    Args:
        settings: all settings that affect the numbers.
        images: the images for stages that compute one image after another. They decide which items are computed but not
            their values, so the key of a result does not include them.
        store: the folder of all results.
        device: "cpu", or the accelerator of this rank.
        num_workers: number of worker processes that prepare the inputs of stages with `decodes_ahead`.
    """

    settings: Settings
    images: ImageSelection = field(default_factory=ImageSelection)
    store: Store = field(default_factory=Store)
    device: str = field(default_factory=ranks.device)
    num_workers: int = 0

    def with_images(self, images: ImageSelection | None) -> "Run":
        """This run on other images; None keeps its own images."""
        return self if images is None else replace(self, images=images)

    def of(self, need: Need) -> "Run":
        """The run that computes a needed result: this run, on the images that are needed."""
        return self.with_images(need.images)

    def result(self, stage: Stage) -> Result:
        """The result of a stage under these settings, finished or not."""
        items = stage.format if isinstance(stage, ItemStage) else ARRAYS
        return self.store.result(stage.name, stage.key(self.settings), items)

    def is_finished(self, stage: Stage) -> bool:
        """Whether the result has a record and contains every item of this run."""
        result = self.result(stage)
        return result.finished and all(map(result.has_item, self.items(stage)))

    def items(self, stage: Stage) -> list[str]:
        """The names of the items that the stage computes in this run; empty for a `WholeStage`."""
        return stage.items(self) if isinstance(stage, ItemStage) else []

    def stored(self, stage: Stage, images: ImageSelection | None = None) -> StoredItems:
        """The stored items of a stage, for this run's images or for others."""
        run = self.with_images(images)
        return StoredItems(run.result(stage), run.items(stage))


def of_images(stage: Stage) -> bool:
    """Whether the stage computes one image after another."""
    return isinstance(stage, ItemStage) and stage.of_images


def result_key(stage: Stage, settings: Settings) -> str:
    """Like `Stage.key`, but from the settings alone, so that a plan can be made before the data exist."""
    identity = stage.identity(settings, of_data=lambda data: data.model_dump(mode="json"))
    return digest({**identity, "asked": stage.asked(settings) if isinstance(stage, ItemStage) else None})


def only_checks(stage: Stage) -> bool:
    """Whether the stage only checks its inputs, as `data` does."""
    return isinstance(stage, WholeStage) and stage.only_checks


def _section(name: str, settings: Settings, of_data: OfData) -> object:
    if name == "data":
        return of_data(settings.data)
    if name == "data.root":
        return str(datasets.data_folder(settings.data))
    if name == "toy":  # the result of a seed does not depend on the number of seeds
        return settings.toy.model_dump(mode="json", exclude={"seeds"})
    value = getattr(settings, name)
    if not hasattr(value, "model_dump"):
        return value
    section = value.model_dump(mode="json")
    if section.get("weights") not in (None, "imagenet"):
        section["weights"] = _content_of(Path(section["weights"]), f"{name}.weights")
    return section


def _content_of(path: Path, setting: str) -> str:
    """The digest of a file, which replaces the file's path in an identity."""
    if not path.is_file():
        raise ValueError(f"{setting} = {str(path)!r}: no such file")
    return file_digest(path)
