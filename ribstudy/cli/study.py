"""The commands `left`, which shows the missing results of a study, and `compare`, which compares two computations of it."""

import argparse
from pathlib import Path

from ribstudy.cli.options import add_config, path
from ribstudy.config import preset_name
from ribstudy.runtime import paths


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Adds both commands. They have no --set, because a study has the settings of its preset."""
    missing = commands.add_parser("left", help="show which results of the book are missing, and how long they will take")
    missing.add_argument("--data-root", type=path, help="folder of the data")
    add_config(missing)
    missing.set_defaults(command=left)
    both = commands.add_parser("compare", help="show the headline numbers of a folder of results next to the published ones")
    both.add_argument("--results", type=path, help="folder of the results (default: results/ of the project)")
    both.set_defaults(command=compare)
    for command in (missing, both):
        add_presets(command)


def add_presets(command: argparse.ArgumentParser) -> None:
    """Adds the option of commands on the whole study, which without it are on all presets of the book."""
    command.add_argument("--preset", help="name or path of a preset (default: the presets of the book)")


def presets(options: argparse.Namespace) -> tuple[str, ...]:
    """The given preset, or the presets of the book."""
    from ribstudy.workflow.book import batch_of_book

    return batch_of_book().presets if options.preset is None else (options.preset,)


def left(options: argparse.Namespace) -> None:
    """Prints the missing results of the chapters that show the presets, and how long they will take."""
    from ribstudy.runtime import ranks
    from ribstudy.runtime.words import counted
    from ribstudy.workflow.left import is_done, left, left_rows
    from ribstudy.workflow.outcome import table
    from ribstudy.workflow.plan import plan_of_book

    cores, device = ranks.cores(), ranks.device()
    for preset in presets(options):
        found = left(plan_of_book(preset, data_root=options.data_root, is_done=is_done))
        if found:
            print(f"{preset}:\n{table(left_rows(found, cores=cores, device=device))}")
        else:
            print(f"Nothing is left to compute of {preset}.")
    print(f"Minutes on {counted(cores, 'core')}, from the measured seconds per item.")
    print("What is finished is kept if the work is stopped.")


def compare(options: argparse.Namespace) -> None:
    """Prints every headline number of a folder of results next to the published one.

    Raises ValueError if a number that has to be equal is not.
    """
    folder = (options.results or paths.RESULTS) / "records"
    wrong = [f"{preset}: {number}" for preset in presets(options) for number in _compare(preset, folder)]
    if wrong:
        raise ValueError(f"these numbers have to be equal, but are not: {', '.join(wrong)}")


def _compare(preset: str, folder: Path) -> list[str]:
    """Prints the numbers of a preset, and returns the names of those that have to be equal but are not."""
    from ribstudy.report.records import read_records
    from ribstudy.report.reproduction import comparison_rows, reproduced, summary
    from ribstudy.workflow.outcome import table

    name = preset_name(preset)
    chapters = [file.name.partition(".")[0] for file in folder.glob(f"*.{name}.json")]
    if not chapters:
        raise ValueError(f"{folder}: has no records of the preset {name}; run make reproduce PRESET={name}")
    here, published = (read_records(records, name, chapters) for records in (folder, paths.PUBLISHED / "records"))
    found = reproduced(here, published)
    print(f"{name}:\n{table(comparison_rows(found))}")
    print(summary(found) if published else f"No numbers of the preset {name} are published, so nothing is compared.")
    return [f"{number.chapter} {number.name}" for number in found if not number.as_expected]
