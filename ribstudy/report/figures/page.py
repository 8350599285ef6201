"""A figure as a page shows it: its picture, a caption with a number, and links to its numbers and to the code that draws it.

Charts are SVG, with letters about as large as the text. The style sheet of the book counts the figures of a page, and inverts
the charts on a dark page.
"""

from collections.abc import Callable
from html import escape

import matplotlib.pyplot as plt
from IPython.display import HTML
from matplotlib.figure import Figure

from ribstudy.report.figures.drawn import drawn_numbers
from ribstudy.report.figures.inline import address, chart_address


def figure(draw: Callable[..., Figure | HTML | None], *values, alt: str, caption: str, **options) -> HTML | None:
    """The figure `draw(*values, **options)` with its caption and links; None if it draws none.

    Args:
        draw: a function of `report.figures` with a page in the API, to which the caption links.
        alt: describes the figure for readers who do not see it.
        caption: plain text.
    """
    drawn = draw(*values, **options)
    if drawn is None:
        return None
    name = draw.__name__.replace("_", "-")
    code = f'<a href="api/report.html#{draw.__module__}.{draw.__name__}">code</a>'
    if isinstance(drawn, HTML):
        shown, links = f'<div role="group" aria-label="{escape(alt)}">{drawn.data}</div>', code
    else:
        shown, links = _chart(drawn, alt), f"{_download(drawn, name)}, {code}"
        plt.close(drawn)
    return HTML(
        f'<figure class="exhibit" style="margin:1em 0">{shown}'
        f"<figcaption>{escape(caption)} <small>({links})</small></figcaption></figure>"
    )


def _chart(chart: Figure, alt: str) -> str:
    source = chart_address(chart, "svg", transparent=True, metadata={"Date": None, "Creator": None})
    style = "display:block;margin:0 auto;width:min(100%,36rem);height:auto"
    return f'<img class="chart dark-light" src="{source}" alt="{escape(alt)}" style="{style}">'


def _download(chart: Figure, name: str) -> str:
    table = drawn_numbers(chart).to_csv(index=False, float_format="%.5g")
    return f'<a download="{name}.csv" href="{address("csv", table.encode())}">data (csv)</a>'
