"""The commands `left`, which shows the missing results of a study, and `compare`, which compares two computations of it."""

import argparse
from pathlib import Path

from ribstudy.config import DEFAULT_PRESET


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Adds both commands. They have no --set, because a study has the settings of its preset."""
    missing = commands.add_parser("left", help="show which results of all chapters are missing, and how long they will take")
    missing.add_argument("--data-root", type=Path, help="folder of the data")
    missing.set_defaults(command=left)
    both = commands.add_parser("compare", help="show the headline numbers of a folder of results next to the published ones")
    both.add_argument("--results", type=Path, help="folder of the results (default: results/ of the project)")
    both.set_defaults(command=compare)
    for command in (missing, both):
        command.add_argument("--preset", default=DEFAULT_PRESET, help=f"name or path of a preset (default: {DEFAULT_PRESET})")


def left(options: argparse.Namespace) -> None:
    """Prints the missing results of all chapters of a preset, and how long they will take."""
    from ribstudy.runtime import ranks
    from ribstudy.workflow.left import is_done, left, left_rows
    from ribstudy.workflow.outcome import table
    from ribstudy.workflow.plan import plan_of_book

    found = left(plan_of_book(options.preset, data_root=options.data_root, is_done=is_done))
    cores, device = ranks.cores(), ranks.device()
    if not found:
        print(f"Nothing is left to compute of {options.preset}.")
        return
    print(table(left_rows(found, cores=cores, device=device)))
    print(f"Minutes on {cores} cores, from the measured seconds per item. What is finished is kept if the work is stopped.")


def compare(options: argparse.Namespace) -> None:
    """Prints every headline number of a folder of results next to the published one.

    Raises ValueError if a number that has to be equal is not.
    """
    from ribstudy.report.records import read_records
    from ribstudy.report.reproduction import comparison_rows, reproduced, summary
    from ribstudy.runtime.paths import PUBLISHED, RESULTS
    from ribstudy.workflow.outcome import table

    name, folder = Path(options.preset).stem, (options.results or RESULTS) / "records"
    chapters = [path.name.partition(".")[0] for path in folder.glob(f"*.{name}.json")]
    if not chapters:
        raise ValueError(f"{folder}: has no records of the preset {name}; run make reproduce PRESET={name}")
    here, published = (read_records(records, name, chapters) for records in (folder, PUBLISHED / "records"))
    found = reproduced(here, published)
    print(table(comparison_rows(found)))
    print(summary(found) if published else f"No numbers of the preset {name} are published, so nothing is compared.")
    if wrong := [f"{number.chapter} {number.name}" for number in found if not number.as_expected]:
        raise ValueError(f"these numbers have to be equal, but are not: {', '.join(wrong)}")
