"""Settings of the steps from maps to masks, and of prediction with the segmentation network."""

from typing import Annotated, Literal

from pydantic import Field

from ribstudy.settings import Count, Positive, Scales, Section, Share


class CrfSettings(Section):
    """The dense CRF on a seed (IRN, `misc/imutils.py`)."""

    iterations: Count = Field(10, description="number of mean-field iterations")
    gt_prob: Annotated[float, Field(gt=0, lt=1)] = Field(0.7, description="confidence in the given labels")
    gaussian_sxy: Positive = Field(3.0, description="standard deviation of the smoothness kernel, in pixels")
    gaussian_compat: Positive = Field(3.0, description="weight of the smoothness kernel")
    bilateral_sxy: Positive = Field(50.0, description="standard deviation of the colour kernel, in pixels")
    bilateral_srgb: Positive = Field(5.0, description="standard deviation of the colour kernel, in grey values of 0 to 255")
    bilateral_compat: Positive = Field(10.0, description="weight of the colour kernel")


class LabelSettings(Section):
    """The labels that train the affinity network: thresholds for confident objects and confident background."""

    foreground: Share = Field(0.35, description="a pixel is an object if a map is above this (reference code: conf_fg_thres)")
    background: Share = Field(0.17, description="a pixel is background if no map is above this (reference code: conf_bg_thres)")


class WalkSettings(Section):
    """The random walk that spreads the maps within the boundaries, at stride 4."""

    power: Positive = Field(1.3, description="the maps are first raised to this power (reference code: np_power)")
    radius: Annotated[int, Field(ge=2)] = Field(5, description="a step is shorter than this, in positions")
    beta: Positive = Field(10.0, description="the affinities are raised to this power")
    log2_steps: Annotated[int, Field(ge=0, le=16)] = Field(8, description="2^log2_steps steps (reference code: exp_times)")
    pad_to: Count | None = Field(None, description="images are padded to this side to predict boundaries; None: no padding")


class MaskSettings(Section):
    """The pseudo masks."""

    walk: bool = Field(True, description="use the maps after the random walk, or (false) the seeds")
    threshold: Share | None = Field(description="a pixel is background if no map is above this; None: the best on `choices`")
    crf: bool = Field(description="refine the masks with the seed CRF, as the paper does")


class ScoreSettings(Section):
    """Prediction of scores with the trained segmentation network."""

    scales: Scales = Field((0.5, 0.75, 1.0), description="image scales whose scores are combined")
    mirror: bool = Field(True, description="average with the scores of the mirrored image")
    fusion: Literal["max", "mean"] = Field("max", description="of scales: largest logit (deeplab-pytorch) or mean probability")


class PredictionSettings(Section):
    """Masks from the scores."""

    crf: bool = Field(True, description="refine the probabilities with DeepLab's CRF")
