"""The headline numbers of a study that was computed again, each compared with the published number.

Trainings differ between kinds of machines, because processors round differently and a training amplifies that. So each number
has one of these kinds (`kind_of`):

- exact: properties of the data and of the settings, such as numbers of images. They are equal to the bit on every machine.
- rounding: differences between two implementations on the same network. They are rounding errors and equal up to 1e-4.
- training: everything that depends on trained networks. On the same kind of machine and with the same versions it is equal to
  the bit, and elsewhere it should lie in the published 95 % interval.
- machine: times and states. They are not compared.
"""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ribstudy.evaluation.statistics import Estimate

Kind = Literal["exact", "rounding", "training", "machine"]
Records = Mapping[str, Mapping[str, Estimate]]  # by chapter and by name of the number

TOLERANCE = 1e-4  # of numbers of the kind "rounding"
EXACT_CHAPTERS = ("02_data", "10_full_runs")
MACHINE_CHAPTERS = ("costs", "status")
COUNTS = re.compile(
    r"num_(images|images_for_rates|choices|seeds|val|variants|learned|runs|objects|repetitions|several|rows|with_ablation"
    r"|comparisons|reported|pilot|data|questions)"
)
SETTINGS = re.compile(r"epochs|learning_rate|paper_rate|blur_width|advcam_steps|step_size|curve_steps")
ROUNDING = re.compile(r"(torchcam|gradcam)_difference")
TIMES = re.compile(r"seconds_\w+")
SCORES = re.compile(r"(gain|less|alike)_\w+")


def kind_of(chapter: str, name: str) -> Kind:
    """How equal a number of a chapter has to be on another machine."""
    if TIMES.fullmatch(name) or (chapter in MACHINE_CHAPTERS and not SCORES.fullmatch(name)):
        return "machine"
    if ROUNDING.fullmatch(name):
        return "rounding"
    if chapter in EXACT_CHAPTERS or COUNTS.fullmatch(name) or SETTINGS.fullmatch(name):
        return "exact"
    return "training"


@dataclass(frozen=True)
class Reproduced:
    """A headline number that was computed again; `published` is None if there is none."""

    chapter: str
    name: str
    here: Estimate
    published: Estimate | None

    @property
    def kind(self) -> Kind:
        return kind_of(self.chapter, self.name)

    @property
    def difference(self) -> float | None:
        return None if self.published is None else self.here.value - self.published.value

    @property
    def verdict(self) -> str:
        """The published number and this one: equal, within 1e-4, inside or outside the published interval, or different."""
        if self.published is None:
            return "not published"
        if self.kind == "machine":
            return "not compared"
        published, here = self.published, self.here.value
        if here == published.value or (math.isnan(here) and math.isnan(published.value)):
            return "equal"
        if abs(here - published.value) <= TOLERANCE:
            return f"within {TOLERANCE:g}"
        if self.kind != "training":
            return "different"
        if published.low is None or published.high is None:
            return "no interval"
        return "inside" if published.low <= here <= published.high else "outside"

    @property
    def as_expected(self) -> bool:
        """False if a number that has to be equal, exactly or up to rounding, is not. An interval excludes nothing for sure."""
        allowed = {"exact": ("equal",), "rounding": ("equal", f"within {TOLERANCE:g}")}
        return self.published is None or self.kind not in allowed or self.verdict in allowed[self.kind]


def reproduced(here: Records, published: Records) -> list[Reproduced]:
    """Every headline number of `here`, next to the published one."""
    return [
        Reproduced(chapter, name, estimate, published.get(chapter, {}).get(name))
        for chapter, numbers in here.items()
        for name, estimate in numbers.items()
    ]


def comparison_rows(found: Sequence[Reproduced]) -> list[tuple[str, ...]]:
    """The rows of a table with a head."""
    rows = [("chapter", "number", "here", "published, 95 % interval", "difference", "expected", "found")]
    for number in found:
        published = "–" if number.published is None else number.published.text(4, signed=False)
        difference = "–" if number.difference is None else f"{number.difference:+.2g}"
        here, expected = f"{number.here.value:.4f}", _EXPECTED[number.kind]
        rows.append((number.chapter, number.name, here, published, difference, expected, number.verdict))
    return rows


_EXPECTED: dict[Kind, str] = {
    "exact": "equal",
    "rounding": f"within {TOLERANCE:g}",
    "training": "inside",
    "machine": "anything",
}


def summary(found: Sequence[Reproduced]) -> str:
    """The table in a few lines, and how to read it."""
    verdicts: dict[str, Counter[str]] = {}
    for number in found:
        verdicts.setdefault(_EXPECTED[number.kind], Counter())[number.verdict] += 1
    lines = [
        f"expected {expected}: " + ", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items()))
        for expected, counts in verdicts.items()
    ]
    return "\n".join([*lines, _EXPLANATION])


_EXPLANATION = """\
Numbers of the data and settings have to be equal to the bit, and differences between two implementations up to 1e-4.
Numbers that depend on a training are equal to the bit on the same kind of machine. Elsewhere about 95 of 100 lie inside the
published interval, and a number of a single training, which has no interval, can differ as much as two seeds do."""
