"""The records of the chapters: their headline numbers by name, read from <folder>/<chapter>.<settings name>.json."""

import json
from collections.abc import Iterable
from pathlib import Path

from ribstudy.evaluation.statistics import Estimate


def read_record(path: Path) -> dict[str, Estimate]:
    """The numbers of one record; {} if there is no such file.

    Raises ValueError that names a file which is not a record.
    """
    if not path.is_file():
        return {}
    try:
        return {name: Estimate(**number) for name, number in json.loads(path.read_text()).items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: is not the record of a chapter ({error}); remove it and run the chapter again") from None


def read_records(folder: Path, settings_name: str, chapters: Iterable[str]) -> dict[str, dict[str, Estimate]]:
    """The records of the chapters under settings of that name (`Chapter.settings_name`); chapters without one are left out."""
    found = {chapter: read_record(folder / f"{chapter}.{settings_name}.json") for chapter in sorted(chapters)}
    return {chapter: numbers for chapter, numbers in found.items() if numbers}
