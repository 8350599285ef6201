"""Makes a folder of executed notebooks ready for rendering: `python tools/second_pages.py FOLDER PAGES WORDS`.

Some chapters are executed twice, with the two presets of batches/book.yml. PAGES (JSON) gives the notebook of each second page
by the name of the page. A second page gets WORDS (such as "on MiniVOC") in its title, labels of its own, and a place below its
chapter in the table of contents. Its links lead to other second pages where there are some. In a book of one preset there are
no second pages, and links to them lead to the chapters. A cell of papermill that repeats the defaults of its notebook is not
shown.
"""

import argparse
import json
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import yaml

from ribstudy.report.parameters import Cell

LABEL = re.compile(r"^\(([\w-]+)\)=$|^:(?:name|label): *([\w-]+)$|^\$\$ *\(([\w-]+)\)$", re.MULTILINE)


def prepare(folder: Path, pages: Mapping[str, str], words: str) -> None:
    """Changes the notebooks, the texts and the table of contents in `folder`.

    Args:
        folder: the copies of the book's files.
        pages: the notebook of each second page, by the name of the page.
        words: added to the titles of second pages.
    """
    here = {page: chapter for page, chapter in pages.items() if (folder / f"{page}.ipynb").exists()}
    missing = {page: chapter for page, chapter in pages.items() if page not in here}
    for path in [*folder.rglob("*.md"), *folder.glob("*.ipynb")]:
        _rewrite(path, lambda text: _with_links(text, missing))
    for page in here:
        path = folder / f"{page}.ipynb"
        _rewrite(path, lambda text: _with_links(text, {chapter: second for second, chapter in here.items()}))
        _rewrite(path, lambda text: re.sub(r"\A# (.*)", rf"# \1, {words}", text))
        for label in _labels(path):
            _rewrite(path, lambda text, label=label, page=page: _with_label(text, label, f"{page}-{label}"))
    for path in folder.glob("*.ipynb"):
        _hide_repeated_defaults(path)
    toc = folder / "_toc.yml"
    toc.write_text(yaml.safe_dump(_with_sections(yaml.safe_load(toc.read_text()), here, words), sort_keys=False))


def _rewrite(path: Path, change: Callable[[str], str]) -> None:
    """Changes a Markdown file, or each Markdown cell of a notebook."""
    if path.suffix == ".md":
        path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")
        return
    notebook = json.loads(path.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            cell["source"] = change("".join(cell["source"])).splitlines(keepends=True)
    path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _hide_repeated_defaults(path: Path) -> None:
    """Lets the page leave out the cell that papermill inserted, if it repeats values of the cell with the defaults."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    tagged = {tag: cell for cell in notebook["cells"] for tag in cell["metadata"].get("tags", ())}
    if "parameters" not in tagged or "injected-parameters" not in tagged:
        return
    defaults, given = (Cell.of("".join(tagged[tag]["source"])).values for tag in ("parameters", "injected-parameters"))
    if given.items() <= defaults.items():
        tagged["injected-parameters"]["metadata"]["tags"].append("remove-cell")
        path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _with_links(text: str, targets: Mapping[str, str]) -> str:
    """A text whose links and glued numbers lead to other notebooks: `targets`, by the name of the notebook that they named."""
    for name, target in targets.items():
        text = re.sub(rf"(?<![\w/-]){re.escape(name)}\.ipynb", f"{target}.ipynb", text)
    return text


def _labels(path: Path) -> list[str]:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    texts = ("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    return ["".join(found) for text in texts for found in LABEL.findall(text)]


def _with_label(text: str, label: str, new: str) -> str:
    """A text in which a label, and links to it, have another name."""
    inside = rf"(?<=[(<`#]){re.escape(label)}(?=[)>`])"
    return re.sub(rf"{inside}|(?<=:name: ){re.escape(label)}$|(?<=:label: ){re.escape(label)}$", new, text, flags=re.MULTILINE)


def _with_sections(toc: dict, pages: Mapping[str, str], words: str) -> dict:
    """The table of contents with each second page below its chapter."""
    for part in toc.get("parts", [toc]):
        for entry in part.get("chapters", []):
            sections = [
                {"file": page, "title": words[0].upper() + words[1:]} for page, of in pages.items() if of == entry["file"]
            ]
            if sections:
                entry["sections"] = sections
    return toc


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Makes executed notebooks ready for rendering.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("pages", type=json.loads)
    parser.add_argument("words")
    options = parser.parse_args(arguments)
    prepare(options.folder, options.pages, options.words)
    return 0


if __name__ == "__main__":
    sys.exit(main())
