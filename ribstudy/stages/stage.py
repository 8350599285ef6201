"""What a stage is: the two kinds, the facts each stage declares, and the key of its result.

A stage is a function of settings and of the results of other stages. Its key is a digest of the settings it reads and of the
keys of the stages it needs. So a change of `rib.tau` makes `rib` and the stages after it stale, and nothing before it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ribstudy import datasets
from ribstudy.config import Settings
from ribstudy.datasets.settings import DataSettings, ImageSelection
from ribstudy.runtime.files import digest, file_digest
from ribstudy.store import ARRAYS, Item, ItemFormat, Result

if TYPE_CHECKING:
    from ribstudy.stages.run import Run

ItemWorker = Callable[[str], Item]
OfData = Callable[[DataSettings], object]  # what stands for the data in an identity


@dataclass(frozen=True)
class Need:
    """A stage whose result another stage reads; images: the items it needs, None for those of the run itself."""

    stage: "Stage"
    images: ImageSelection | None = None


def after(*stages: "Stage") -> Callable[[Settings], list[Need]]:
    """The needs of a stage that reads the results of others for its own images."""
    return lambda settings: [Need(stage) for stage in stages]


@dataclass(frozen=True, kw_only=True)
class Stage:
    """What both kinds of stage declare.

    Args:
        name: of the command and of the result's folder.
        help: one line for the command line.
        reads: the sections of the settings that decide the result.
        needs: the stages whose results it reads, under the same settings.
        inputs: files whose hashes are kept in the record.
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
        """Twelve hexadecimal digits, the same for the same settings, inputs and version of the stage."""
        return digest(self.identity(settings))

    def identity(self, settings: Settings, *, of_data: OfData = datasets.fingerprint) -> dict:
        """Everything that decides the result, as a JSON-like value; `of_data` describes the data."""
        needed = [need.stage for need in self.needs(settings) if not _only_checks(need.stage)]
        return {
            "stage": self.name,
            "version": self.version,
            "settings": {section: _section(section, settings, of_data) for section in self.reads},
            "needs": {stage.name: digest(stage.identity(settings, of_data=of_data)) for stage in needed},
        }


@dataclass(frozen=True, kw_only=True)
class WholeStage(Stage):
    """A stage that is done as a whole: the preparation of the data, or a training.

    Args:
        work: does it, and writes its files into the result's folder.
        shared: whether all ranks do it together (a training); otherwise the first rank does it alone.
        only_checks: whether its result only says that something is sound, so that it is no part of other stages' keys.
    """

    work: Callable[["Run", Result], None]
    shared: bool = False
    only_checks: bool = False


@dataclass(frozen=True, kw_only=True)
class ItemStage(Stage):
    """A stage that computes one item after another: an image, or a seed of the toy experiment.

    Args:
        items: the names of a run's items.
        worker: given a run and the names it will be called for, in order, returns the function that computes one item.
        format: how an item is stored.
        of_images: whether its items are the images of the run.
        asked: otherwise, the setting that decides which items there are; it is no part of the key.
    """

    items: Callable[["Run"], list[str]]
    worker: Callable[["Run", Sequence[str]], ItemWorker]
    format: ItemFormat = ARRAYS
    of_images: bool = True
    asked: Callable[[Settings], object] = lambda settings: None


def of_images(stage: Stage) -> bool:
    """Whether the stage computes one image after another."""
    return isinstance(stage, ItemStage) and stage.of_images


def result_key(stage: Stage, settings: Settings) -> str:
    """As `Stage.key`, but from the settings alone, so that results can be planned before the data are there."""
    identity = stage.identity(settings, of_data=lambda data: data.model_dump(mode="json"))
    return digest({**identity, "asked": stage.asked(settings) if isinstance(stage, ItemStage) else None})


def _only_checks(stage: Stage) -> bool:
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
    """The digest of a file, which replaces its path in an identity."""
    if not path.is_file():
        raise ValueError(f"{setting} = {str(path)!r}: no such file")
    return file_digest(path)
