"""A run: settings, the images, and where and on what they are computed."""

from dataclasses import dataclass, field, replace

from ribstudy.config import Settings
from ribstudy.datasets.settings import ImageSelection
from ribstudy.runtime import ranks
from ribstudy.stages.stage import ItemStage, Need, Stage
from ribstudy.store import ARRAYS, Result, Store, StoredItems


@dataclass(frozen=True)
class Run:
    """What a stage is run under.

    Args:
        settings: everything that decides the numbers.
        images: the images of stages that compute one image after another. They decide which items are computed, not their
            values, so they are no part of a result's key.
        store: where the results are.
        device: "cpu", or the accelerator of this rank.
        num_workers: processes that prepare the inputs of stages with `decodes_ahead`.
    """

    settings: Settings
    images: ImageSelection = field(default_factory=ImageSelection)
    store: Store = field(default_factory=Store)
    device: str = field(default_factory=ranks.device)
    num_workers: int = 0

    def with_images(self, images: ImageSelection | None) -> "Run":
        """The same run of other images; None: of its own."""
        return self if images is None else replace(self, images=images)

    def of(self, need: Need) -> "Run":
        """The run that makes what another stage needs."""
        return self.with_images(need.images)

    def result(self, stage: Stage) -> Result:
        items = stage.format if isinstance(stage, ItemStage) else ARRAYS
        return self.store.result(stage.name, stage.key(self.settings), items)

    def is_finished(self, stage: Stage) -> bool:
        """Whether the result has a record and every item of this run."""
        result = self.result(stage)
        return result.finished and all(map(result.has_item, self.items(stage)))

    def items(self, stage: Stage) -> list[str]:
        """The names of the stage's items under this run; none for a stage that is done as a whole."""
        return stage.items(self) if isinstance(stage, ItemStage) else []

    def stored(self, stage: Stage, images: ImageSelection | None = None) -> StoredItems:
        """The stored items of a stage, of this run's images or of others."""
        run = self.with_images(images)
        return StoredItems(run.result(stage), run.items(stage))
