"""The waves of a plan: groups of jobs that several processes share, put together into a few long jobs of a cluster.

A cluster takes seconds to start a job and up to minutes to notice its end, so a job for each group and shard would mostly wait.
A wave has all groups that can start at the same time: they wait for the same trainings, and either all use a GPU or none does.
Every part of a wave computes its shard of each group, one group after another.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from ribstudy.runtime.files import digest
from ribstudy.stages.stage import only_checks
from ribstudy.workflow.plan import JobGroup, Plan

Place = tuple[frozenset[str], int, int, bool]


@dataclass(frozen=True)
class Wave:
    """Groups that each part of a wave computes one after another, in this order; after: groups that have to be done before."""

    name: str
    groups: tuple[str, ...]
    after: tuple[str, ...]
    gpus: int


def waves(plan: Plan) -> dict[str, Wave]:
    """The waves of all groups that processes can share, by name. They do not depend on what is done already."""
    found: dict[Place, list[str]] = {}
    for name, place in _places(plan).items():
        found.setdefault(place, []).append(name)
    made = [_wave(plan, names) for names in found.values()]
    return {wave.name: wave for wave in made}


def parts(work: dict[str, float | None], shards: int) -> dict[str, int]:
    """The number of parts of each wave, so that parts of all waves take about equally long.

    Args:
        work: the expected seconds of each wave; None if they are not known.
        shards: the parts of the longest wave, and of those that are not known.
    """
    longest = max((seconds for seconds in work.values() if seconds), default=0)
    return {
        name: shards if seconds is None or not longest else max(1, math.ceil(shards * seconds / longest))
        for name, seconds in work.items()
    }


def _wave(plan: Plan, names: list[str]) -> Wave:
    after = dict.fromkeys(earlier for name in names for earlier in plan.groups[name].after if earlier not in names)
    return Wave(f"wave-{digest(names)}", tuple(names), tuple(after), plan.groups[names[0]].gpus)


def _places(plan: Plan) -> dict[str, Place]:
    """For each scattered group the trainings before it, its level, whether it uses a GPU, and whether a training needs it.

    A level is a change between work with and without a GPU. Groups that a training waits for have a wave of their own, so that
    the training starts early.
    """
    trainings: dict[str, frozenset[str]] = {}
    levels: dict[str, int] = {}
    for name, group in plan.groups.items():
        before = [earlier for earlier in group.after if earlier in trainings]
        own = frozenset() if group.scattered or only_checks(group.stage) else frozenset([name])
        trainings[name] = own.union(*(trainings[earlier] for earlier in before))
        levels[name] = max((levels[earlier] + (not _alike(plan.groups[earlier], group)) for earlier in before), default=0)
    urgent = _needed(plan, lambda group: not group.scattered)
    return {
        name: (trainings[name], levels[name], group.gpus, name in urgent)
        for name, group in plan.groups.items()
        if group.scattered
    }


def _alike(group: JobGroup, other: JobGroup) -> bool:
    return group.scattered and other.scattered and group.gpus == other.gpus


def _needed(plan: Plan, by: Callable[[JobGroup], bool]) -> set[str]:
    """The groups that some groups need, directly or through others."""
    found: set[str] = set()
    for name, group in reversed(plan.groups.items()):
        if name in found or by(group):
            found.update(group.after)
    return found
