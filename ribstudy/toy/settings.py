"""The simulated experiment (chapter 1)."""

from typing import Annotated

from pydantic import Field

from ribstudy.settings import Count, NonNegative, Positive, Section, Share


class ProbeSettings(Section):
    """The probes that predict a label from a layer of the toy network."""

    grid: Count = Field(description="each layer is pooled to grid x grid cells, mean and maximum")
    placements: Count = Field(description="images of each held-out digit")
    hidden: Count = Field(description="hidden units of the non-linear probe")
    epochs: Count = Field(description="maximum; the best epoch on validation images is used")
    batch_size: Count = Field(description="images in a step")
    learning_rate: Positive = Field(description="of Adam; divided by the square root of the width of the probe's widest layer")
    weight_decay: NonNegative = Field(description="of Adam")


class ToySettings(Section):
    """The simulated experiment (chapter 1)."""

    seeds: Count = Field(description="repetitions, each with its own data and weights")
    canvas: Annotated[int, Field(ge=28, le=128)] = Field(description="side of the square images in pixels")
    marker_rate: Share = Field(description="share of the images that have a marker")
    marker_size: Annotated[int, Field(ge=3, le=7)] = Field(description="side of the marker in pixels; a digit has up to 20")
    digit_threshold: Annotated[float, Field(ge=0, lt=1)] = Field(description="pixels brighter than this belong to the digit")
    hgr_threshold: Annotated[float, Field(gt=0, lt=1, multiple_of=0.01)] = Field(
        description="normalised gradients above this are high; the gradients are counted in steps of 0.01"
    )
    depth: Annotated[int, Field(ge=2, le=8)] = Field(description="convolutions before the fully connected layer")
    width: Count = Field(description="filters of the first convolution; the second and third double them")
    training_steps: Count = Field(description="steps of the training")
    batch_size: Count = Field(description="images in a step")
    learning_rate: Positive = Field(description="of Adam, at the maximum of its cycle")
    num_map_images: Annotated[int, Field(ge=8, le=2006)] = Field(description="held-out images whose gradients are computed")
    rib_steps: Count = Field(description="steps of fine-tuning, with the RIB objective and with cross-entropy as the control")
    rib_learning_rate: Positive = Field(description="of Adam in these steps")
    rib_margin: Positive = Field(description="m: a logit y counts as min(m, y) in the RIB objective")
    probe: ProbeSettings
