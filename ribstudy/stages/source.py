"""The digest of a stage's own code, by which a record says which code computed a result.

A stage's own code is every top-level definition of this package that the definition of the stage reaches
(`ribstudy.runtime.code`). Three things do not belong to it:

- Other stages, whose results have digests of their own. Only their `format` and `read` count, because they decide how this
  stage reads an item of the other.
- Plumbing. It decides where and when something is computed, and which messages are logged, but changes no number. It is edited
  often, and then the digest would make all published results look out of date.
- The preparation and the checks of data sets. The key identifies data by their content, however they came to be.

The formats of items (`ribstudy.items`) do belong to it: they say how numbers are rounded when they are stored.
"""

import sys
from functools import cache
from pathlib import Path

from ribstudy.runtime.code import reach, resolve
from ribstudy.runtime.files import digest
from ribstudy.stages.registry import STAGES
from ribstudy.stages.stage import Stage
from ribstudy.store import Result

PACKAGE = Path(__file__).resolve().parents[1]
PLUMBING = ("stages.stage", "stages.execution", "stages.requirements", "stages.memory", "stages.preflight", "runtime", "config")
PREPARATION = (
    "datasets.minivoc",
    "datasets.minivoc_drawing",
    "datasets.minivoc_objects",
    "datasets.coco_annotations",
    "datasets.coco_checks",
    "datasets.mask_checks",
    "datasets.folder_lists",
    "datasets.listed",
    "datasets.content",
)
OUTSIDE = tuple(f"ribstudy.{name}" for name in (*PLUMBING, *PREPARATION))
READING = ("format", "read")  # the arguments of another stage that belong to a stage which needs it


def source_digest(stage: Stage, *, package: Path = PACKAGE) -> str:
    """Twelve hexadecimal digits that identify the stage's own code, equal on every machine.

    The files are read at the first call in a process, so call it before a long computation, during which they may be edited.

    Args:
        package: another folder with this package.

    Raises:
        ValueError: no module of `ribstudy.stages` defines the stage as a constant.
    """
    return digest(sorted(_code(stage.name, package).values()))


def reached(stage: Stage) -> tuple[str, ...]:
    """The dotted names of the definitions in `source_digest`."""
    return tuple(sorted(_code(stage.name, PACKAGE)))


@cache
def _code(name: str, package: Path) -> dict[str, str]:
    constants = _constants()
    if name not in constants:
        raise ValueError(f"stage {name}: no module of ribstudy.stages defines it as a constant, so its code cannot be found")
    others = set(constants.values()) - {constants[name]}
    return reach(package, constants[name], outside=OUTSIDE, partly=others, arguments=READING)


def _constants() -> dict[str, str]:
    """The dotted name of the constant that defines each of `STAGES`, by the name of the stage."""
    modules = [module for name, module in sys.modules.items() if name.startswith(f"{__package__}.")]
    variables = [(f"{module.__name__}.{name}", value) for module in modules for name, value in vars(module).items()]
    return {stage.name: resolve(PACKAGE, name) for stage in STAGES.values() for name, value in variables if value is stage}


def other_code(stage: Stage, result: Result) -> bool:
    """Whether code other than today's computed a finished result, or a part of it.

    It does not count if a recheck before the publication found that today's code computes the same (`rechecked`).
    """
    now = source_digest(stage)
    rechecked = result.bundle.record.get("rechecked", {}) if result.bundle is not None else {}
    return result.codes() != [now] and rechecked.get("code") != now
