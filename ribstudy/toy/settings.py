"""The simulated experiment (chapter 1)."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, Strict, ValidationInfo, field_validator, model_validator

from ribstudy.settings import Count, NonNegative, Positive, Section, Share, validate

Value = int | float | str  # of a setting that a condition changes


class ProbeSettings(Section):
    """The probes that predict a label from a layer of the toy network."""

    grid: Count = Field(description="each layer is pooled to grid x grid cells, mean and maximum")
    placements: Count = Field(description="images of each held-out digit")
    hidden: Count = Field(description="hidden units of the non-linear probe")
    epochs: Count = Field(description="maximum; the best epoch on validation images is used")
    batch_size: Count = Field(description="images in a step")
    learning_rate: Positive = Field(description="of Adam; divided by the square root of the width of the probe's widest layer")
    weight_decay: NonNegative = Field(description="of Adam")


SWEEP: dict[str, tuple[Value, ...]] = {
    "marker_rate": (0.02, 0.05, 0.3, 1.0),
    "marker_size": (3, 4, 6, 7),
    "training_steps": (150, 350, 1500, 3000),
    "weight_decay": (0.1, 0.3, 1.0, 3.0),
    "depth": (3, 4, 6, 8),
    "width": (2, 8, 16),
    "norm_layer": ("batch", "layer"),
}
# By the effects of the first two seeds: the two settings (with numbers as values) that matter most, and the best value of each.
MAP = ("marker_size", "depth")
COMBINED: dict[str, Value] = {"marker_rate": 0.05, "marker_size": 7, "training_steps": 1500, "weight_decay": 1.0, "depth": 4}


class ConditionSettings(Section):
    """The conditions under which the experiment is repeated with one network."""

    seeds: Count = Field(8, description="repetitions of each condition")
    sweep: dict[str, Annotated[tuple[Value, ...], Strict(False), Field(min_length=1)]] = Field(
        SWEEP, description="values of settings of the section `toy`; a condition of the sweep changes one setting"
    )
    map: Annotated[tuple[str, ...], Strict(False), Field(max_length=2)] = Field(
        MAP, description="two settings of the sweep (or none), all of whose values are also combined"
    )
    combined: dict[str, Value] = Field(COMBINED, description="settings that one more condition changes together")

    @model_validator(mode="after")
    def _map_two_settings_of_the_sweep(self) -> Self:
        if self.map and not (len(set(self.map)) == 2 and set(self.map) <= set(self.sweep)):
            raise ValueError(f"map {list(self.map)}: expected two settings of the sweep: {', '.join(self.sweep)}")
        return self


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
    norm_layer: Literal["none", "batch", "layer"] = Field("none", description="normalisation between convolution and ReLU")
    training_steps: Count = Field(description="steps of the training")
    batch_size: Count = Field(description="images in a step")
    learning_rate: Positive = Field(description="of AdamW, at the maximum of its cycle")
    weight_decay: NonNegative = Field(0.0, description="of AdamW, so decoupled from the gradient")
    num_map_images: Annotated[int, Field(ge=8, le=2006)] = Field(description="held-out images whose gradients are computed")
    rib_steps: Count = Field(description="steps of fine-tuning, with the RIB objective and with cross-entropy as the control")
    rib_learning_rate: Positive = Field(description="of AdamW in these steps")
    rib_margin: Positive = Field(description="m: a logit y counts as min(m, y) in the RIB objective")
    probe: ProbeSettings
    conditions: ConditionSettings = ConditionSettings()

    @field_validator("conditions")
    @classmethod
    def _allow_every_condition(cls, conditions: ConditionSettings, info: ValidationInfo) -> ConditionSettings:
        if set(info.data) == set(cls.model_fields) - {"conditions"}:  # else another setting is wrong, and its error is shown
            swept = [{name: value} for name, values in conditions.sweep.items() for value in values]
            for changes in filter(None, (*swept, conditions.combined)):
                _changed(info.data, changes)
        return conditions

    def changed(self, changes: Mapping[str, Value]) -> "ToySettings":
        """These settings with some of them changed, and without conditions of their own.

        Raises ValueError that names the setting: it is unknown, or its value is of a wrong type or out of range.
        """
        return _changed(self.model_dump(exclude={"conditions"}), changes)


def _changed(values: Mapping[str, Any], changes: Mapping[str, Value]) -> ToySettings:
    none = {"sweep": {}, "map": (), "combined": {}}
    return validate(ToySettings, {**values, **changes, "conditions": none}, what="a condition")
