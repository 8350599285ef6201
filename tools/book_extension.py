"""Sphinx extension of the book: buttons for the repository, tables of settings and of headline numbers, labels of references.

The environment variable RIBSTUDY_REPOSITORY (https://HOST/OWNER/NAME) names the repository; the publishing workflow sets it.
Without the variable the book has no buttons, because they would lead nowhere. The extension also removes Thebe.
"""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import yaml
from docutils import nodes
from docutils.statemachine import StringList
from pybtex.database import Entry
from pybtex.plugin import register_plugin
from pybtex.style.formatting.plain import Style as PlainStyle
from pybtex.style.labels import BaseLabelStyle
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.util.docutils import SphinxDirective, SphinxRole

from ribstudy.runtime import environment
from ribstudy.settings import setting_rows

MARKUP = re.compile(r"([\\*`|_<>\[\]{}^])")  # characters with a meaning in Markdown
BACKSLASHED = r"\\\1"
REPOSITORY = re.compile(r"https?://(?P<host>[\w.-]+(:[0-9]+)?)(/[\w.~-]+){2,}")
SSH = re.compile(r"^(?:ssh://)?git@([\w.-]+)[:/]")
ON_COLAB = ("your_photograph",)  # notebooks that install the package themselves
MOVED = {"10_voc12": "10_full_runs", "11_coco14": "10_full_runs"}
HOSTS = ("github", "gitlab", "bitbucket")  # for which the theme knows the addresses


def repository_options(url: str | None, branch: str | None) -> dict[str, Any]:
    """The theme's options for buttons that lead to a repository; an empty dictionary without a URL.

    GitHub, GitLab and Bitbucket, also on a server of their own with such a name, get buttons to the repository and to edit a
    page. For any other host there is a link to the repository, because addresses within it are not known. Notebooks start on
    Binder, which builds the environment of binder/, and those of `ON_COLAB` on Colab, which reads from github.com only.

    Args:
        url: as a browser shows it, or as git clones it.
        branch: None: main.

    Raises:
        ValueError: the URL does not name a repository.
    """
    if not url:
        return {}
    address = SSH.sub(r"https://\1/", url).removesuffix("/").removesuffix(".git")
    found = REPOSITORY.fullmatch(address)
    if not found:
        raise ValueError(f"RIBSTUDY_REPOSITORY = {url!r} is not of the form https://HOST/OWNER/NAME")
    host = next((known for known in HOSTS if known in found["host"].lower()), None)
    if host is None:
        return {"icon_links": [{"name": "Repository", "url": address, "icon": "fas fa-code-branch"}]}
    return {
        "repository_url": address,
        "repository_provider": host,
        "repository_branch": branch or "main",
        "path_to_docs": "book",
        "use_repository_button": True,
        "use_edit_page_button": True,
        "use_issues_button": host != "bitbucket",  # the theme does not know Bitbucket's address for new issues
        "launch_buttons": _launchers(found["host"], host),
    }


def _launchers(address: str, host: str) -> dict[str, str]:
    if host == "bitbucket":  # neither service reads from it
        return {}
    colab = {"colab_url": "https://colab.research.google.com"} if address == "github.com" else {}
    return {"notebook_interface": "jupyterlab", "binderhub_url": "https://mybinder.org", **colab}


def _add_buttons(_app: Sphinx, config: Config) -> None:
    found = repository_options(environment.text("RIBSTUDY_REPOSITORY"), environment.text("RIBSTUDY_BRANCH"))
    config.html_theme_options = {**config.html_theme_options, **found}


def _without_colab(_app: Sphinx, page: str, _template: str, context: dict[str, Any], _tree: nodes.document) -> None:
    """Removes Colab's button from the pages of notebooks that do not install the package."""
    if page not in ON_COLAB:
        context["header_buttons"] = without_button("Colab", context.get("header_buttons", []))


def without_button(text: str, buttons: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Buttons, also in groups, without those that have this text, and without groups that are then empty."""
    kept = [
        {**button, "buttons": without_button(text, button["buttons"])} if "buttons" in button else button
        for button in buttons
        if button.get("text") != text
    ]
    return [button for button in kept if button.get("buttons") != []]


def _buttons_of_second_page(app: Sphinx, page: str, _template: str, context: dict[str, Any], _tree: nodes.document) -> None:
    """Lets the buttons of a second page lead to the notebook of its chapter, which alone is in the repository."""
    toc = yaml.safe_load((Path(app.srcdir) / "_toc.yml").read_text())
    chapters = [chapter for part in toc.get("parts", [toc]) for chapter in part.get("chapters", [])]
    of = {section["file"]: chapter["file"] for chapter in chapters for section in chapter.get("sections", [])}
    if page in of:
        context["header_buttons"] = with_notebook(context.get("header_buttons", []), page, of[page])


def with_notebook(buttons: Any, page: str, chapter: str) -> Any:
    """Buttons, in lists and dictionaries, in which addresses of other sites name the notebook of `chapter`, not of `page`."""
    if isinstance(buttons, dict):
        return {name: with_notebook(value, page, chapter) for name, value in buttons.items()}
    if isinstance(buttons, list):
        return [with_notebook(value, page, chapter) for value in buttons]
    is_address = isinstance(buttons, str) and buttons.startswith("https://")
    return buttons.replace(f"{page}.ipynb", f"{chapter}.ipynb") if is_address else buttons


def _redirect(app: Sphinx, error: Exception | None) -> None:
    """Leads from pages of earlier books to the pages that replace them, so that links to them still work."""
    if error is None and app.builder.format == "html":
        for old, new in MOVED.items():
            if new in app.env.found_docs:
                page = f'<!DOCTYPE html><title>Moved</title><meta http-equiv="refresh" content="0; url={new}.html">'
                Path(app.outdir, f"{old}.html").write_text(f'{page}<a href="{new}.html">This page has moved.</a>\n')


def _leave_thebe_out(app: Sphinx) -> None:
    """Jupyter Book always loads sphinx-thebe, which adds its script to each page twice: an error in the console."""
    for listeners in app.events.listeners.values():
        for listener in [found for found in listeners if found.handler.__module__ == "sphinx_thebe"]:
            listeners.remove(listener)


class RepositoryLink(SphinxRole):
    """Words that lead to the repository: `{repository}`this repository``. Without `RIBSTUDY_REPOSITORY` there is no link."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        found = repository_options(environment.text("RIBSTUDY_REPOSITORY"), environment.text("RIBSTUDY_BRANCH"))
        address = found.get("repository_url") or (found["icon_links"][0]["url"] if found else None)
        words = nodes.Text(self.text)
        return [nodes.reference("", "", words, refuri=address) if address else words], []


class SettingsTable(SphinxDirective):
    """All settings of the study as one table: `{settings-table}`."""

    def run(self) -> list[nodes.Node]:
        from ribstudy.config import Settings

        lines = ["| setting | values | meaning |", "|---|---|---|"]
        for name, values, about in setting_rows(Settings):
            cells = [f"`{name}`", *(MARKUP.sub(BACKSLASHED, cell) for cell in (values, about))]
            lines.append(f"| {' | '.join(cells)} |")
        holder = nodes.container()
        self.state.nested_parse(StringList(lines, source="settings"), 0, holder)
        return holder.children


class HeadlineTable(SphinxDirective):
    """Headline numbers of all presets of the book next to each other, from the records of the executed chapters: ::

        ```{headline-table}
        what RIB adds | 04_rib::gain_rib:+.3f
        ```

    Each line is a row: its label, the chapter, the name of its number, and the number's format.
    """

    has_content = True

    def run(self) -> list[nodes.Node]:
        from ribstudy.report.records import Headline, headline_table
        from ribstudy.workflow.book import batch_of_book

        given = environment.text("RIBSTUDY_PRESETS")  # a list in JSON
        presets = json.loads(given) if given else batch_of_book().presets
        try:
            table = headline_table([Headline.parse(line) for line in self.content if line.strip()], presets)
        except ValueError as error:
            raise self.error(str(error)) from None
        lines = [" | ".join(("", "", *table.columns, "")).strip(), "|---" * (len(table.columns) + 1) + "|"]
        lines += [" | ".join(("", label, *row, "")).strip() for label, row in zip(table.index, table.to_numpy(), strict=True)]
        holder = nodes.container()
        self.state.nested_parse(StringList(lines, source="records"), 0, holder)
        return holder.children


class BenchTable(SphinxDirective):
    """A table of measurements by the name of its function in `ribstudy.bench.tables`: `{bench-table} loading_table`."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        from ribstudy.bench import tables
        from ribstudy.bench.records import read_records
        from ribstudy.runtime import paths

        table = getattr(tables, self.arguments[0])(read_records(paths.RESULTS / "bench")).reset_index()
        rows = [table.columns, *table.to_numpy()]
        lines = [f"| {' | '.join(MARKUP.sub(BACKSLASHED, str(cell)) for cell in row)} |" for row in rows]
        holder = nodes.container()
        self.state.nested_parse(
            StringList([lines[0], "|---" * len(table.columns) + "|", *lines[1:]], source="bench"), 0, holder
        )
        return holder.children


class AuthorYearLabels(BaseLabelStyle):
    """Labels such as "Tan and Le, 2019", used in the text and in the list; references with the same label get a letter."""

    def format_labels(self, entries: Sequence[Entry]) -> Iterator[str]:
        labels = [self._label(entry) for entry in entries]
        for place, label in enumerate(labels):
            yield label + (ascii_lowercase[labels[:place].count(label)] if labels.count(label) > 1 else "")

    def _label(self, entry: Entry) -> str:
        names = [" ".join(map(str, person.rich_last_names)) for person in entry.persons["author"]]
        called = f"{names[0]} et al." if len(names) > 2 else " and ".join(names)
        return f"{called}, {entry.fields['year']}"


class AuthorYearStyle(PlainStyle):
    default_label_style = "author_year"


register_plugin("pybtex.style.labels", "author_year", AuthorYearLabels)
register_plugin("pybtex.style.formatting", "author_year", AuthorYearStyle)


def short_signature(signature: str) -> str:
    """A signature in which "..." replaces default functions, whose text would be <function Stage.<lambda>>."""
    return re.sub(r"=<function [^,()]*>(?=[,)])", "=...", signature)


def _shorten_signature(_app: Sphinx, *documented: Any) -> tuple[str | None, str | None]:
    """A handler of autodoc's event: the last two of its values are the signature and the return annotation."""
    signature, result = documented[-2:]
    return (short_signature(signature) if signature else signature), result


def _unwrap_boxes(_app: Sphinx, tree: nodes.document) -> None:
    """Replaces a paragraph that consists of one pasted piece of HTML, such as the box with a chapter's answer, by this piece.

    The pages paste it by a role, which JupyterLab shows as plain text. It shows a directive that it does not know as an error.
    """
    for paragraph in list(tree.findall(nodes.paragraph)):
        if len(paragraph) == 1 and isinstance(paragraph[0], nodes.raw):
            paragraph.replace_self(paragraph[0])


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("config-inited", _add_buttons)
    app.connect("builder-inited", _leave_thebe_out)
    app.connect("html-page-context", _buttons_of_second_page, priority=900)  # after the theme has added its buttons
    app.connect("html-page-context", _without_colab, priority=900)
    app.connect("autodoc-process-signature", _shorten_signature)
    app.connect("doctree-read", _unwrap_boxes)
    app.connect("build-finished", _redirect)
    app.add_role("repository", RepositoryLink())
    app.add_directive("settings-table", SettingsTable)
    app.add_directive("headline-table", HeadlineTable)
    app.add_directive("bench-table", BenchTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
