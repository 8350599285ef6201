"""A small book of two presets: a chapter with two pages, and a front page that shows the numbers of both."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import yaml
from bs4 import BeautifulSoup

from tools import check_links, print_book, second_pages

ROOT = Path(__file__).resolve().parents[2]
TINY = (ROOT / "tests" / "smallest.yml").read_text()
# The page on costs needs no jobs, so it stands for a chapter.
PARAMETERS = '# Parameters\npreset = "study"  # preset\ndata_root = None  # folder'
CODE = """from ribstudy.report.chapter import start
chapter = start("costs", settings={"data_root": "data.root"})
chapter.note("images", chapter.settings.data.minivoc.num_train)
chapter.note("gain", chapter.settings.data.minivoc.seed / 10, 0.1, 0.2, n=4)
chapter.finish();"""
TEXT = """# What it costs

There are {glue:text}`images` images. See [below](a-place) and [this page](costs.ipynb).

(a-place)=
## A place

$$
a = b
$$ (an-equation)

Equation {eq}`an-equation`. The same number: {glue:text}`costs.ipynb::images:d`."""
FRONT = """# Index

{glue:text}`costs.ipynb::images:d` and {glue:text}`costs_minivoc.ipynb::images:d`; [drawn](costs_minivoc.ipynb)

```{headline-table}
images | costs::images:d
gain, with an interval | costs::gain:+.2f
```

```{bibliography}
```
"""


class Project:
    """A project with the study's Snakefile and two presets, whose data sets have 4 and 5 images."""

    def __init__(self, folder: Path):
        self.folder = folder
        (folder / "book" / "api").mkdir(parents=True)
        shutil.copytree(ROOT / "book" / "_static", folder / "book" / "_static")
        for name in ("Snakefile", "_config.yml"):
            shutil.copy(ROOT / name, folder)
        shutil.copytree(ROOT / "tools", folder / "tools", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(ROOT / "profiles" / "default", folder / "profiles" / "default")
        for seed, name in ((1, "photos"), (2, "drawn")):
            text = TINY.replace("num_train: 4", f"num_train: {3 + seed}").replace("seed: 0}", f"seed: {seed}}}")
            (folder / f"{name}.yml").write_text(text)
        self.write("batches/book.yml", about="a test", preset=str(folder / "drawn.yml"), first=self.first, notebooks="all")
        self.write("book/_toc.yml", format="jb-book", root="index", parts=[{"caption": "A", "chapters": [{"file": "costs"}]}])
        (folder / "book" / "references.bib").write_text("")
        (folder / "book" / "index.md").write_text(FRONT)
        cells = [
            nbformat.v4.new_markdown_cell(TEXT),
            nbformat.v4.new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]}),
            nbformat.v4.new_code_cell(CODE),
        ]
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), folder / "book" / "costs.ipynb")

    @property
    def first(self) -> dict:
        return {"preset": str(self.folder / "photos.yml"), "notebooks": ["costs"]}

    @property
    def html(self) -> Path:
        return self.folder / "_build" / "html"

    def write(self, path: str, **values) -> None:
        (self.folder / path).parent.mkdir(exist_ok=True)
        (self.folder / path).write_text(yaml.safe_dump(values, sort_keys=False))

    def run(self, *arguments: str) -> str:
        """The messages of Snakemake."""
        repository = {"RIBSTUDY_REPOSITORY": "https://github.com/owner/name"}
        places = {f"RIBSTUDY_{name.upper()}": str(self.folder / name) for name in ("results", "data", "published")}
        command = [Path(sys.executable).with_name("snakemake"), "--cores", "2", *arguments]
        run = subprocess.run(
            command, cwd=self.folder, env={**os.environ, **places, **repository}, capture_output=True, text=True
        )
        assert run.returncode == 0, (run.stdout + run.stderr)[-5000:]
        return run.stdout + run.stderr

    def build(self, *config: str) -> dict[str, BeautifulSoup]:
        """The pages of the book by name."""
        self.run("book", *(["--config", *config] if config else []))
        return {path.stem: BeautifulSoup(path.read_text(), "html.parser") for path in self.html.glob("*.html")}


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Project:
    return Project(tmp_path_factory.mktemp("it's a book"))


@pytest.fixture(scope="module")
def pages(project) -> dict[str, BeautifulSoup]:
    return project.build()


def test_a_saved_notebook_runs_again_only_if_its_cells_have_changed(project):
    path = project.folder / "book" / "costs.ipynb"
    before, notebook = path.read_text(), nbformat.read(path, as_version=4)
    project.run("batch")
    notebook.cells[-1].outputs = [nbformat.v4.new_output("stream", text="done\n")]
    nbformat.write(notebook, path)
    assert "Nothing to be done" in project.run("batch", "--dry-run")
    notebook.cells[0].source += " A word more."
    nbformat.write(notebook, path)
    assert "notebook costs" in project.run("batch", "--dry-run")
    path.write_text(before)


def text_of(page: BeautifulSoup) -> str:
    return " ".join(page.select_one("article.bd-article").get_text().split())


def test_each_page_shows_its_own_numbers(pages):
    assert "There are 4 images" in text_of(pages["costs"])
    assert "There are 5 images" in text_of(pages["costs_minivoc"])
    assert "The same number: 5" in text_of(pages["costs_minivoc"])
    assert "4 and 5; drawn" in text_of(pages["index"])


def test_numbers_of_both_presets_are_next_to_each_other(pages):
    rows = [[cell.get_text() for cell in row.find_all(["th", "td"])] for row in pages["index"].select("article table tr")]
    assert rows == [
        ["", "MiniVOC", "MiniVOC"],
        ["images", "4", "5"],
        ["gain, with an interval", "+0.10 (+0.10 to +0.20), n = 4", "+0.20 (+0.10 to +0.20), n = 4"],
    ]


def test_a_second_page_has_a_title_labels_and_a_place_of_its_own(pages, project):
    assert pages["costs_minivoc"].h1.get_text() == "What it costs, on MiniVOC"
    assert pages["costs"].h1.get_text() == "What it costs"
    assert pages["costs_minivoc"].find(id="costs-minivoc-a-place") is not None
    assert pages["costs"].find(id="a-place") is not None
    links = {link.get_text(): link["href"] for link in pages["costs_minivoc"].select("article p a")}
    assert links["below"] == "#costs-minivoc-a-place"
    assert links["this page"] == "#"
    sidebar = [link.get_text().strip() for link in pages["index"].select("nav.bd-links a.reference")]
    assert sidebar[-2:] == ["What it costs", "On MiniVOC"]
    assert check_links.broken_within(project.html) == []
    addresses = [link.get("href", "") for link in pages["costs_minivoc"].select("header a, .article-header-buttons a")]
    assert any(address.endswith("/edit/main/book/costs.ipynb") for address in addresses)
    assert not any("costs_minivoc.ipynb" in address for address in addresses if address.startswith("https:"))
    assert print_book.page_names(project.html) == ["index", "costs", "costs_minivoc"]


def test_a_book_of_one_preset_has_no_second_pages(pages, project):
    pages = project.build("preset=drawn.yml")
    assert "costs_minivoc" not in pages
    assert "There are 5 images" in text_of(pages["costs"])
    assert "5 and 5; drawn" in text_of(pages["index"])
    assert [link["href"] for link in pages["index"].select("article p a")] == ["costs.html"]
    assert pages["costs"].h1.get_text() == "What it costs"
    executed = project.folder / "results" / "notebooks"
    assert {path.name for path in executed.iterdir()} == {"book", "book-drawn"}


def test_words_that_only_contain_a_label_stay(tmp_path):
    cell = nbformat.v4.new_markdown_cell(
        "# T\n\n(steps)=\n## S\n\nsteps (steps) {ref}`x <steps>` {numref}`steps`\n\n:name: steps"
    )
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), tmp_path / "a_b.ipynb")
    (tmp_path / "_toc.yml").write_text("root: index\nchapters: [{file: a}]\n")
    second_pages.prepare(tmp_path, {"a_b": "a"}, "on B")
    text = nbformat.read(tmp_path / "a_b.ipynb", as_version=4).cells[0].source
    assert text.startswith("# T, on B\n\n(a_b-steps)=\n")
    assert "\nsteps (a_b-steps) {ref}`x <a_b-steps>` {numref}`a_b-steps`\n\n:name: a_b-steps" in text


@pytest.mark.parametrize(("given", "shown"), [('preset = "study"', False), ('preset = "mini"', True), ("images = [1]", True)])
def test_a_cell_that_repeats_the_defaults_is_not_shown(tmp_path, given, shown):
    defaults = nbformat.v4.new_code_cell('# Parameters\npreset = "study"  # name\nimages = []  # names')
    injected = nbformat.v4.new_code_cell(f"# Parameters\n{given}\n")
    defaults.metadata["tags"], injected.metadata["tags"] = ["parameters"], ["injected-parameters"]
    nbformat.write(nbformat.v4.new_notebook(cells=[defaults, injected]), tmp_path / "a.ipynb")
    (tmp_path / "_toc.yml").write_text("root: a\n")
    second_pages.prepare(tmp_path, {}, "on B")
    first, second = nbformat.read(tmp_path / "a.ipynb", as_version=4).cells
    assert first.metadata["tags"] == ["parameters"]
    assert second.metadata["tags"] == ["injected-parameters"] + ([] if shown else ["remove-cell"])
