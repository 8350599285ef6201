"""The outcome of a campaign: a file with its counts, and the table of them in README.md."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from campaign.commands import ROOT

FILE = Path(__file__).with_name("outcome.json")
README = ROOT / "README.md"
BEGIN, END = "<!-- campaign: written by make campaign -->", "<!-- end of campaign -->"


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
    """All trials of a campaign. about: the seed, the commit, the machine, the date and the minutes."""

    about: dict[str, str | int | float]
    rows: Sequence[Row]

    @property
    def deviations(self) -> list[str]:
        return [message for row in self.rows for message in row.deviations]

    def write(self, path: Path = FILE) -> None:
        path.write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n")

    @classmethod
    def read(cls, path: Path = FILE) -> "Outcome":
        content = json.loads(path.read_text())
        return cls(content["about"], [Row(**row) for row in content["rows"]])


def table(outcome: Outcome) -> str:
    """The counts as Markdown."""
    about = outcome.about
    lines = ["| fault, or mutated input | trials | right | how |", "|---|---|---|---|"]
    for row in outcome.rows:
        how = ", ".join(f"{count} {name}" for name, count in sorted(row.outcomes.items()))
        lines.append(f"| {row.what} | {row.trials} | {row.trials - len(row.deviations)} | {how} |")
    said = f"Seed {about['seed']}, {about['minutes']} minutes on two cores, commit {about['commit'][:7]}, {about['date']}."
    return "\n".join([*lines, "", said])


def section(text: str) -> str:
    """The part of README.md between the marks."""
    return text.partition(BEGIN)[2].partition(END)[0].strip()


def write_section(outcome: Outcome, readme: Path = README) -> None:
    text = readme.read_text()
    before, after = text.partition(BEGIN)[0], text.partition(END)[2]
    readme.write_text(f"{before}{BEGIN}\n{table(outcome)}\n{END}{after}")
