"""The outcome of a campaign: a file of counts for each of its two parts, and the tables in README.md."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from campaign.commands import ROOT
from helpers.sections import Section

SECTION = Section(ROOT / "README.md", "campaign", "make campaign")
HEADS = {"faults": "fault", "mutations": "mutated input"}  # of the first column, by the name of the part


def file_of(part: str) -> Path:
    """The file of the last campaign's counts. part: one of `HEADS`."""
    return Path(__file__).with_name(f"{part}.json")


@dataclass
class Row:
    """The trials of one kind.

    Args:
        what: the fault, or the input that was mutated.
        trials: their number.
        outcomes: how many ended in which right way.
        deviations: the messages of those that did not.
    """

    what: str
    trials: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    deviations: list[str] = field(default_factory=list)

    def count(self, outcome: str) -> None:
        self.trials += 1
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1

    def deviate(self, message: str) -> None:
        self.trials += 1
        self.deviations.append(message)


@dataclass(frozen=True)
class Outcome:
    """All trials of a part. about: the seed, the commit, the machine, the date and the minutes."""

    about: dict[str, str | int | float]
    rows: Sequence[Row]

    @property
    def deviations(self) -> list[str]:
        return [message for row in self.rows for message in row.deviations]

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n")

    @classmethod
    def read(cls, path: Path) -> "Outcome":
        content = json.loads(path.read_text())
        return cls(content["about"], [Row(**row) for row in content["rows"]])


def table(outcome: Outcome, head: str) -> str:
    """The counts as Markdown. head: of the first column."""
    about = outcome.about
    lines = [f"| {head} | trials | right | outcomes |", "|---|---|---|---|"]
    for row in outcome.rows:
        outcomes = ", ".join(f"{count} {name}" for name, count in sorted(row.outcomes.items()))
        lines.append(f"| {row.what} | {row.trials} | {row.trials - len(row.deviations)} | {outcomes} |")
    said = f"Seed {about['seed']}, {about['minutes']} minutes on two cores, commit {about['commit'][:7]}, {about['date']}."
    return "\n".join([*lines, "", said])


def tables() -> str:
    """The tables of the last campaign."""
    return "\n\n".join(table(Outcome.read(file_of(part)), head) for part, head in HEADS.items() if file_of(part).exists())
