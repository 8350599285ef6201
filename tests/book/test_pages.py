"""Every page of the book in a browser, the buttons of a published book, and the printed book."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from bs4 import BeautifulSoup
from helpers.browsers import needs_browser
from PIL import Image
from pybtex.database import parse_string

from ribstudy.config import Settings
from ribstudy.report import look_report
from ribstudy.report.figures import panels
from ribstudy.report.look import Explanation
from ribstudy.settings import setting_rows
from tools import check_links, print_book
from tools.book_extension import (
    ON_COLAB,
    AuthorYearLabels,
    repository_options,
    short_signature,
    with_notebook,
    without_button,
)
from tools.browser import open_browser
from tools.citations import citation

ROOT = Path(__file__).resolve().parents[2]
WIDTHS = (1280, 390)  # pixels of a laptop's window and of a telephone
REPOSITORY = "https://github.com/owner/name"
# Finds elements that are wider than the window and are not inside a box that scrolls.
TOO_WIDE = """() => [...document.querySelectorAll('main *')].filter(element => {
  if (element.getBoundingClientRect().right <= innerWidth + 1) return false;
  for (let box = element; box; box = box.parentElement)
    if (['auto', 'scroll', 'hidden', 'clip'].includes(getComputedStyle(box).overflowX)) return false;
  return true;
}).slice(0, 3).map(element => element.outerHTML.slice(0, 120))"""
BROKEN = "() => [...document.images].filter(i => i.complete && !i.naturalWidth).map(i => i.src.slice(0, 200))"


def problems_of(browser, address: str, width: int) -> list[str]:
    """The problems of a page in a window of `width` pixels: errors, failed requests, broken images, sideways scrolling."""
    problems = []
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.on("console", lambda message: problems.append(f"console: {message.text}") if message.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(f"error: {error}"))
    page.on("requestfailed", lambda request: problems.append(f"failed: {request.url}"))
    page.on(
        "response", lambda response: problems.append(f"{response.status}: {response.url}") if response.status >= 400 else None
    )
    page.goto(address, wait_until="load")
    page.evaluate("() => document.fonts.ready.then(() => true)")
    problems += [f"broken image: {source}" for source in page.evaluate(BROKEN)]
    shown, whole = page.evaluate("() => [document.documentElement.clientWidth, document.documentElement.scrollWidth]")
    if whole > shown:
        problems.append(f"scrolls sideways: {whole} of {shown} pixels: {page.evaluate(TOO_WIDE)}")
    page.close()
    return problems


@needs_browser
def test_every_page_is_sound_in_a_browser(tiny_book):
    paths = sorted(check_links.read_pages(tiny_book.html))
    assert len(paths) > 15
    with open_browser() as browser:
        found = {
            f"{path.name} at {width}": problems
            for path in paths
            for width in WIDTHS
            if (problems := problems_of(browser, path.as_uri(), width))
        }
    assert found == {}


@needs_browser
@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("<script>missing()</script>", "missing is not defined"),
        ("<script>console.error('told')</script>", "told"),
        ("<img src='gone.png'>", "broken image"),
        ("<link rel=stylesheet href=gone.css>", "failed: .*gone.css"),
        ("<main><div style='width:2000px'>x</div></main>", "scrolls sideways: 20"),
    ],
)
def test_each_problem_of_a_page_is_found(body, message, tmp_path):
    page = tmp_path / "page.html"
    page.write_text(f"<!doctype html><body>{body}</body>")
    with open_browser() as browser:
        assert re.search(message, "\n".join(problems_of(browser, page.as_uri(), 390)))


@needs_browser
def test_the_book_is_printed_and_linked(tiny_book, tmp_path):
    html = tmp_path / "html"
    html.symlink_to(tiny_book.html)  # the pages are read from the book; files are written to the copy
    joined = BeautifulSoup(print_book.joined(html), "html.parser")
    assert [section["id"] for section in joined.select("section.printed-page")] == print_book.page_names(html)
    anchors = {tag["id"] for tag in joined.find_all(id=True)}
    links = [tag["href"] for tag in joined.find_all("a", href=True)]
    assert [link for link in links if link.startswith("#") and link[1:] not in anchors] == []
    assert [
        src for tag in joined.find_all("img") if not (src := tag["src"]).startswith("data:") and not (html / src).exists()
    ] == []


@needs_browser
def test_a_small_book_becomes_a_pdf(tmp_path):
    contents = {"root": "index", "parts": [{"chapters": [{"file": "api/method"}, {"file": "part/a"}]}]}
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "_toc.yml").write_text(yaml.safe_dump(contents))
    html = tmp_path / "html"
    article = '<!doctype html><html><head><title></title></head><body><article class="bd-article">{}</article></body></html>'
    (html / "part").mkdir(parents=True)
    cited = citation("Tan", "Tan: A.", "part/a.html#b", identifier="citation-0")
    others = '<a href="data.csv">numbers</a> <a href="api/method.html">method</a> <a href="https://example.org">far</a>'
    styled = '<style>#T_a { color: red }</style><table id="T_a"></table>'
    (html / "index.html").write_text(
        article.format(f'<div id="print-version"></div>{cited}<img loading="lazy" src="a.webp">{others}{styled}')
    )
    Image.new("RGB", (2, 2)).save(html / "a.webp")
    (html / "part" / "a.html").write_text(article.format('<h1 id="b">B<a>#</a></h1><a href="../index.html">home</a>'))
    joined = print_book.joined(html)
    assert styled in joined  # a style sheet names the ids of its table
    assert '<a href="#part/a--b">Tan</a><img src="data:image/jpeg;base64,' in joined
    assert 'href="#index"' in joined
    assert '<div id="index--print-version"><ul><li><a href="#part/a">B</a></li></ul></div>' in joined
    assert 'numbers method <a href="https://example.org">far</a>' in joined
    for _ in range(2):
        pdf = print_book.print_book(html)
        assert pdf.read_bytes().startswith(b"%PDF-")
        assert (html / "index.html").read_text().count('href="ribstudy.pdf"') == 1
    assert not (html / "_printed.html").exists()
    with pytest.raises(ValueError, match="make book first"):
        print_book.print_book(tmp_path / "none")


@needs_browser
def test_paper_shows_what_needs_a_click_on_a_screen():
    black = np.zeros((4, 4, 3), np.uint8)
    panels_of = {name: panels.Panel(name, black) for name in ("CAM", "two", "RIB")}
    growing = panels.slider([[panel] for panel in panels_of.values()], labels=list(panels_of)).data
    divided = panels.before_after([(panels_of["CAM"], panels_of["RIB"])], labels=("CAM", "RIB")).data
    looked = look_report.part(Explanation(black, "cat", 0.4, np.zeros((3, 4, 4), np.float32), np.ones(3), "RIB"))
    content = f"{growing}{divided}{looked}<details><summary>Solution</summary><p id='solution'>4</p></details>"
    content += "<div class='tag_screen-only'>a table of hundreds of rows</div>"
    style = (ROOT / "book" / "_static" / "custom.css").read_text()
    with open_browser() as browser:
        page = browser.new_page()
        page.set_content(f"<style>{style}</style>{content}")
        page.emulate_media(media="print")
        shown = {
            selector: [element.is_visible() for element in page.query_selector_all(selector)]
            for selector in (
                ".frame",
                ".look figure + figure img",
                "input",
                ".before-after .line",
                "#solution",
                ".tag_screen-only",
            )
        }
        first, second = (page.query_selector(f'.pictures img[alt="{name}"]').bounding_box() for name in ("CAM", "RIB"))
        caption = page.evaluate("() => getComputedStyle(document.querySelector('[data-first]'), '::before').content")
    assert shown == {
        ".frame": [True, False, True],
        ".look figure + figure img": [True, False, True],
        "input": [False] * 3,
        ".before-after .line": [False],
        "#solution": [True],
        ".tag_screen-only": [False],
    }
    assert first["x"] + first["width"] <= second["x"]
    assert first["width"] == second["width"]
    assert caption.startswith('"Above, " "CAM: 0%') or caption.startswith('"Above, CAM: 0%')


def test_broken_links_and_anchors_are_found(tmp_path):
    (tmp_path / "a.html").write_text(
        '<a href="b.html#there">x</a><a href="b.html#gone">x</a><a href="c.html">x</a><a href="#no">x</a>'
    )
    (tmp_path / "b.html").write_text('<h1 id="there">B</h1><a href="https://example.org/page#part">x</a>')
    assert check_links.broken_within(tmp_path) == ["a.html: #no", "a.html: b.html#gone", "a.html: c.html"]
    assert check_links.external(tmp_path) == {"https://example.org/page": ["b.html"]}
    with pytest.raises(ValueError, match="make book first"):
        check_links.read_pages(tmp_path / "none")


def small_book(folder: Path, monkeypatch, repository: str | None) -> str:
    """The HTML of a book of one page, rendered with the study's configuration."""
    source = folder / "src"
    source.mkdir()
    (source / "_toc.yml").write_text("format: jb-book\nroot: index\n")
    (source / "index.md").write_text("# Small\n\n```{settings-table}\n```\n\n```{bibliography}\n```\n")
    (source / "references.bib").write_text("")
    monkeypatch.delenv("RIBSTUDY_REPOSITORY", raising=False)
    if repository:
        monkeypatch.setenv("RIBSTUDY_REPOSITORY", repository)
    command = [
        Path(sys.executable).with_name("jupyter-book"),
        "build",
        source,
        "--config",
        ROOT / "_config.yml",
        "--path-output",
        folder,
    ]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    return (folder / "_build" / "html" / "index.html").read_text()


def test_a_local_book_has_no_button_to_a_repository(tmp_path, monkeypatch):
    html = small_book(tmp_path, monkeypatch, None)
    assert [word for word in ("github.com", "mybinder.org", "colab.research", "THEBE_JS_URL") if word in html] == []
    assert "<code" in html
    assert "rib.tau" in html


@pytest.mark.parametrize(
    ("repository", "edit"),
    [
        (REPOSITORY, f"{REPOSITORY}/edit/main/book/index.md"),
        ("https://gitlab.uni.example/group/sub/name", "https://gitlab.uni.example/group/sub/name/-/edit/main/book/index.md"),
        ("https://codeberg.org/owner/name", None),
    ],
)
def test_a_published_book_has_buttons_to_its_repository(tmp_path, monkeypatch, repository, edit):
    html = small_book(tmp_path, monkeypatch, repository)
    assert f'href="{repository}"' in html
    assert edit is None or f'href="{edit}"' in html


def test_buttons_of_a_second_page_lead_to_the_notebook_of_its_chapter():
    edit = {"url": f"{REPOSITORY}/edit/main/book/03_cam_minivoc.ipynb", "text": "edit"}
    local = {"url": "_sources/03_cam_minivoc.ipynb"}
    (group, kept) = with_notebook([{"buttons": [edit]}, local], "03_cam_minivoc", "03_cam")
    assert group["buttons"] == [{**edit, "url": f"{REPOSITORY}/edit/main/book/03_cam.ipynb"}]
    assert kept == local


def test_the_repository_is_checked():
    assert repository_options(None, "main") == {} == repository_options("", "main")
    buttons = repository_options(REPOSITORY, "v1")
    assert (buttons["repository_url"], buttons["repository_branch"]) == (REPOSITORY, "v1")
    for text in ("owner/name", "https://github.com/owner", "file:///srv/name.git"):
        with pytest.raises(ValueError, match=f"{text}' is not of the form"):
            repository_options(text, "main")


@pytest.mark.parametrize(
    ("url", "address", "provider", "issues"),
    [
        ("https://github.com/owner/name", "https://github.com/owner/name", "github", True),
        ("git@github.com:owner/name.git", "https://github.com/owner/name", "github", True),
        ("https://github.company.com/owner/name/", "https://github.company.com/owner/name", "github", True),
        ("https://gitlab.com/group/sub/name.git", "https://gitlab.com/group/sub/name", "gitlab", True),
        ("ssh://git@gitlab.uni.example/owner/name.git", "https://gitlab.uni.example/owner/name", "gitlab", True),
        ("https://bitbucket.org/owner/name", "https://bitbucket.org/owner/name", "bitbucket", False),
    ],
)
def test_a_repository_on_another_host_has_the_buttons_that_work_there(url, address, provider, issues):
    buttons = repository_options(url, None)
    found = (buttons["repository_url"], buttons["repository_provider"], buttons["use_issues_button"])
    assert found == (address, provider, issues)
    assert ("binderhub_url" in buttons["launch_buttons"]) == (provider != "bitbucket")
    assert ("colab_url" in buttons["launch_buttons"]) == address.startswith("https://github.com/")


def test_only_notebooks_that_install_the_package_start_on_colab():
    colab, binder = ({"text": text, "url": f"https://{text}.example"} for text in ("Colab", "Binder"))
    group = {"type": "group", "buttons": [binder, colab]}
    assert without_button("Colab", [group, {"text": "other"}]) == [{**group, "buttons": [binder]}, {"text": "other"}]
    assert without_button("Colab", [{"type": "group", "buttons": [colab]}]) == []
    for name in ON_COLAB:
        assert '"pip", "install"' in json.loads((ROOT / "book" / f"{name}.ipynb").read_text())["cells"][1]["source"][-1]


def test_a_repository_on_an_unknown_host_has_a_link():
    (link,) = repository_options("https://codeberg.org/owner/name", "main")["icon_links"]
    assert link["url"] == "https://codeberg.org/owner/name"


def test_references_are_called_by_authors_and_year():
    entries = [("a", "Tan, Mingxing and Le, Quoc V.", 2019), ("b", "Lee, A. and Choi, B. and Mok, C.", 2021)]
    entries += [("c", "Fernandez, F.", 2020), ("d", "Lee, A. and Kim, B. and Yoon, C.", 2021)]
    text = "".join(f"@misc{{{key}, author={{{authors}}}, year={{{year}}}}}" for key, authors, year in entries)
    labels = list(AuthorYearLabels().format_labels(list(parse_string(text, "bibtex").entries.values())))
    assert labels == ["Tan and Le, 2019", "Lee et al., 2021a", "Fernandez, 2020", "Lee et al., 2021b"]


def test_the_table_of_settings_says_what_each_takes():
    rows = {name: (values, about) for name, values, about in setting_rows(Settings)}
    assert [name for name, (_, about) in rows.items() if not about] == []
    assert rows["rib.tau"][0].startswith("number")
    assert rows["maps"][0] == "cam or rib"


def test_the_workflow_publishes_on_a_tag_only():
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "book.yml").read_text())
    jobs = workflow["jobs"]
    assert jobs["publish"]["if"] == "github.ref_type == 'tag'"
    assert set(jobs["publish"]["needs"]) == {"test", "build"}
    commands = [step.get("run", "") for job in jobs.values() for step in job["steps"]]
    targets = {word for command in commands for word in command.split("#")[0].split()[1:2]}
    makefile = (ROOT / "Makefile").read_text()
    assert {"lint", "test", "book", "pdf"} == targets
    assert all(f"\n{target}:" in makefile for target in targets)
    assert "github.repository" in jobs["build"]["env"]["RIBSTUDY_REPOSITORY"]


def test_signatures_show_default_functions_as_dots():
    signature = "(*, needs=<function Stage.<lambda>>, on_gpu=True, asked=<function ItemStage.<lambda>>)"
    assert short_signature(signature) == "(*, needs=..., on_gpu=True, asked=...)"
    assert short_signature("(tau: float = 0.4, names=('a', 'b'))") == "(tau: float = 0.4, names=('a', 'b'))"
