"""Differences between the paper and its reference code, and defects of the code: the rows of data/paper_and_code.csv.

Columns: number, kind (P: differs from the paper, B: defect, W: waste, E: environment), paper, code, ours, setting (dotted
name), ablation (names of variants, separated by semicolons), test (file and name), reason (why there is no ablation). An empty
field is an empty string.
"""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from ribstudy.evaluation.statistics import NOT_RUN, Estimate
from ribstudy.report.records import read_record
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


def measured(records: Path, settings_name: str) -> dict[str, Estimate]:
    """The differences in the record of the chapter on ablations, by variant; empty if the chapter was not run."""
    notes = read_record(records / f"{CHAPTER}.{settings_name}.json")
    return {name.removeprefix("difference_"): note for name, note in notes.items() if name.startswith("difference_")}


def table(rows: pd.DataFrame, found: Mapping[str, Estimate]) -> pd.DataFrame:
    """The table of the page: each row with its measured differences and intervals, or the reason why there are none."""
    shown = rows[["kind", "paper", "code", "ours"]].copy()
    shown["measured, or why not"] = [_evidence(row, found) for _, row in rows.iterrows()]
    return shown.rename(columns={"code": "reference code", "ours": "ribstudy"})


def _evidence(row: pd.Series, found: Mapping[str, Estimate]) -> str:
    names = ablations(row)
    if not names:
        test = f" (test: {row['test'].partition('::')[2].removeprefix('test_').replace('_', ' ')})" if row["test"] else ""
        return f"not an ablation: {row['reason']}{test}"
    return "; ".join(f"{name}: {found[name].text() if name in found else NOT_RUN}" for name in names)
