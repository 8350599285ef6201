"""Images and values with which the chapters on RIB, ablations, the bottleneck, the part's size and costs measure."""

from typing import Annotated

from pydantic import Field, Strict

from ribstudy.datasets.settings import ImageSelection, TiedBackground
from ribstudy.settings import Count, Positive, PositiveShare, Scales, Section, Share


class EvaluationSettings(Section):
    """The scores of an image's maps."""

    every_step: bool = Field(True, description="score the sum of maps after every step, or (false) only after the last")


class ControlSettings(Section):
    """The controls for RIB, and its other reading."""

    blur: Positive = Field(2.0, description="width of the blurred CAM, the control for smoothing, in positions of its maps")
    rates: Annotated[tuple[Positive, ...], Strict(False)] = Field((), description="learning rates of RIB compared on choices")
    as_written: bool = Field(True, description="whether RIB as the paper writes it is also run")
    paper_rate: Positive | None = Field(None, description="learning rate of RIB as the paper writes it; None: that of rib")
    dilation: Count = Field(1, description="width of the dilated CAM, another control, in positions of its maps")
    fast_rate: Positive | None = Field(None, description="learning rate of RIB in the fast mode; None: that of rib")
    few_factors: Annotated[tuple[Positive, Positive, Positive], Strict(False)] = Field(
        (1.0, 1.0, 1.0), description="length of 2, 3 and 5 steps together, as a multiple of the fast mode's step"
    )


class AblationSettings(Section):
    """Images and seeds of the chapter on ablations, and values of variants that depend on the data (`variants.py`)."""

    variants: Annotated[tuple[str, ...], Strict(False)] | None = Field(
        None, description="names of the variants; None: all that make a difference"
    )
    scales: Scales | None = Field(None, description="scales of the default and of every variant; None: those of rib")
    images: ImageSelection = Field(description="images with masks on which variants are compared with the default")
    seeds: Count = Field(description="repetitions: trainings from seed, seed + 1, ...")
    iterations: Count = Field(20, description="K of the run whose every step is shown")
    margin: Positive = Field(description="margin on summed logits, as in the code, that about half of the images reach")
    spread_ratio: Share = Field(description="covered share that about half of the images reach")


class CostSettings(Section):
    """Images and seeds of the chapter on costs, and the points that it compares with CAM and RIB (`workflow/frontier.py`)."""

    points: Annotated[tuple[str, ...], Strict(False)] | None = Field(
        None, description="names of the savings, controls and other methods that are compared with CAM and RIB; None: all"
    )
    images: ImageSelection = Field(description="images with masks on which every saving and control is reported")
    choices: ImageSelection = Field(description="images with masks on which thresholds are chosen for these")
    seeds: Count = Field(description="repetitions: trainings from seed, seed + 1, ...")
    num_alike: Count = Field(60, description="images on which maps are compared with the exact ones, of the first training")


class BottleneckSettings(Section):
    """Images of the chapter on the bottleneck."""

    images: ImageSelection = Field(description="images with masks whose gradients and logits are followed over the steps")
    tied: TiedBackground | None = Field(None, description="background of a second MiniVOC, tied to a class; None: not run")
    num_tied: Count = Field(24, description="images of that class on which the leak into the background is measured")


class PartSettings(Section):
    """The sizes of MiniVOC's discriminative part that are compared, and the images on which they are."""

    shares: Annotated[tuple[PositiveShare, ...], Strict(False), Field(min_length=1)] = Field(
        description="values of data.minivoc.part_share; a classifier is trained for each"
    )
    images: ImageSelection = Field(description="images on which CAM and RIB are reported for each share but the preset's own")
    choices: ImageSelection = Field(description="images on which the thresholds for these are chosen")
