"""The command `settings`, which finds settings by a word: value, source, range, and the stages that each reaches."""

import textwrap
from operator import attrgetter
from typing import Any

from ribstudy.config import Settings, load_settings, sources
from ribstudy.settings import setting_rows


def show(preset: str, overrides: dict[str, Any], word: str) -> None:
    """Prints the settings whose name or description contains a word.

    Raises ValueError if there are none.
    """
    found = [row for row in setting_rows(Settings) if word.lower() in f"{row[0]} {row[2]}".lower()]
    if not found:
        raise ValueError(f"no setting has {word!r} in its name or description; the page of all settings lists them")
    settings, named = load_settings(preset, overrides), {**sources(preset), **dict.fromkeys(overrides, "given here")}
    print("\n\n".join(_description(row, settings, named) for row in found))


def _description(row: tuple[str, str, str], settings: Settings, named: dict[str, str]) -> str:
    from ribstudy.workflow.reach import read_otherwise, recomputed

    name, values, about = row
    try:
        value = attrgetter(name)(settings)
    except AttributeError:  # of a section that is not set
        return f"{name}: not used by this preset ({about})"
    source = next((named[each] for each in (name, name.rpartition(".")[0]) if each in named), "default")
    stages, reading = recomputed(name, settings), read_otherwise(name, settings)
    lines = [f"{name} = {value}", about, f"values: {values}", f"source: {source}"]
    if stages:
        lines.append(f"computed anew if it changes: {', '.join(stages)}")
    if reading:
        lines.append(f"only read otherwise: {', '.join(reading)}")
    if not stages and not reading:
        lines.append("no stage depends on it: it decides what chapters ask for")
    first, *others = lines
    return "\n".join([first, *(textwrap.fill(line, 118, initial_indent="  ", subsequent_indent="    ") for line in others)])
