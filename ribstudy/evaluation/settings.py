"""What the chapters on ablations and on the bottleneck measure with."""

from pydantic import Field

from ribstudy.datasets.settings import ImageSelection, TiedBackground
from ribstudy.settings import Count, Positive, Section, Share


class AblationSettings(Section):
    """What the chapter on ablations varies on, and the values that are the data's own (`variants.py`)."""

    images: ImageSelection = Field(description="with masks, whose maps are compared with those of the preset's own choices")
    seeds: Count = Field(description="repetitions: trainings from seed, seed + 1, ...")
    iterations: Count = Field(20, description="K of the run whose every step is shown")
    margin: Positive = Field(description="of summed logits as the code has it, one that about half of the images reach")
    spread_ratio: Share = Field(description="covered share that about half of the images reach")


class BottleneckSettings(Section):
    """What the chapter on the bottleneck measures with."""

    images: ImageSelection = Field(description="with masks, whose gradients and logits are followed over the steps")
    tied: TiedBackground | None = Field(None, description="the background that a second MiniVOC has; None: not run")
    num_tied: Count = Field(24, description="images of that class that the leak into the background is measured on")
