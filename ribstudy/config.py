"""The settings of a run: every section in one place, read from a preset and overridden by dotted names.

Each section is defined beside what it configures, in a file `settings.py`. Values and their sources (paper, reference code, or
ours) are in `presets/*.yml`.
"""

import copy
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field

from ribstudy.datasets.settings import DataSettings, ImageSelection
from ribstudy.evaluation.settings import AblationSettings, BottleneckSettings
from ribstudy.masks.settings import CrfSettings, LabelSettings, MaskSettings, PredictionSettings, ScoreSettings, WalkSettings
from ribstudy.method.settings import (
    RIB_MODES,
    AdvCamSettings,
    AuxiliarySettings,
    BaselineSettings,
    CamSettings,
    ComputeSettings,
    RibSettings,
)
from ribstudy.settings import Count, Section, Seed, validate
from ribstudy.toy.settings import ToySettings
from ribstudy.training.settings import AffinitySettings, ClassifierSettings, SegmentationSettings


class Settings(Section):
    """All that decides a run's numbers. Devices and worker counts do not belong here."""

    seed: Seed = Field(0, description="of training and of the auxiliary images")
    seeds: Count = Field(1, description="repetitions of what a chapter repeats: trainings from seed, seed + 1, ...")
    data: DataSettings
    classifier: ClassifierSettings
    cam: CamSettings
    auxiliary: AuxiliarySettings
    rib: RibSettings
    baseline: BaselineSettings = BaselineSettings()
    advcam: AdvCamSettings = AdvCamSettings()
    compared: ImageSelection = Field(
        ImageSelection(split="train", masked=True), description="images that CAM and RIB are compared with other methods on"
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
