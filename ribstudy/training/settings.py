"""Settings of the three trainings."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ribstudy.datasets.settings import ImageSelection
from ribstudy.settings import Count, FactorRange, NonNegative, Positive, Range, Scales, Section, Weights


class NetworkSettings(Section):
    """The network that a training starts from."""

    backbone: str = Field(description="resnet50, for DeepLab also resnet101 (torchvision), or the name of a timm EfficientNet")
    weights: Weights | None = Field(description='"imagenet", the path of a state dict, or None for random weights')
    stored: Literal["float32", "float16"] = Field(
        "float32", description="precision of the trained weights; float16: they are rounded once, after training"
    )


class ClassifierSettings(NetworkSettings):
    epochs: Count = Field(description="passes over the training images")
    batch_size: Count = Field(description="images per step")
    learning_rate: Positive = Field(description="learning rate of the backbone")
    head_lr_factor: Positive = Field(description="factor on the learning rate of the 1x1 classifier")
    momentum: NonNegative = Field(description="momentum of SGD")
    weight_decay: NonNegative = Field(description="weight decay of SGD")
    poly_power: NonNegative = Field(description="the learning rate falls with (1 - step/steps)^power")
    long_side: Range = Field(description="the longer image side is drawn from this range, in pixels")
    crop_size: Count = Field(description="side of the training crops, in pixels")


class AffinitySettings(NetworkSettings):
    """The affinity network, which predicts the boundaries of objects (IRN's boundary branch)."""

    images: ImageSelection = Field(description="training images")
    epochs: Count = Field(3, description="passes over the training images")
    batch_size: Count = Field(32, description="images per step")
    learning_rate: Positive = Field(0.1, description="learning rate of the new layers; the backbone is not trained")
    momentum: NonNegative = Field(1e-4, description="momentum of SGD (reference code: 1e-4, as for rib)")
    weight_decay: NonNegative = Field(1e-4, description="weight decay of SGD")
    poly_power: NonNegative = Field(0.9, description="the learning rate falls with (1 - step/steps)^power")
    rescale: FactorRange = Field((0.5, 1.5), description="images are resized by a random factor between these two")
    crop_size: Annotated[int, Field(ge=4, multiple_of=4)] = Field(512, description="side of the training crops, in pixels")
    radius: Annotated[int, Field(ge=2)] = Field(10, description="pairs are closer than this, in positions at stride 4")

    @model_validator(mode="after")
    def _a_pair_fits_into_a_crop(self):
        smallest = 4 * (2 * self.radius - 1)
        if self.crop_size < smallest:
            raise ValueError(f"crop_size {self.crop_size} is too small for radius {self.radius}: set at least {smallest}")
        return self


class SegmentationSettings(NetworkSettings):
    """The training of DeepLab-v2. `weights` may also be a state dict of deeplab-pytorch."""

    truth: Literal["masks", "dataset"] = Field("masks", description="train on the pseudo masks or on the data set's masks")
    images: ImageSelection = Field(description="training images")
    output_stride: Literal[8, 16] = Field(8, description="distance in pixels between neighbouring scores")
    iterations: Count = Field(30_000, description="number of training steps")
    batch_size: Count = Field(10, description="images per step")
    accumulation: Count = Field(1, description="number of parts of a batch that pass through the network one after another")
    learning_rate: Positive = Field(2.5e-4, description="of the backbone; ASPP weights: 10 times, ASPP biases: 20 times")
    momentum: NonNegative = Field(0.9, description="momentum of SGD")
    weight_decay: NonNegative = Field(5e-4, description="weight decay of SGD")
    poly_power: NonNegative = Field(0.9, description="the learning rate falls with (1 - step/steps)^power")
    crop_size: Count = Field(321, description="side of the training crops, in pixels")
    rescale: Scales = Field((0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0), description="factors for resizing images, drawn at random")
    loss_scales: Scales = Field((0.5, 0.75, 1.0), description="scales of the inputs; each and their maximum have a loss")
    loss: Literal["balanced", "plain"] = Field("balanced", description="balanced: background and objects weigh the same (DSRG)")
    interval: Count = Field(500, description="number of iterations between two checkpoints")
    precision: Literal["fp32", "bf16"] = Field("fp32", description="bf16: autocast; weights stay in fp32")


TrainingSettings = ClassifierSettings | AffinitySettings | SegmentationSettings
