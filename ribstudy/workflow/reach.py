"""The stages that a setting reaches: their results are computed again when it changes, or are only read differently."""

import contextlib
from functools import reduce
from operator import attrgetter, getitem
from typing import Literal, get_args, get_origin

from ribstudy.config import Settings
from ribstudy.stages import STAGES
from ribstudy.stages.stage import Stage, only_checks, result_key


def recomputed(name: str, settings: Settings) -> list[str]:
    """The stages with another result if the setting of this dotted name changes, in the order of the work."""
    others = _with_other_choices(name, settings)  # they can decide which stages another one needs
    return [
        stage.name
        for stage in STAGES.values()
        if _reaches(name, stage, settings) or any(result_key(stage, settings) != result_key(stage, other) for other in others)
    ]


def read_otherwise(name: str, settings: Settings) -> list[str]:
    """The stages of whose results the setting only affects how, or how many, items are read."""
    return [
        stage.name
        for stage in STAGES.values()
        if _covers(stage.reading, name) and _is_read(name, stage, settings) and not _reaches(name, stage, settings)
    ]


def _with_other_choices(name: str, settings: Settings) -> list[Settings]:
    """The settings with every other value of a setting that has a few named ones, as far as they fit the other settings."""
    section, _, field = name.rpartition(".")
    holder = attrgetter(section)(settings) if section else settings
    kind = type(holder).model_fields[field].annotation
    choices = (True, False) if kind is bool else get_args(kind) if get_origin(kind) is Literal else ()
    found = []
    for choice in choices:
        if choice != getattr(holder, field):
            values = settings.model_dump()
            reduce(getitem, section.split(".") if section else [], values)[field] = choice
            with contextlib.suppress(ValueError):
                found.append(Settings(**values))
    return found


def _reaches(name: str, stage: Stage, settings: Settings) -> bool:
    """Whether the stage's key contains the setting (`Stage.identity`)."""
    own = _is_read(name, stage, settings) and not _covers(stage.reading, name)
    needed = [need.stage for need in stage.needs(settings) if not only_checks(need.stage)]
    return own or any(_covers(other.reading, name) or _reaches(name, other, settings) for other in needed)


def _is_read(name: str, stage: Stage, settings: Settings) -> bool:
    sections = stage.reads(settings) if callable(stage.reads) else stage.reads
    return name.partition(".")[0] in {section.partition(".")[0] for section in sections}


def _covers(names: tuple[str, ...], name: str) -> bool:
    """Whether `names` contain a setting or a section of it."""
    return any(f"{name}.".startswith(f"{each}.") for each in names)
