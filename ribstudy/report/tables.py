"""Tables that fit a page: intervals in a second line, no columns without values, and a search field above long tables."""

import re
from html import escape

import pandas as pd
from IPython.display import HTML

from ribstudy.evaluation.statistics import NOT_RUN

NBSP = "\N{NO-BREAK SPACE}"
NOTHING = ("", "–")  # cells without a value, apart from those that say "not run"
INTERVAL = re.compile(r"([+-]?[\d.]+%?) (\([^()]* to [^()]*\))")


def narrow(table: pd.DataFrame) -> HTML:
    """The table with the interval of each number in a second line, so that columns are half as wide.

    Args:
        table: texts such as `Estimate.text` gives, and numbers.
    """
    shown = table.map(lambda cell: two_lines(cell) if isinstance(cell, str) else cell)
    return HTML(to_html(shown))


def as_far_as_run(table: pd.DataFrame) -> HTML:
    """The table, `narrow`, without the columns in which nothing was run, which a line below names; no table if that is all."""
    without = {name: [str(cell) for cell in cells] for name, cells in table.items() if not any(map(_has_value, cells))}
    if len(without) == table.shape[1]:
        return HTML(f"<p>{NOT_RUN.capitalize()}.</p>")
    texts = {name: next((cell for cell in cells if cell.startswith(NOT_RUN)), NOT_RUN) for name, cells in without.items()}
    left_out = "; ".join(f"{escape(str(name))}: {escape(text)}" for name, text in texts.items())
    note = f"<p><small>Left out: {left_out}.</small></p>" if left_out else ""
    return HTML(narrow(table.drop(columns=list(without))).data + note)


def _has_value(cell: object) -> bool:
    return not (isinstance(cell, str) and (cell in NOTHING or cell.startswith(NOT_RUN)))


def to_html(table: pd.DataFrame) -> str:
    """The table, whose cells are HTML, with the name of its rows above them instead of in a header line without other names."""
    if table.index.nlevels == table.columns.nlevels == 1:
        table = table.rename_axis(index=None, columns=table.index.name)
    return table.to_html(escape=False, border=0)


def two_lines(text: str) -> str:
    """HTML of a text, with each interval in a small second line that does not break."""
    return INTERVAL.sub(lambda found: f"{found[1]}<br><small>{found[2].replace(' ', NBSP)}</small>", escape(text))


def searchable(table: pd.DataFrame) -> HTML:
    """The table, whose cells are HTML, below a field that hides the rows without the typed text."""
    find = (
        "const text=this.value.toLowerCase();this.closest('.searchable').querySelectorAll('tbody tr')"
        ".forEach(row=>row.hidden=!row.textContent.toLowerCase().includes(text))"
    )
    field = f'<label class="control">search <input type="search" autocomplete="off" oninput="{find}"></label>'
    return HTML(f'<div class="searchable">{field}{to_html(table)}</div>')
