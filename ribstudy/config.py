"""The settings of a run, read from a preset; single values can be overridden by their dotted names.

A preset gives all settings, or only those in which it differs from another one, which it names with `base: custom`. Each
section is defined in the `settings.py` of the package that it configures. The values and their sources (paper, reference
code, or ours) are in `presets/*.yml`.
"""

import contextlib
import difflib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from ribstudy.datasets.settings import DataSettings, ImageSelection
from ribstudy.evaluation.settings import (
    AblationSettings,
    BottleneckSettings,
    ControlSettings,
    CostSettings,
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
    DilationSettings,
    RibSettings,
)
from ribstudy.runtime.files import digest
from ribstudy.runtime.paths import beside, expanded
from ribstudy.runtime.strict_yaml import lines_of, parse_mapping, read_text
from ribstudy.settings import IMAGENET, Count, Section, Seed, section_of, validate
from ribstudy.toy.settings import ToySettings
from ribstudy.training.settings import AffinitySettings, ClassifierSettings, SegmentationSettings

DEFAULT_PRESET = "study"  # of the book and of the command line
BASE = "base"  # the line of a preset that names another one from which it starts
SUFFIXES = (".yml", ".yaml")  # of files with settings
PATHS = ("data.root", "classifier.weights", "affinity.weights", "segmentation.weights")  # settings that are paths


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
    dilation: DilationSettings = DilationSettings()
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
    costs: CostSettings | None = Field(None, description="None: what RIB's parts cost and give is not run")
    toy: ToySettings
    compute: ComputeSettings = ComputeSettings()


def preset_names() -> list[str]:
    """The names of the presets in `ribstudy/presets/`."""
    return sorted(f.name.removesuffix(".yml") for f in resources.files("ribstudy.presets").iterdir() if f.name.endswith(".yml"))


def preset_name(preset: str) -> str:
    """The name of a preset in the names of files: its own, or the name of its file without the suffix.

    A file with the name of a preset of the package gets a digest, so that its results do not pass for the preset's results.
    """
    if preset in preset_names():
        return preset
    path = expanded(preset)
    if path.stem not in preset_names() or path.resolve() == _shipped(path.stem).resolve():
        return path.stem
    return f"{path.stem}-{digest(read_text(path, f'preset {preset}'))}"


def load_settings(preset: str, overrides: Mapping[str, Any] | None = None) -> Settings:
    """The settings of a preset, with some values replaced.

    A section in the overrides, such as {"rib": {"tau": 0.5}}, replaces only the settings that it names. `rib.mode` comes before
    all other overrides. Of two that name the same setting, the later one holds.

    Args:
        preset: a name in `preset_names`, or the path of a .yml file.
        overrides: new values by dotted name, such as {"rib.tau": 0.5}.

    Raises:
        ValueError: an unknown preset or setting, or a value of a wrong type or out of range; the message names it.
    """
    layers = _layers(str(preset))
    values: dict[str, Any] = {}
    for changes in (*layers.values(), _nested(overrides or {})):
        values = _changed(values, changes)
    what = " from ".join(f"preset {name}" for name in reversed(layers))
    lacking = [name for name, field in Settings.model_fields.items() if field.is_required() and name not in values]
    if lacking:
        raise ValueError(
            f"{what}: has no section {', '.join(lacking)}; add it, or start from a preset that has it with {BASE}: custom"
        )
    return validate(Settings, values, what=what)


def given_settings(values: Mapping[str, Any], what: str) -> dict[str, Any]:
    """The settings that a user gives, by their full dotted names, from names with or without dots and from sections.

    Raises ValueError that begins with `what` if a setting is given twice, such as in its section and by its dotted name, and if
    a section is empty, because it would change nothing.
    """
    found: dict[str, Any] = {}
    parents: set[str] = set()
    for name, value in _singles(Settings, values, ""):
        if value == {}:
            raise ValueError(f"{what}: {name} = {{}} is empty, so it changes nothing; name settings in it, or remove it")
        above = {name[:place] for place, character in enumerate(name) if character == "."}
        if name in found or name in parents or above & set(found):
            raise ValueError(f"{what}: {name} is given twice; remove one of the two values")
        found[name] = value
        parents |= above
    return found


def _singles(model: type[Section], values: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    """The single settings in `values`, by full name. Those in a section come one by one."""
    for name, value in values.items():
        section: type[Section] | None = model
        for part in str(name).split("."):
            section = section_of(section, part) if section else None
        if section and isinstance(value, dict) and value:
            yield from _singles(section, value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _nested(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by dotted name as sections with their settings."""
    nested: dict[str, Any] = {}
    for name, value in changes.items():
        for part in reversed(name.split(".")):
            value = {part: value}
        nested = _merged(Settings, nested, value)
    return nested


def _merged(model: type[Section], values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The values with the changes. Sections are merged, other settings are replaced."""
    merged = dict(values)
    for name, value in changes.items():
        section, before = section_of(model, name), merged.get(name)
        both = section and isinstance(value, dict) and isinstance(before, dict)
        merged[name] = _merged(section, before, value) if both else value
    return merged


def _changed(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a preset with changes.

    If these change `rib.mode`, the preset's values for what either mode chooses (`RIB_MODES`) are dropped.
    """
    section, change = values.get("rib"), changes.get("rib")
    if isinstance(section, dict) and isinstance(change, dict):
        before = section.get("mode", "code")
        after = change.get("mode", before)
        if after != before:
            chosen = {name for mode, names in RIB_MODES.items() if mode in (before, after) for name in names}
            section = {key: kept for key, kept in section.items() if key not in chosen}
            values = {**values, "rib": section}
    return _merged(Settings, values, changes)


def _layers(preset: str, above: tuple[str, ...] = ()) -> dict[str, dict[str, Any]]:
    """The settings that a preset names, by its name, after the settings of its base, and so on down.

    above: the files of the presets that start from this one.
    """
    what = f"preset {preset}"
    path = _shipped(preset) if preset in preset_names() else _path_of(preset)
    if str(path) in above:
        raise ValueError(f"{what}: starts from itself ({' -> '.join([*above, str(path)])}); change {BASE} in one of them")
    base, own = _parsed(read_text(path, what), what)
    paths = located({name: _at(own, name) for name in PATHS}, path.parent)
    own = _merged(Settings, own, _nested(paths))
    if base is None:
        return {preset: own}
    is_path = Path(base).suffix.lower() in SUFFIXES
    try:
        return {**_layers(str(beside(base, path.parent)) if is_path else base, (*above, str(path))), preset: own}
    except ValueError as error:
        raise ValueError(f"{error} ({BASE} of {what})") from None


def sources(preset: str) -> dict[str, str]:
    """The source of each value of a preset, by dotted name: the comment after it, and the preset or its base that gives it."""
    found: dict[str, str] = {}
    for layer in _layers(preset):
        text = read_text(_shipped(layer) if layer in preset_names() else _path_of(layer), f"preset {layer}")
        lines = text.splitlines()
        for name, line in lines_of(text):
            comment = lines[line].partition(" # ")[2].strip()
            found[name] = f"{comment} (preset {layer})" if comment else f"preset {layer}"
    return found


@cache
def _parsed(text: str, what: str) -> tuple[str | None, dict[str, Any]]:
    """The base and the settings of a preset's text, read once: a plan loads the settings of hundreds of jobs."""
    values = parse_mapping(text, what)
    base = values.pop(BASE, None)
    if not isinstance(base, str | None):
        raise ValueError(f"{what}: {BASE} = {base!r}: expected the name of a preset, or the path of a .yml file")
    return base, _nested(given_settings(values, what))


def _at(values: Mapping[str, Any], name: str) -> Any:
    """The value of a setting in sections, by its dotted name; None if it is not there."""
    section, _, setting = name.partition(".")
    return values[section].get(setting) if isinstance(values.get(section), dict) else None


def located(values: Mapping[str, Any], folder: Path) -> dict[str, str]:
    """The paths among settings by dotted name, which a file in `folder` gives: absolute, as `beside` finds them.

    Other values are left out. A path that cannot be meant is reported when the settings are checked.
    """
    found = {}
    for name in PATHS:
        value = values.get(name)
        if isinstance(value, str) and value != IMAGENET:
            with contextlib.suppress(ValueError):
                found[name] = str(beside(value, folder))
    return found


def _shipped(preset: str) -> Path:
    return Path(str(resources.files("ribstudy.presets"))) / f"{preset}.yml"


def _path_of(preset: str) -> Path:
    """The file of a preset that is not one of the package's."""
    known = f"known: {', '.join(preset_names())}, or the path of a .yml file"
    try:
        path = expanded(preset)
    except ValueError as error:
        raise ValueError(f"preset {preset!r}: {error}; {known}") from None
    if path.suffix.lower() in SUFFIXES:
        return path
    files = [f"{preset}{suffix}" for suffix in SUFFIXES if path.with_name(f"{path.name}{suffix}").is_file()]
    near = files or difflib.get_close_matches(preset, preset_names(), n=1)
    raise ValueError(f"preset {preset!r} is unknown; {known}" + (f" (did you mean {near[0]}?)" if near else ""))
