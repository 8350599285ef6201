"""Differences between the paper and its reference code, and defects of the code: the rows of data/paper_and_code.csv.

Columns: number, kind (P: differs from the paper, B: defect, W: waste, E: environment), paper, code, ours, setting (dotted
name), ablation (names of variants, separated by semicolons), test (file and name), reason (why there is no ablation). An empty
field is an empty string.
"""

from collections.abc import Mapping
from html import escape
from pathlib import Path

import pandas as pd

from ribstudy.evaluation.statistics import NOT_RUN, Estimate
from ribstudy.report.tables import two_lines
from ribstudy.runtime.paths import PROJECT

PAPER_AND_CODE = PROJECT / "data" / "paper_and_code.csv"
CHAPTER = "07_ablations"  # its record contains the measured differences
KINDS = {"P": "differs from the paper", "B": "defect", "W": "waste", "E": "environment"}


def read(path: Path = PAPER_AND_CODE) -> pd.DataFrame:
    """The rows, indexed and ordered by their numbers."""
    return pd.read_csv(path, keep_default_na=False).set_index("number")


def ablations(row: pd.Series) -> list[str]:
    """The names of the variants that measure a row."""
    return [name for name in row["ablation"].split("; ") if name]


def measured(rows: pd.DataFrame, record: Mapping[str, Estimate]) -> dict[str, Estimate]:
    """The differences of the rows' variants, from the record of the chapter on ablations, as far as they were run.

    Args:
        record: its numbers by name; {} if the chapter was not run.
    """
    names = dict.fromkeys(name for _, row in rows.iterrows() for name in ablations(row))
    return {name: record[f"difference_{name}"] for name in names if f"difference_{name}" in record}


def measured_table(rows: pd.DataFrame, found: Mapping[str, Mapping[str, Estimate]]) -> pd.DataFrame:
    """The measured rows, those with the largest effect first, with their effects and intervals; cells are HTML.

    Args:
        found: `measured` of each data set, by its title.
    """
    sizes = {number: _largest_effect(row, found) for number, row in rows.iterrows()}
    order = sorted((number for number, size in sizes.items() if size is not None), key=lambda number: -sizes[number])
    shown = _described(rows.loc[order])
    for title, of_data in found.items():
        shown[title] = [_effects(row, of_data) for _, row in rows.loc[order].iterrows()]
    return shown


def unmeasured_table(rows: pd.DataFrame, found: Mapping[str, Mapping[str, Estimate]]) -> pd.DataFrame:
    """The other rows, each with the reason why it has no measurement; cells are HTML."""
    others = [number for number, row in rows.iterrows() if _largest_effect(row, found) is None]
    shown = _described(rows.loc[others])
    shown["not measured because"] = [_reason(row) for _, row in rows.loc[others].iterrows()]
    return shown


def _described(rows: pd.DataFrame) -> pd.DataFrame:
    names = {"paper": "Paper", "code": "Code", "ours": "Here"}
    texts = [
        "<br>".join(f"<b>{name}:</b> {escape(row[column])}" for column, name in names.items()) for _, row in rows.iterrows()
    ]
    numbers = [f"{number} {kind}" for number, kind in rows["kind"].items()]
    return pd.DataFrame({"difference": texts}, index=pd.Index(numbers, name="number"))


def _largest_effect(row: pd.Series, found: Mapping[str, Mapping[str, Estimate]]) -> float | None:
    effects = [abs(of_data[name].value) for of_data in found.values() for name in ablations(row) if name in of_data]
    return max(effects, default=None)


def _effects(row: pd.Series, found: Mapping[str, Estimate]) -> str:
    names = ablations(row)
    return "<br>".join(f"{name}: {two_lines(found[name].text()) if name in found else NOT_RUN}" for name in names)


def _reason(row: pd.Series) -> str:
    test = f" (test: {row['test'].partition('::')[2].removeprefix('test_').replace('_', ' ')})" if row["test"] else ""
    return NOT_RUN if ablations(row) else escape(f"{row['reason']}{test}")
