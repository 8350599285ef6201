"""The three trainings."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ribstudy.datasets.settings import ImageSelection
from ribstudy.settings import Count, FactorRange, NonNegative, Positive, Range, Scales, Section


class ClassifierSettings(Section):
    backbone: str = Field(description="resnet50 (torchvision) or the name of a timm EfficientNet")
    weights: str | None = Field(description='"imagenet", the path of a state dict, or None for random weights')
    epochs: Count = Field(description="passes over the training images")
    batch_size: Count = Field(description="images in a step")
    learning_rate: Positive = Field(description="of the backbone")
    head_lr_factor: Positive = Field(description="factor on the learning rate of the 1x1 classifier")
    momentum: NonNegative = Field(description="of SGD")
    weight_decay: NonNegative = Field(description="of SGD")
    poly_power: NonNegative = Field(description="learning rate times (1 - step/steps)^power")
    long_side: Range = Field(description="the longer image side is drawn from this range, in pixels")
    crop_size: Count = Field(description="side of the crops that it learns from, in pixels")


class AffinitySettings(Section):
    """The network that learns where objects end (IRN's boundary branch)."""

    images: ImageSelection = Field(description="that it learns from")
    backbone: str = Field(description="resnet50 (torchvision) or the name of a timm EfficientNet")
    weights: str | None = Field(description='"imagenet", the path of a state dict, or None for random weights')
    epochs: Count = Field(3, description="passes over the training images")
    batch_size: Count = Field(32, description="images in a step")
    learning_rate: Positive = Field(0.1, description="of the new layers; the backbone stays as it is")
    momentum: NonNegative = Field(1e-4, description="of SGD (reference code: 1e-4, as for rib)")
    weight_decay: NonNegative = Field(1e-4, description="of SGD")
    poly_power: NonNegative = Field(0.9, description="learning rate times (1 - step/steps)^power")
    rescale: FactorRange = Field((0.5, 1.5), description="factors between which an image is resized at random")
    crop_size: Annotated[int, Field(ge=4, multiple_of=4)] = Field(
        512, description="side of the crops that it learns from, in pixels"
    )
    radius: Annotated[int, Field(ge=2)] = Field(10, description="pairs nearer than this, in positions at stride 4")

    @model_validator(mode="after")
    def _a_pair_fits_into_a_crop(self):
        smallest = 4 * (2 * self.radius - 1)
        if self.crop_size < smallest:
            raise ValueError(f"crop_size {self.crop_size} is too small for radius {self.radius}: at least {smallest} is needed")
        return self


class SegmentationSettings(Section):
    """The training of DeepLab-v2."""

    truth: Literal["masks", "dataset"] = Field("masks", description="learn from the pseudo masks, or from the data set's own")
    images: ImageSelection = Field(description="that it learns from")
    backbone: str = Field(description="resnet101, resnet50 (torchvision) or the name of a timm EfficientNet")
    weights: str | None = Field(
        description="\"imagenet\", the path of a state dict (torchvision's, deeplab-pytorch's), or None"
    )
    output_stride: Literal[8, 16] = Field(8, description="pixels from one score to the next")
    iterations: Count = Field(30_000, description="steps of the training")
    batch_size: Count = Field(10, description="images in a step")
    accumulation: Count = Field(1, description="parts of a batch that go through the network one after the other")
    learning_rate: Positive = Field(2.5e-4, description="of the backbone; ASPP weights 10 times, its biases 20 times as much")
    momentum: NonNegative = Field(0.9, description="of SGD")
    weight_decay: NonNegative = Field(5e-4, description="of SGD")
    poly_power: NonNegative = Field(0.9, description="learning rate times (1 - step/steps)^power")
    crop_size: Count = Field(321, description="side of the crops that it learns from, in pixels")
    rescale: Scales = Field((0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0), description="factors that images are resized by, at random")
    loss_scales: Scales = Field((0.5, 0.75, 1.0), description="of the inputs; each has a loss, and so has their maximum")
    loss: Literal["balanced", "plain"] = Field("balanced", description="balanced: background and objects weigh the same (DSRG)")
    interval: Count = Field(500, description="iterations between two checkpoints")
    precision: Literal["fp32", "bf16"] = Field("fp32", description="bf16: passes under autocast; weights stay in fp32")
