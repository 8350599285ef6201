"""The settings of a run, read from a preset; single values can be overridden by their dotted names.

Each section is defined in the `settings.py` of the package that it configures. The values and their sources (paper, reference
code, or ours) are in `presets/*.yml`.
"""

import copy
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field

from ribstudy.datasets.settings import DataSettings, ImageSelection
from ribstudy.evaluation.settings import (
    AblationSettings,
    BottleneckSettings,
    ControlSettings,
    EvaluationSettings,
    PartSettings,
)
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

DEFAULT_PRESET = "study"  # of the book and of the command line


class Settings(Section):
    """All settings that affect the numbers of a run. The device and the number of worker processes do not belong here."""

    seed: Seed = Field(0, description="seed of the trainings and of the auxiliary images")
    seeds: Count = Field(1, description="number of repetitions in a chapter, with the seeds seed, seed + 1, ...")
    data: DataSettings
    classifier: ClassifierSettings
    cam: CamSettings
    auxiliary: AuxiliarySettings
    rib: RibSettings
    baseline: BaselineSettings = BaselineSettings()
    advcam: AdvCamSettings = AdvCamSettings()
    compared: ImageSelection = Field(
        ImageSelection(split="train", masked=True), description="images on which CAM and RIB are compared with other methods"
    )
    choices: ImageSelection = Field(
        ImageSelection(split="val", masked=True),
        description="images on which learning rates and thresholds are chosen; no result is reported on them",
    )
    maps: Literal["cam", "rib"] = Field("rib", description="the maps that become masks")
    crf: CrfSettings = CrfSettings()
    labels: LabelSettings = LabelSettings()
    affinity: AffinitySettings
    walk: WalkSettings = WalkSettings()
    masks: MaskSettings
    segmentation: SegmentationSettings
    scores: ScoreSettings = ScoreSettings()
    predictions: PredictionSettings = PredictionSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    controls: ControlSettings = ControlSettings()
    ablations: AblationSettings
    bottleneck: BottleneckSettings
    discriminative_part: PartSettings | None = Field(None, description="None: not run; only MiniVOC has such a part")
    toy: ToySettings
    compute: ComputeSettings = ComputeSettings()


def preset_names() -> list[str]:
    """The names of the presets in `ribstudy/presets/`."""
    return sorted(f.name.removesuffix(".yml") for f in resources.files("ribstudy.presets").iterdir() if f.name.endswith(".yml"))


def load_settings(preset: str, overrides: dict[str, Any] | None = None) -> Settings:
    """The settings of a preset, with some values replaced.

    Args:
        preset: a name in `preset_names`, or the path of a .yml file.
        overrides: new values by dotted name, such as {"rib.tau": 0.5}.

    Raises:
        ValueError: an unknown preset or setting, or a value of a wrong type or out of range; the message names it.
    """
    try:
        values = copy.deepcopy(_parsed(_preset_text(str(preset))))
    except yaml.YAMLError as error:
        raise ValueError(f"preset {preset!r} is not YAML: {error}") from None
    if not isinstance(values, dict):
        raise ValueError(f"preset {preset!r} contains no settings")
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


@cache
def _parsed(text: str) -> Any:
    """A preset's text as YAML, parsed once: a plan loads the settings of hundreds of jobs, and parsing takes 50 ms."""
    return yaml.safe_load(text)


def _change_mode(values: dict[str, Any], mode: Any) -> None:
    """Sets `rib.mode`. If it differs from the preset's mode, the preset's values for the fields of `RIB_MODES` are dropped."""
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
