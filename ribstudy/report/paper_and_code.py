"""Differences between the paper and its reference code, and defects of the code: the rows of data/paper_and_code.csv.

Columns: number, kind (P: differs from the paper, B: defect, W: waste, E: environment), paper, code, ours, setting (dotted
name), ablation (names of variants, separated by semicolons), test (file and name), reason (why there is no ablation). An empty
field is an empty string.
"""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from ribstudy.evaluation.statistics import NOT_RUN, Estimate
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


def table(rows: pd.DataFrame, found: Mapping[str, Mapping[str, Estimate]]) -> pd.DataFrame:
    """The table of the page: each row with its measured differences and intervals, or the reason why there are none.

    Args:
        found: `measured` of each data set, by its title.
    """
    shown = rows[["kind", "paper", "code", "ours"]].rename(columns={"code": "reference code", "ours": "ribstudy"})
    for title, of_data in found.items():
        shown[f"measured: {title}"] = [_differences(row, of_data) for _, row in rows.iterrows()]
    shown["not measured because"] = [_reason(row) for _, row in rows.iterrows()]
    return shown


def _differences(row: pd.Series, found: Mapping[str, Estimate]) -> str:
    return "; ".join(f"{name}: {found[name].text() if name in found else NOT_RUN}" for name in ablations(row))


def _reason(row: pd.Series) -> str:
    test = f" (test: {row['test'].partition('::')[2].removeprefix('test_').replace('_', ' ')})" if row["test"] else ""
    return "" if ablations(row) else f"{row['reason']}{test}"
