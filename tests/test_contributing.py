"""The walks through the code in CONTRIBUTING.md."""

import re
from pathlib import Path

import pytest

from tools.lint_imports import LAYERS

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
WALKS = re.findall(r"^\*\*(.+)\*\*\n\n((?:\d\. .*\n(?:   .*\n)*)+)", TEXT, re.MULTILINE)


def test_there_are_three_walks():
    assert [title for title, _ in WALKS] == ["Where does `tau` go?", "From an image to its mask", "From a record to the page"]


@pytest.mark.parametrize(("title", "steps"), WALKS, ids=[title for title, _ in WALKS])
def test_a_walk_names_at_most_five_files_that_exist(title, steps):
    files = re.findall(r"^\d\. `([\w/.]+)`", steps, re.MULTILINE)
    assert 2 < len(files) <= 5
    assert all((ROOT / file).is_file() for file in files)


def test_the_packages_are_listed_in_the_order_that_lint_checks():
    (chain,) = re.findall(r"^`runtime`(?:.*\n)+?\n", TEXT, re.MULTILINE)
    packages = [layer for layer in LAYERS if (ROOT / "ribstudy" / layer).is_dir() and layer != "presets"]
    assert re.findall(r"`(\w+)`", chain) == packages
