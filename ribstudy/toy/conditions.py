"""The other conditions under which the simulated experiment is repeated, to see when the paper's effect appears.

A condition changes one setting of the section `toy` (the sweep), two (the map), or several (the combined condition). Under the
unchanged settings, the experiment itself measures the same and more (`experiment.run_seed`).
"""

import itertools
from collections.abc import Mapping

from ribstudy.toy.settings import ToySettings, Value

Condition = tuple[tuple[str, Value], ...]  # names and values of the changed settings, sorted by name
DEFAULT: Condition = ()


def condition_of(settings: ToySettings, changes: Mapping[str, Value]) -> Condition:
    """The condition with these changes; a change to the settings' own value is none."""
    return tuple((name, value) for name, value in sorted(changes.items()) if value != getattr(settings, name))


def axis(settings: ToySettings, name: str) -> list[Value]:
    """The values of a setting in the sweep and its own value: numbers rising, words in the order of the sweep."""
    values = list(dict.fromkeys([getattr(settings, name), *settings.conditions.sweep[name]]))
    return values if any(isinstance(value, str) for value in values) else sorted(values)


def sweep(settings: ToySettings) -> dict[str, dict[Value, Condition]]:
    """By the name of a setting, and by each of its values, the condition."""
    names = settings.conditions.sweep
    return {name: {value: condition_of(settings, {name: value}) for value in axis(settings, name)} for name in names}


def cells(settings: ToySettings) -> dict[tuple[Value, Value], Condition]:
    """The conditions of the map, by the values of its two settings; empty without a map."""
    if not settings.conditions.map:
        return {}
    first, second = settings.conditions.map
    pairs = itertools.product(axis(settings, first), axis(settings, second))
    return {pair: condition_of(settings, dict(zip((first, second), pair, strict=True))) for pair in pairs}


def combined(settings: ToySettings) -> Condition:
    """The condition that changes several settings together."""
    return condition_of(settings, settings.conditions.combined)


def conditions(settings: ToySettings) -> list[Condition]:
    """Every condition once, without the settings themselves."""
    swept = [each for values in sweep(settings).values() for each in values.values()]
    found = [*swept, *cells(settings).values(), combined(settings)]
    return [each for each in dict.fromkeys(found) if each != DEFAULT]


def label(condition: Condition) -> str:
    """The condition as a word, such as "depth=3,width=8"."""
    return ",".join(f"{name}={value}" for name, value in condition)


def repetitions(settings: ToySettings) -> dict[str, tuple[Condition, int]]:
    """Each condition with each seed, by a name that can be a file name."""
    pairs = itertools.product(conditions(settings), range(settings.conditions.seeds))
    return {f"{label(changes)},seed={seed}": (changes, seed) for changes, seed in pairs}
