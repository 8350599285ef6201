"""A job: a stage that a chapter asks for, on some images and under some settings."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ribstudy.datasets.settings import ImageSelection
from ribstudy.stages.stage import ItemStage, Stage

ONE_SUM = {"evaluation.every_step": False}  # scores only of the sum over all steps, where no curve over the steps is shown


@dataclass(frozen=True)
class Job:
    """A stage that a chapter asks for.

    Args:
        stage: the kind of computation.
        images: the images of an `ItemStage`; other stages ignore them.
        overrides: the settings that differ from the preset, by dotted name.
        files: the files of a `WholeStage` that the chapter reads. The job is done for the chapter if these exist, because
            published trainings can lack their weights. None: all files of the stage.
    """

    stage: Stage
    images: ImageSelection = field(default_factory=ImageSelection)
    overrides: Mapping[str, Any] = field(default_factory=dict)
    files: tuple[str, ...] | None = None

    @property
    def scored(self) -> Stage:
        """The stage whose items are drawn: the one that the job's stage scores, or the job's own."""
        return (self.stage.scores or self.stage) if isinstance(self.stage, ItemStage) else self.stage


Jobs = dict[Any, Job]  # by the name that the notebook uses: a string, or a tuple of strings and numbers


def first_of(images: ImageSelection, count: int) -> ImageSelection:
    """A random sample of a selection: its first `count` images."""
    return images.model_copy(update={"limit": min(images.limit or count, count)})
