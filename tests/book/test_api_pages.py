"""The API pages of the book: one page per package, which lists every module once."""

import pkgutil
import re
from importlib import import_module
from pathlib import Path

import pytest
import yaml

BOOK = Path(__file__).resolve().parents[2] / "book"
PAGES = {path.stem: path.read_text(encoding="utf-8") for path in sorted((BOOK / "api").glob("*.md"))}
TOP_LEVEL = {"ribstudy.datasets", "ribstudy.items", "ribstudy.published", "ribstudy.store"}
NOT_LISTED = {"settings", "__main__"}  # the page `settings` has a table of all settings


def listed(page: str) -> list[str]:
    return re.findall(r"^\.\. automodule:: (\S+)$", PAGES[page], re.MULTILINE)


def modules_of(package: str) -> set[str]:
    found = import_module(f"ribstudy.{package}")
    names = {module.name for module in pkgutil.walk_packages(found.__path__, f"{found.__name__}.") if not module.ispkg}
    return {name for name in names if name.rpartition(".")[2] not in NOT_LISTED}


@pytest.mark.parametrize("page", [page for page in PAGES if page != "settings"])
def test_a_page_lists_every_module_of_its_package_once(page):
    names = listed(page)
    assert len(names) == len(set(names))
    assert set(names) - TOP_LEVEL == modules_of(page)


def test_functions_of_the_settings_page_exist():
    functions = re.findall(r"^\.\. autofunction:: (\S+)$", PAGES["settings"], re.MULTILINE)
    assert functions
    for module, _, name in (function.rpartition(".") for function in functions):
        assert callable(getattr(import_module(module), name))


def test_every_page_is_in_the_table_of_contents_and_the_method_comes_first():
    parts = yaml.safe_load((BOOK / "_toc.yml").read_text(encoding="utf-8"))["parts"]
    files = [chapter["file"] for part in parts for chapter in part["chapters"]]
    pages = [file.removeprefix("api/") for file in files if file.startswith("api/")]
    assert pages[0] == "method"
    assert sorted(pages) == sorted(PAGES)


def test_links_to_api_pages_lead_somewhere():
    texts = [path.read_text(encoding="utf-8") for pattern in ("*.md", "*.ipynb") for path in BOOK.glob(pattern)]
    links = {link for text in texts for link in re.findall(r"\(api/([\w-]+)\.md\)", text)}
    assert links <= set(PAGES)
    assert "method" in links
