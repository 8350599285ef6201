"""The records of the chapters: their headline numbers by name, read from <folder>/<chapter>.<settings name>.json."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import isnan
from pathlib import Path

import pandas as pd

from ribstudy import datasets
from ribstudy.config import load_settings, preset_name
from ribstudy.evaluation.statistics import NOT_RUN, Estimate
from ribstudy.runtime.words import capitalized
from ribstudy.store import Store


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


def latest_records(store: Store, settings_name: str, chapters: Iterable[str]) -> dict[str, dict[str, Estimate]]:
    """As `read_records`: the published records, each replaced by the record of the chapter if the chapter was run here."""
    chapters = set(chapters)
    published, here = (read_records(root / "records", settings_name, chapters) for root in (store.published_folder, store.root))
    return {**published, **here}


@dataclass(frozen=True)
class Recorded:
    """The headline numbers of a chapter that has ended, and its sentences, which a notebook shows as tables.

    Args:
        numbers: by name.
        said: the texts that the chapter has made available to the page, by name.
        path: the file that contains them.
    """

    numbers: Mapping[str, Estimate]
    said: Mapping[str, str]
    path: Path

    def table(self) -> pd.DataFrame:
        """A row for each number, as texts with four significant digits: value, 95 % interval, number of observations."""
        rows = {
            name: {
                "value": _rounded(found.value),
                "95 % interval": "" if found.low is None else f"{_rounded(found.low)} to {_rounded(found.high)}",
                "n": "" if found.n is None else str(found.n),
            }
            for name, found in self.numbers.items()
        }
        return pd.DataFrame.from_dict(rows, orient="index", columns=["value", "95 % interval", "n"])

    def texts(self) -> pd.DataFrame:
        """A row for each text."""
        return pd.DataFrame.from_dict(self.said, orient="index", columns=["text"])

    def __repr__(self) -> str:
        texts = "".join(f"\n{name}: {text}" for name, text in self.said.items())
        return f"{self.table().to_string()}\n{texts}\n\nrecord: {self.path}"

    def _repr_html_(self) -> str:
        texts = self.texts().to_html() if self.said else ""
        return f"{self.table().to_html()}<p>These numbers are in <code>{escape(str(self.path))}</code>.</p>{texts}"


def _rounded(number: float) -> str:
    if isnan(number):
        return "–"
    return f"{number:.0f}" if number.is_integer() else f"{number:.4g}"


@dataclass(frozen=True)
class Headline:
    """A row of a table of headline numbers: its label, the chapter and the name of its number, and the number's format."""

    label: str
    chapter: str
    name: str
    spec: str = ""

    @classmethod
    def parse(cls, text: str) -> "Headline":
        """The row that a text describes, such as "RIB adds | 04_rib::gain_rib:+.3f".

        Raises ValueError for a text of another form.
        """
        label, bar, place = text.rpartition("|")
        chapter, colons, note = place.strip().partition("::")
        if not (bar and colons):
            raise ValueError(f"{text!r}: expected a row such as: RIB adds | 04_rib::gain_rib:+.3f")
        name, _, spec = note.partition(":")
        return cls(label.strip(), chapter, name, spec)

    def text(self, found: Estimate | None) -> str:
        """A number with its interval and number of observations, such as "+0.011 (+0.002 to +0.020), n = 513".

        "not run" if there is no record, and a dash if the chapter could not determine the number.
        """
        if found is None:
            return NOT_RUN
        if isnan(found.value):
            return "–"
        value, low, high = (None if x is None else self._formatted(x) for x in (found.value, found.low, found.high))
        return value + ("" if low is None else f" ({low} to {high})") + ("" if found.n is None else f", n = {found.n}")

    def _formatted(self, number: float) -> str:
        return format(int(number) if self.spec.endswith("d") else number, self.spec)


def headline_table(rows: Sequence[Headline], presets: Sequence[str], store: Store | None = None) -> pd.DataFrame:
    """Headline numbers of several presets next to each other, as texts; a row for each of `rows`, a column for each data set.

    A record from here replaces the published one. A number that no record has reads "not run": the chapter was not run, or its
    preset leaves this number out.
    """
    store = store or Store()
    records = [latest_records(store, preset_name(preset), {row.chapter for row in rows}) for preset in presets]
    texts = [[row.text(of_preset.get(row.chapter, {}).get(row.name)) for of_preset in records] for row in rows]
    return pd.DataFrame(texts, index=[row.label for row in rows], columns=[_column(preset) for preset in presets])


def _column(preset: str) -> str:
    return capitalized(datasets.title(load_settings(preset).data))
