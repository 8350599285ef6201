"""A run: the settings, the images, the store and the device of a computation."""

from dataclasses import dataclass, field, replace

from ribstudy.config import Settings
from ribstudy.datasets.settings import ImageSelection
from ribstudy.runtime import ranks
from ribstudy.stages.stage import ItemStage, Need, Stage
from ribstudy.store import ARRAYS, Result, Store, StoredItems


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
