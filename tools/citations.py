"""Sphinx extension: a citation opens its reference at the bottom of the window, by mouse, touch and keyboard alike.

sphinxcontrib-bibtex writes the reference into a tooltip, which only a mouse opens. A popover needs no script, and a browser
closes it with the key Escape or at a click elsewhere.
"""

from html import escape
from itertools import count

from docutils import nodes
from sphinx.application import Sphinx


def citation(label: str, text: str, address: str, *, identifier: str) -> str:
    """A button with the label of a reference, and the reference that it opens.

    Args:
        text: the whole reference.
        address: of its entry in the list of references.
        identifier: of the opened element; unique on the page.
    """
    return (
        f'<button type="button" class="citation" popovertarget="{identifier}">{escape(label)}</button>'
        f'<span class="cited" id="{identifier}" role="note" popover>{escape(text)} '
        f'<a href="{escape(address)}">List of references</a></span>'
    )


def _open_references(app: Sphinx, doctree: nodes.document, _page: str) -> None:
    if app.builder.format != "html":
        return
    groups = [node for node in doctree.findall(nodes.inline) if "bibtex-citation" in node["classes"]]
    numbers = count()
    for group in groups:
        for place, link in enumerate([link for link in group.findall(nodes.reference) if link.get("reftitle")]):
            address = link.get("refuri") or f"#{link['refid']}"
            html = citation(link.astext(), link["reftitle"], address, identifier=f"citation-{next(numbers)}")
            link.replace_self(nodes.raw("", f"<wbr>{html}" if place else html, format="html"))


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("doctree-resolved", _open_references)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
