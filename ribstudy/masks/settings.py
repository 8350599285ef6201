"""From maps to masks, and from the segmentation network's scores to masks."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ribstudy.datasets.settings import ImageSelection
from ribstudy.settings import Count, Positive, Scales, Section, Share


class CrfSettings(Section):
    """The dense CRF on a seed (IRN, `misc/imutils.py`)."""

    iterations: Count = Field(10, description="of the mean field")
    gt_prob: Annotated[float, Field(gt=0, lt=1)] = Field(0.7, description="how sure a given label is")
    gaussian_sxy: Positive = Field(3.0, description="pixels; near pixels are alike")
    gaussian_compat: Positive = Field(3.0, description="weight of the kernel of positions")
    bilateral_sxy: Positive = Field(50.0, description="pixels; near pixels of the same colour are alike")
    bilateral_srgb: Positive = Field(5.0, description="grey values of 0 to 255; near colours are alike")
    bilateral_compat: Positive = Field(10.0, description="weight of the kernel of positions and colours")


class LabelSettings(Section):
    """What the affinity network is taught: where the maps are sure of an object, and where of the background."""

    foreground: Share = Field(0.35, description="a map above this is an object (reference code: conf_fg_thres)")
    background: Share = Field(0.17, description="where all maps are below this there is none (reference code: conf_bg_thres)")


class WalkSettings(Section):
    """How the maps spread within the boundaries (random walk at stride 4)."""

    power: Positive = Field(1.3, description="maps to this power first (reference code: np_power)")
    radius: Annotated[int, Field(ge=2)] = Field(5, description="how far one step reaches")
    beta: Positive = Field(10.0, description="affinities to this power")
    log2_steps: Annotated[int, Field(ge=0, le=16)] = Field(8, description="2^log2_steps steps (reference code: exp_times)")
    pad_to: Count | None = Field(None, description="images are padded to this side before the boundaries are found; None: not")


class MaskSettings(Section):
    """From maps to masks."""

    walk: bool = Field(True, description="from the maps that have spread, or (false) from the seeds")
    threshold: Share | None = Field(
        description="background where no map is above this; None: the best on the images of `tuning`"
    )
    tuning: ImageSelection | None = Field(
        None, description="images with masks that a threshold is chosen on, where none is given"
    )
    crf: bool = Field(description="the seed CRF on the masks, as the paper's numbers have it")

    @model_validator(mode="after")
    def _threshold_is_there(self):
        if (self.threshold is None) == (self.tuning is None):
            raise ValueError("one of threshold and tuning is needed, and not both")
        return self


class ScoreSettings(Section):
    """How the trained segmentation network is asked."""

    scales: Scales = Field((0.5, 0.75, 1.0), description="image scales whose scores are put together")
    mirror: bool = Field(True, description="also the mirrored image; scores are averaged")
    fusion: Literal["max", "mean"] = Field(
        "max", description="of the scales: largest logit (deeplab-pytorch), or mean probability"
    )


class PredictionSettings(Section):
    """From its scores to masks."""

    crf: bool = Field(True, description="DeepLab's CRF on the probabilities")
