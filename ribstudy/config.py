"""Settings of a run: frozen, strictly validated, read from a preset and overridden by dotted names.

Every field says what it is; the value and its source (paper, reference code, ours) stand in `presets/*.yml`. The fields of
`RibSettings` carry their source here, since `adapt` can be called without a preset.
"""

import copy
import difflib
import hashlib
import json
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, Strict, ValidationError, model_validator

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Scales = Annotated[tuple[Positive, ...], Strict(False), Field(min_length=1)]
Seed = Annotated[int, Field(ge=0)]


def _rising(values: tuple[float, float]) -> tuple[float, float]:
    if values[0] > values[1]:
        raise ValueError(f"the first of {values} must not be above the second")
    return values


Range = Annotated[tuple[Count, Count], Strict(False), AfterValidator(_rising)]
FactorRange = Annotated[tuple[Positive, Positive], Strict(False), AfterValidator(_rising)]


class Section(BaseModel):
    """A group of settings: unknown names and values of a wrong type are refused, and nothing changes after validation."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, protected_namespaces=())


class TiedBackground(Section):
    """A background that comes with a class: what a classifier can mistake for it."""

    class_name: str = Field(description="the class, by its name in MiniVOC")
    probability: Share = Field(description="share of the images of the class that get the background")
    elsewhere: Share = Field(0.0, description="share of the images without the class that get it")


class MiniVocSettings(Section):
    """The drawn data set (`datasets/minivoc.py`)."""

    num_train: Count = Field(description="images with masks that results are reported on; they are part of train_aug too")
    num_train_aug: Count = Field(description="images the classifier is trained on; at least num_train")
    num_val: Count = Field(description="images that choices are made on")
    image_size: Annotated[int, Field(ge=64)] = Field(description="side of the square images in pixels")
    seed: Seed = Field(description="seed of the drawing; apart from the study's seed, so that seeds share one data set")
    tied: TiedBackground | None = Field(None, description="a background that comes with one class; None: with none")

    @model_validator(mode="after")
    def _train_is_part_of_train_aug(self):
        if self.num_train_aug < self.num_train:
            raise ValueError(f"num_train_aug ({self.num_train_aug}) must be at least num_train ({self.num_train})")
        return self


class DataSettings(Section):
    name: Literal["minivoc", "voc12", "coco14", "folder"] = Field(
        description="MiniVOC, which is drawn; a published data set; or a folder of your own images"
    )
    root: Annotated[Path, Strict(False)] | None = Field(None, description="folder of the data; None: drawn (MiniVOC)")
    minivoc: MiniVocSettings | None = Field(None, description="needed where name is minivoc")
    max_side: Annotated[int, Field(ge=32)] | None = Field(
        None, description="of a folder: an image whose longer side has more pixels is shrunk to this many; None: never"
    )

    @model_validator(mode="after")
    def _minivoc_is_described(self):
        if self.name == "minivoc" and self.minivoc is None:
            raise ValueError("data.minivoc is missing: name minivoc needs its sizes and seed")
        if self.max_side is not None and self.name != "folder":
            raise ValueError(f"data.max_side = {self.max_side}: only images of name folder are shrunk")
        return self


class InferSettings(Section):
    """Which images something is computed for, or learnt from."""

    split: Literal["train", "val", "train_aug", "test"] = Field(description="the data set's list of images")
    skip: Annotated[int, Field(ge=0)] = Field(0, description="without the first so many of these images")
    limit: Count | None = Field(None, description="only so many of them; None: all")
    masked: bool = Field(False, description="only images that have a mask, those that maps can be scored on")
    class_name: str | None = Field(
        None, description="only images that show this class, counted before skip and limit; None: any"
    )


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


class CamSettings(Section):
    scales: Scales = Field(description="image scales whose maps are summed, each with its mirrored view")


class AuxiliarySettings(Section):
    """The images, of other classes, that each RIB step also sees."""

    batch_size: Annotated[int, Field(ge=0)] = Field(description="images of other classes in a step; 0: none")
    long_side: Range = Field(description="the longer image side is drawn from this range, in pixels")
    crop_size: Count = Field(description="side of their crops, in pixels")
    bank: Count | None = Field(
        None, description="draw from so many crops, whose frozen features are kept; None: a new crop each time"
    )


# The two readings of the method: what the reference code does, and what the paper writes (differences: see the book).
RIB_MODES: dict[str, dict[str, Any]] = {
    "code": {"denominator": "map", "margin_mode": "stop", "spread_ratio": 0.7, "include_last": False},
    "paper": {"denominator": "region", "margin_mode": "clamp", "spread_ratio": 1.0, "include_last": True},
}


class RibSettings(Section):
    """One image's adaptation. `RibSettings(mode="paper")` starts from what the paper writes, else from the reference code.

    `mode` only chooses defaults (see `RIB_MODES`) and is not kept: two settings with the same values are the same settings.
    """

    iterations: Count = Field(10, description="K, steps of adaptation (paper: 10)")
    learning_rate: Positive = Field(8e-6, description="of the backbone (reference code, VOC: 8e-6)")
    head_lr_factor: Positive = Field(10.0, description="factor for the classifier (reference code: 10)")
    momentum: NonNegative = Field(1e-4, description="of SGD (reference code: 1e-4, as its weight decay lands in this argument)")
    weight_decay: NonNegative = Field(1e-4, description="reference code: 1e-4")
    poly_power: NonNegative = Field(0.9, description="learning rate times (1 - k/K)^power (reference code: 0.9)")
    tau: Positive = Field(0.4, description="positions whose map is below tau times its maximum are pooled (paper: 0.4)")
    objective: Literal["rib", "bce"] = Field(
        "rib",
        description="maximise labelled logits (paper, code), or keep the sigmoid: sum of binary cross-entropies (control)",
    )
    trained: Literal["all", "last_stage", "classifier"] = Field(
        "all", description="what is adapted: all above stride 8 (code), the backbone's last stage and classifier, or that alone"
    )
    batch_norm: Literal["running", "frozen", "batch"] = Field(
        "running",
        description="running statistics, affine weights adapted (code) or frozen too; batch: statistics of each view or batch",
    )
    pooling: Literal["gndrp", "gap"] = Field("gndrp", description="paper: GNDRP; gap is its ablation")
    denominator: Literal["map", "region"] = Field(
        "map", description="GNDRP divides by h*w (code) or by the region's size (paper)"
    )
    gndrp_classes: Count | None = Field(
        None, description="the first so many classes get GNDRP, the others GAP; None: all (code on COCO: 20 of 80)"
    )
    empty_region: Literal["skip", "pool"] = Field(
        "skip", description="of a labelled map that is negative everywhere: no logit and no gradient (code), or pool all of it"
    )
    margin: Positive = Field(600.0, description="m; code: of the summed logits of the own views, paper: of each logit")
    margin_mode: Literal["stop", "clamp"] = Field("stop", description="end the loop at the margin (code), or min(m, y) (paper)")
    spread_threshold: Share = Field(0.3, description="a position of a max-normalised map above this counts as covered (code)")
    spread_ratio: Share = Field(0.7, description="the loop ends where more than this share is covered; 1: never (code: 0.7)")
    spread_scales: Literal["first", "all"] = Field(
        "first", description="scales at which the step that ends by spread still adds a map (code: the first only)"
    )
    scales: Scales = Field((1.0, 0.5, 1.5, 2.0), description="views whose maps are summed (reference code)")
    loss_scales: Scales = Field((1.0, 1.5, 2.0), description="views that the objective sees (reference code)")
    include_last: bool = Field(False, description="sum the maps of theta_0..theta_K (paper) or theta_0..theta_{K-1} (code)")
    aggregation: Literal["raw", "normalized", "last"] = Field(
        "raw",
        description="of the steps: maps summed as they are (paper, code), or each divided by its maximum; last: the last alone",
    )
    normalization: Literal["maximum", "range", "percentile"] = Field(
        "maximum",
        description="of the sum, into 0..1: by its maximum (code), its range (least 0, most 1), or its 99th percentile (cut)",
    )

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
    def _loss_scales_are_scales(self):
        extra = set(self.loss_scales) - set(self.scales)
        if extra:
            raise ValueError(f"loss_scales {sorted(extra)} are not among scales {self.scales}")
        if len(set(self.scales)) < len(self.scales):
            raise ValueError(f"scales {self.scales} name a scale twice")
        if self.scales[0] != 1.0:
            raise ValueError(f"the first of scales must be 1, the scale of the spread stop, but it is {self.scales[0]}")
        return self


class BaselineSettings(Section):
    """Maps by a method of the library torch-cam, at the scales of `cam`."""

    method: Literal["cam", "gradcam", "gradcam++", "layercam"] = Field("gradcam", description="whose maps are computed")
    layers: Annotated[tuple[str, ...], Strict(False), Field(min_length=1)] = Field(
        ("trained",),
        description="modules of the network whose output is looked at; trained: what the classifier reads, frozen: at stride 8",
    )

    @model_validator(mode="after")
    def _cam_is_of_the_last_layer(self):
        if self.method == "cam" and self.layers != ("trained",):
            raise ValueError(f"method cam is of the features that the classifier reads, trained, not of {self.layers}")
        if self.method != "layercam" and len(self.layers) > 1:
            raise ValueError(f"layers {self.layers}: only LayerCAM, method layercam, puts several layers together")
        return self


class AdvCamSettings(Section):
    """The climb of one image (AdvCAM), at the scales of `cam`."""

    iterations: Count = Field(27, description="K, maps summed (reference code: 27; half as many at scale 0.5)")
    step_size: Positive = Field(0.08, description="xi, the largest change of a normalised pixel in a step (reference code)")
    regularization: NonNegative = Field(7.0, description="lambda, against what changes where the map is high (reference code)")
    tau: Share = Field(0.5, description="a position whose map is above this share of its maximum is high (reference code)")
    rectified: bool = Field(True, description="logits are means of the rectified maps (reference code), or (false) of the maps")


class ComputeSettings(Section):
    """How `cam` and `rib` compute. All but the defaults trade digits for speed; how many digits, the page on costs says."""

    precision: Literal["fp32", "tf32", "bf16"] = Field(
        "fp32", description="tf32: of an accelerator's matrix units; bf16: passes under autocast; weights stay in fp32"
    )
    compile: bool = Field(False, description="torch.compile the trained part of the network")


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


class AffinitySettings(Section):
    """The network that learns where objects end (IRN's boundary branch)."""

    images: InferSettings = Field(description="that it learns from")
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
    tuning: InferSettings | None = Field(
        None, description="images with masks that a threshold is chosen on, where none is given"
    )
    crf: bool = Field(description="the seed CRF on the masks, as the paper's numbers have it")

    @model_validator(mode="after")
    def _threshold_is_there(self):
        if (self.threshold is None) == (self.tuning is None):
            raise ValueError("one of threshold and tuning is needed, and not both")
        return self


class SegmentationSettings(Section):
    """The training of DeepLab-v2."""

    truth: Literal["masks", "dataset"] = Field("masks", description="learn from the pseudo masks, or from the data set's own")
    images: InferSettings = Field(description="that it learns from")
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


class AblationSettings(Section):
    """What the chapter on ablations varies on, and the values that are the data's own (`variants.py`)."""

    images: InferSettings = Field(description="with masks, whose maps are compared with those of the preset's own choices")
    seeds: Count = Field(description="repetitions: trainings from seed, seed + 1, ...")
    iterations: Count = Field(20, description="K of the run whose every step is shown")
    margin: Positive = Field(description="of summed logits as the code has it, one that about half of the images reach")
    spread_ratio: Share = Field(description="covered share that about half of the images reach")


class BottleneckSettings(Section):
    """What the chapter on the bottleneck measures with."""

    images: InferSettings = Field(description="with masks, whose gradients and logits are followed over the steps")
    tied: TiedBackground | None = Field(None, description="the background that a second MiniVOC has; None: not run")
    num_tied: Count = Field(24, description="images of that class that the leak into the background is measured on")


class ProbeSettings(Section):
    """The probes that look for a label in a layer of the toy network."""

    grid: Count = Field(description="each layer is pooled to grid x grid cells, mean and maximum")
    placements: Count = Field(description="images that each held-out digit occurs in")
    hidden: Count = Field(description="hidden units of the non-linear probe")
    epochs: Count = Field(description="at most; the best epoch on validation images counts")
    batch_size: Count = Field(description="images in a step")
    learning_rate: Positive = Field(description="of Adam; divided by the square root of the probe's widest layer")
    weight_decay: NonNegative = Field(description="of Adam")


class ToySettings(Section):
    """The simulated experiment (chapter 1)."""

    seeds: Count = Field(description="repetitions, each with its own data and weights")
    canvas: Annotated[int, Field(ge=28, le=128)] = Field(description="side of the square images in pixels")
    marker_rate: Share = Field(description="share of the images that have a marker")
    marker_size: Annotated[int, Field(ge=3, le=7)] = Field(
        description="side of the marker in pixels; an MNIST digit has up to 20"
    )
    digit_threshold: Annotated[float, Field(ge=0, lt=1)] = Field(description="a pixel brighter than this belongs to the digit")
    hgr_threshold: Annotated[float, Field(gt=0, lt=1)] = Field(description="a normalised gradient above this counts as high")
    depth: Annotated[int, Field(ge=2, le=8)] = Field(description="convolutions before the fully connected layer")
    width: Count = Field(description="filters of the first convolution; the second and third double them")
    training_steps: Count = Field(description="steps of the training")
    batch_size: Count = Field(description="images in a step")
    learning_rate: Positive = Field(description="of Adam, at the top of its cycle")
    num_map_images: Annotated[int, Field(ge=8, le=2006)] = Field(description="held-out images that gradients are taken of")
    rib_steps: Count = Field(description="steps of fine-tuning, with the RIB objective and with cross-entropy as the control")
    rib_learning_rate: Positive = Field(description="of Adam in these steps")
    rib_margin: Positive = Field(description="m: a logit y counts as min(m, y) in the RIB objective")
    probe: ProbeSettings


class Settings(Section):
    """All that decides a run's numbers. Devices and worker counts do not belong here."""

    seed: Seed = Field(0, description="of training and of the auxiliary images")
    seeds: Count = Field(1, description="repetitions of what a chapter repeats: trainings from seed, seed + 1, ...")
    data: DataSettings
    infer: InferSettings
    classifier: ClassifierSettings
    cam: CamSettings
    auxiliary: AuxiliarySettings
    rib: RibSettings
    baseline: BaselineSettings = BaselineSettings()
    advcam: AdvCamSettings = AdvCamSettings()
    compared: InferSettings = Field(
        InferSettings(split="train", masked=True), description="images that CAM and RIB are compared with other methods on"
    )
    maps: Literal["cam", "rib"] = Field("rib", description="the maps that masks are made from")
    crf: CrfSettings = CrfSettings()
    labels: LabelSettings = LabelSettings()
    affinity: AffinitySettings
    walk: WalkSettings = WalkSettings()
    masks: MaskSettings
    segmentation: SegmentationSettings
    scores: ScoreSettings = ScoreSettings()
    predictions: PredictionSettings = PredictionSettings()
    ablations: AblationSettings
    bottleneck: BottleneckSettings
    toy: ToySettings
    compute: ComputeSettings = ComputeSettings()


def preset_names() -> list[str]:
    return sorted(f.name.removesuffix(".yml") for f in resources.files("ribstudy.presets").iterdir() if f.name.endswith(".yml"))


def load_settings(preset: str, overrides: dict[str, Any] | None = None) -> Settings:
    """Settings of a preset (a name, or the path of a .yml file) with `overrides` such as {"rib.tau": 0.5} put in.

    Raises ValueError that names the preset or the setting, and what is known instead.
    """
    try:
        values = yaml.safe_load(_preset_text(str(preset)))
    except yaml.YAMLError as error:
        raise ValueError(f"preset {preset!r} is not YAML: {error}") from None
    if not isinstance(values, dict):
        raise ValueError(f"preset {preset!r} holds no settings")
    overrides = dict(overrides or {})
    if "rib.mode" in overrides:
        _change_mode(values, overrides.pop("rib.mode"))
    for name, value in overrides.items():
        section = values
        *parents, last = name.split(".")
        for parent in parents:
            section = section.setdefault(parent, {})
            if not isinstance(section, dict):
                raise ValueError(f"setting {name!r} is unknown: {parent!r} has no settings of its own")
        section[last] = copy.deepcopy(value)
    return validate(Settings, values, what=f"preset {preset}")


def _change_mode(values: dict[str, Any], mode: Any) -> None:
    """Another mode takes the place of what the preset says of the choices between the modes; single overrides come after it."""
    section = dict(values.get("rib") or {})
    if section.get("mode", "code") != mode:
        section = {key: kept for key, kept in section.items() if key not in RIB_MODES["code"]}
    values["rib"] = {**section, "mode": mode}


def _preset_text(preset: str) -> str:
    if preset in preset_names():
        return (resources.files("ribstudy.presets") / f"{preset}.yml").read_text()
    if Path(preset).suffix not in (".yml", ".yaml"):
        raise ValueError(f"preset {preset!r} is unknown; known: {', '.join(preset_names())}, or the path of a .yml file")
    if not Path(preset).is_file():
        raise ValueError(f"preset {preset!r}: there is no such file")
    try:
        return Path(preset).read_text()
    except UnicodeDecodeError:
        raise ValueError(f"preset {preset!r} is not a text file") from None


def validate(model: type[Section], values: dict[str, Any], *, what: str) -> Any:
    """`model(**values)`, with an error that says for each bad value its dotted name, the value and what is expected."""
    try:
        return model(**values)
    except ValidationError as error:
        problems = [_explain(model, problem) for problem in error.errors()]
        raise ValueError(f"{what}: " + "; ".join(problems)) from None


def _explain(model: type[Section], problem: dict) -> str:
    name = ".".join(str(part) for part in problem["loc"]) or "settings"
    if problem["type"] == "extra_forbidden":
        known = _field_names(model, problem["loc"][:-1])
        near = difflib.get_close_matches(str(problem["loc"][-1]), known, n=1)
        return f"{name} is unknown" + (f", did you mean {near[0]}?" if near else f"; known: {', '.join(known)}")
    return f"{name} = {problem['input']!r}: {problem['msg'].removeprefix('Value error, ')}"


def _field_names(model: type[Section], path: tuple) -> list[str]:
    for part in path:
        annotation = model.model_fields[part].annotation
        options = getattr(annotation, "__args__", (annotation,))
        model = next(option for option in options if isinstance(option, type) and issubclass(option, BaseModel))
    return list(model.model_fields)


def digest(value: Any) -> str:
    """Twelve hexadecimal digits that identify a JSON-like value, the same on every machine."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
