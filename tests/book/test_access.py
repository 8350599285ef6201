"""The pages of the book are light, and accessible in a light and in a dark window."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from helpers.browsers import needs_browser

from tools.browser import open_browser
from tools.check_links import read_pages
from tools.page_weight import first_load, site_size

TYPICAL = (
    "index",
    "explorer",
    "04_rib",
    "07_ablations",
    "08_other_methods",
    "your_photograph",
    "paper_and_code",
    "glossary",
    "api/method",
    "_modules/ribstudy/method/pooling",
)
MOST_OF_A_PAGE, MOST_OF_THE_SITE = 1.5e6, 25e6  # bytes
RULES = {"rules": {"label-content-name-mismatch": {"enabled": True}}}  # axe leaves it out by default


def violations(browser, address: str, scheme: str) -> list[str]:
    """`rule: element` for what axe finds wrong on a page."""
    # Without motion: while a page turns dark, its colours change step by step.
    page = browser.new_page(viewport={"width": 1280, "height": 900}, color_scheme=scheme, reduced_motion="reduce")
    page.goto(address, wait_until="load")
    found = Axe().run(page, options=RULES).response["violations"]
    page.close()
    return [f"{rule['id']}: {node['html'][:150]}" for rule in found for node in rule["nodes"]]


@needs_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_typical_pages_are_accessible(tiny_book, scheme):
    with open_browser() as browser:
        found = {name: violations(browser, (tiny_book.html / f"{name}.html").as_uri(), scheme) for name in TYPICAL}
    assert {name: problems for name, problems in found.items() if problems} == {}


@needs_browser
@pytest.mark.parametrize(
    ("body", "rule"),
    [
        ("<table><tr><th></th><th>b</th></tr><tr><td>1</td><td>2</td></tr></table>", "empty-table-header"),
        ("<img src='data:,'>", "image-alt"),
        ("<button aria-label='close'>open</button>", "label-content-name-mismatch"),
    ],
)
def test_each_problem_is_found(body, rule, tmp_path):
    page = tmp_path / "page.html"
    page.write_text(f"<!doctype html><html lang=en><title>t</title><main><h1>t</h1>{body}</main></html>")
    with open_browser() as browser:
        assert [problem.partition(":")[0] for problem in violations(browser, page.as_uri(), "light")] == [rule]


@needs_browser
def test_pages_are_light(tiny_book):
    pages = list(read_pages(tiny_book.html))
    sources = [path for path in pages if "_modules" in path.parts]  # they load the same files, so the largest is the heaviest
    pages = [path for path in pages if path not in sources] + [max(sources, key=lambda path: path.stat().st_size)]
    with open_browser() as browser:
        weights = {path.name: first_load(browser, path) for path in pages}
    assert {name: weight for name, weight in weights.items() if weight > MOST_OF_A_PAGE} == {}
    assert site_size(tiny_book.html) < MOST_OF_THE_SITE


@needs_browser
def test_the_weight_of_a_page_is_that_of_its_files(tmp_path):
    (tmp_path / "style.css").write_text("p{color:red}")
    (tmp_path / "below.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
    page = tmp_path / "page.html"
    page.write_text(
        '<!doctype html><link rel="icon" href="data:,"><link rel="stylesheet" href="style.css">'
        '<div style="height:9000px"></div><img src="below.svg" loading="lazy" alt="">'
    )
    with open_browser() as browser:
        assert first_load(browser, page) == page.stat().st_size + (tmp_path / "style.css").stat().st_size
    assert site_size(tmp_path) == sum(path.stat().st_size for path in tmp_path.iterdir())
