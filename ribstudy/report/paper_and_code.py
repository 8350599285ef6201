"""Where the paper and its reference code differ, or the code has a defect: rows of data/paper_and_code.csv.

Columns: number, kind (P: differs from the paper, B: defect, W: waste, E: environment), paper, code, ours, setting (dotted
name), ablation (names of variants, by semicolons), test (file and name), reason (why it is no ablation). An empty field is an
empty text.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from ribstudy.evaluation.metrics import Estimate
from ribstudy.runtime.paths import PROJECT

PAPER_AND_CODE = PROJECT / "data" / "paper_and_code.csv"
CHAPTER = "07_ablations"  # whose record has the measured differences
KINDS = {"P": "differs from the paper", "B": "defect", "W": "waste", "E": "environment"}


def read(path: Path = PAPER_AND_CODE) -> pd.DataFrame:
    """The rows, in the order of their numbers, which are the index."""
    return pd.read_csv(path, keep_default_na=False).set_index("number")


def ablations(row: pd.Series) -> list[str]:
    """The names of the variants that measure a row."""
    return [name for name in row["ablation"].split("; ") if name]


def measured(records: Path, settings_name: str) -> dict[str, Estimate]:
    """The differences in the record of the chapter on ablations, by variant; empty where it was not run."""
    path = records / f"{CHAPTER}.{settings_name}.json"
    if not path.is_file():
        return {}
    notes = {name: Estimate(**values) for name, values in json.loads(path.read_text()).items()}
    return {name.removeprefix("difference_"): note for name, note in notes.items() if name.startswith("difference_")}


def table(rows: pd.DataFrame, found: Mapping[str, Estimate]) -> pd.DataFrame:
    """What the page shows: for each row what measures it, with its difference and interval, or why nothing does."""
    shown = rows[["kind", "paper", "code", "ours"]].copy()
    shown["measured, or why not"] = [_evidence(row, found) for _, row in rows.iterrows()]
    return shown.rename(columns={"code": "reference code", "ours": "ribstudy"})


def _evidence(row: pd.Series, found: Mapping[str, Estimate]) -> str:
    names = ablations(row)
    if not names:
        test = f" (test: {row['test'].partition('::')[2].removeprefix('test_').replace('_', ' ')})" if row["test"] else ""
        return f"not an ablation: {row['reason']}{test}"
    return "; ".join(f"{name}: {found[name].in_words() if name in found else 'not run'}" for name in names)
