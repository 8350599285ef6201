"""Values of the paper and of other sources: the rows of data/paper_values.csv.

Columns: table, row, column, value, error (of a value that was read off a figure), by (who produced it), status (confirmed: a
public source prints the value; measured: we measured it), source, note. Values that no public source prints are left out.
"""

import pandas as pd

from ribstudy.runtime.paths import PROJECT

PAPER_VALUES = PROJECT / "data" / "paper_values.csv"

Place = tuple[str, str]  # row, column of a table of published values


def values(table: str) -> pd.DataFrame:
    """The rows of one table, in the order of the file; an empty field is nan, an empty note an empty string.

    Raises ValueError for an unknown table, with the names of the known ones.
    """
    rows = pd.read_csv(PAPER_VALUES, dtype={"note": str})
    known = list(dict.fromkeys(rows["table"]))
    if table not in known:
        raise ValueError(f"table {table!r} is not in {PAPER_VALUES.name}; known: {', '.join(known)}")
    return rows[rows["table"] == table].fillna({"note": ""}).drop(columns="table").reset_index(drop=True)
