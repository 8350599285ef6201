"""The settings of class activation maps, of RIB and of the methods that it is compared with.

The fields of `RibSettings` name their sources (paper, reference code, ours), because `adapt` can be called without a preset.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, Strict, model_validator

from ribstudy.settings import Count, NonNegative, Positive, PositiveShare, Range, Scales, Section, Share, added


class CamSettings(Section):
    scales: Scales = Field(description="image scales whose maps are summed, each with its mirrored view")
    blur: NonNegative = Field(0.0, description="Gaussian blur of the map of each scale, in its positions; a control for RIB")


class DilationSettings(Section):
    """The dilated CAM, a control for RIB."""

    width: Count = Field(1, description="distance up to which a position of a CAM takes the largest value, in its positions")


class AuxiliarySettings(Section):
    """The images of other classes that each step of RIB also sees."""

    batch_size: Annotated[int, Field(ge=0)] = Field(description="number of images of other classes in a step; 0: none")
    long_side: Range = Field(description="the longer image side is drawn from this range, in pixels")
    crop_size: Count = Field(description="side of the square crops, in pixels")
    bank: Count | None = Field(None, description="number of crops whose frozen features are kept and reused; None: new crops")


# The two readings of the method, the reference code's and the paper's, whose differences the book lists; and the fast mode, at
# about a twentieth of the cost: one step as long as all of the code's, whose loss sees only the image itself, at scale 1.
RIB_MODES: dict[str, dict[str, Any]] = {
    "code": {"denominator": "map", "margin_mode": "stop", "spread_ratio": 0.7, "include_last": False},
    "paper": {"denominator": "region", "margin_mode": "clamp", "spread_ratio": 1.0, "include_last": True},
    "fast": {
        **{"denominator": "map", "margin_mode": "clamp", "spread_ratio": 1.0, "include_last": False},
        **{"path": "one_step", "auxiliary": False, "loss_scales": (1.0,)},
    },
}


class RibSettings(Section):
    """The adaptation to one image. `RibSettings(mode="paper")` follows the paper, the default `mode="code"` the reference code.

    `mode="fast"` is ours. `mode` only chooses defaults (see `RIB_MODES`) and is not stored, so two settings with the same
    values are equal.
    """

    iterations: Count = Field(10, description="K, number of steps (paper: 10)")
    learning_rate: Positive = Field(8e-6, description="learning rate of the backbone (reference code, VOC: 8e-6)")
    head_lr_factor: Positive = Field(10.0, description="factor on the classifier's learning rate (reference code: 10)")
    momentum: NonNegative = Field(1e-4, description="momentum of SGD (code: 1e-4, its weight decay passed by mistake)")
    weight_decay: NonNegative = Field(1e-4, description="weight decay of SGD (reference code: 1e-4)")
    poly_power: NonNegative = Field(0.9, description="learning rate times (1 - k/K)^power (reference code: 0.9)")
    tau: PositiveShare = Field(0.4, description="positions whose map is below tau times its maximum are pooled (paper: 0.4)")
    objective: Literal["rib", "bce"] = Field("rib", description="labelled logits (paper, code), or cross-entropies (control)")
    trained: Literal["all", "last_stage", "classifier"] = Field(
        "all", description="adapted layers: all above stride 8 (code), the last stage and the classifier, or the classifier"
    )
    batch_norm: Literal["running", "frozen", "batch"] = Field(
        "running",
        description="running: affine weights adapt (code); frozen: they do not; batch: they do, with statistics per batch",
    )
    pooling: Literal["gndrp", "gap"] = Field("gndrp", description="paper: GNDRP; gap is its ablation")
    denominator: Literal["map", "region"] = Field("map", description="GNDRP divides by h*w (code) or the region's size (paper)")
    gndrp_classes: Count | None = Field(None, description="number of first classes with GNDRP, not GAP (code on COCO: 20)")
    empty_region: Literal["skip", "pool"] = Field("skip", description="if a map is all negative: no logit (code), or pool all")
    margin: Positive = Field(600.0, description="m, limit of the summed logits of all views (code) or of each logit (paper)")
    margin_mode: Literal["stop", "clamp"] = Field("stop", description="end the loop at the margin (code), or min(m, y) (paper)")
    spread_threshold: Share = Field(0.3, description="a position of a max-normalised map above this counts as covered (code)")
    spread_ratio: Share = Field(0.7, description="the loop ends if more than this share is covered; 1: never (code: 0.7)")
    spread_scales: Literal["first", "all"] = Field("first", description="scales that a step ended by spread adds (code: first)")
    scales: Scales = Field((1.0, 0.5, 1.5, 2.0), description="views whose maps are summed (reference code)")
    loss_scales: Scales = Field((1.0, 1.5, 2.0), description="views that the objective sees (reference code)")
    include_last: bool = Field(False, description="sum the maps of theta_0..theta_K (paper) or theta_0..theta_{K-1} (code)")
    aggregation: Literal["raw", "normalized", "last"] = Field(
        "raw",
        description="maps of the steps: summed as they are (paper, code), or each divided by its maximum; last: only the last",
    )
    normalization: Literal["maximum", "range", "percentile"] = Field(
        "maximum", description="scaling of the sum to 0..1: by its maximum (code), its range, or its 99th percentile (clipped)"
    )
    blur: NonNegative = Field(0.0, description="Gaussian blur of the map of each scale, in its positions; ours")
    path: Literal["steps", "one_step", "line"] = added(
        "steps",
        "steps: a gradient in every step (paper, code); one_step: one step as long as all together, and the maps before and "
        "after it; line: that step, and the linearised maps of all steps",
    )
    auxiliary: bool = added(True, "whether steps see the auxiliary images (paper, code)")
    direction: Literal["gradient", "gap", "bce", "random"] = added(
        "gradient", "of a step: the objective's gradient, or, as long in every tensor, another one (controls)"
    )
    anchor: NonNegative = added(0.0, "weight of half the squared distance from the first weights in the loss of a step; ours")
    stop_at_peak: bool = added(False, "end the loop when the summed logits fall (a rule without true masks); ours")

    @model_validator(mode="before")
    @classmethod
    def _start_from_mode(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        data = dict(data)
        mode = data.pop("mode", "code")
        if not isinstance(mode, str) or mode not in RIB_MODES:
            raise ValueError(f"mode {mode!r} is unknown; known: {', '.join(RIB_MODES)}")
        return {**RIB_MODES[mode], **data}

    @model_validator(mode="after")
    def _has_steps_to_take_at_once(self):
        if self.path != "steps" and self.iterations == 1 and not self.include_last:
            raise ValueError(f"path {self.path}: one iteration has no step before its map; set iterations to 2 or more")
        return self

    @model_validator(mode="after")
    def _loss_scales_are_scales(self):
        if extra := set(self.loss_scales) - set(self.scales):
            raise ValueError(f"loss_scales {sorted(extra)} are not among scales {self.scales}")
        if len(set(self.scales)) < len(self.scales):
            raise ValueError(f"scales {self.scales} name a scale twice")
        if self.scales[0] != 1.0:
            raise ValueError(f"the first of scales must be 1, the scale of the spread stop, but it is {self.scales[0]}")
        return self


def rate_factors(settings: RibSettings) -> list[float]:
    """The learning rate of each update as a share of the first one's. An update after the last map would have no effect."""
    updates = settings.iterations if settings.include_last else settings.iterations - 1
    return [(1 - k / settings.iterations) ** settings.poly_power for k in range(updates)]


class BaselineSettings(Section):
    """Maps by a method of the library torch-cam, at the scales of `cam`."""

    method: Literal["cam", "gradcam", "gradcam++", "layercam"] = Field("gradcam", description="method that computes the maps")
    layers: Annotated[tuple[str, ...], Strict(False), Field(min_length=1)] = Field(
        ("trained",),
        description="modules whose outputs make the maps; trained: the classifier's input, frozen: the features at stride 8",
    )

    @model_validator(mode="after")
    def _cam_is_of_the_last_layer(self):
        if self.method == "cam" and self.layers != ("trained",):
            raise ValueError(f"method cam needs the classifier's input, layers ['trained'], but layers is {self.layers}")
        if self.method != "layercam" and len(self.layers) > 1:
            raise ValueError(f"layers {self.layers}: only LayerCAM (method layercam) combines several layers")
        return self


class AdvCamSettings(Section):
    """AdvCAM: gradient steps on the image, at the scales of `cam`."""

    iterations: Count = Field(27, description="K, number of summed maps (reference code: 27; half as many at scale 0.5)")
    step_size: Positive = Field(0.08, description="xi, the largest change of a normalised pixel in a step (reference code)")
    regularization: NonNegative = Field(7.0, description="lambda, penalty on changes where the map is high (reference code)")
    tau: Share = Field(0.5, description="a position whose map is above this share of its maximum is high (reference code)")
    rectified: bool = Field(True, description="logits are means of the rectified maps (reference code), or (false) of the maps")


class ComputeSettings(Section):
    """The precision of `cam` and `rib`. Other values than the defaults are faster but less precise (see the page on costs)."""

    precision: Literal["fp32", "tf32", "bf16"] = Field("fp32", description="tf32: TensorFloat-32; bf16: autocast, fp32 weights")
    compile: bool = Field(False, description="torch.compile the trained part of the network")
