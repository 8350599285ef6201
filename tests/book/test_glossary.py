"""The glossary names functions and settings that exist."""

import re
from functools import reduce
from importlib import import_module
from pathlib import Path

from ribstudy.config import load_settings

GLOSSARY = Path(__file__).resolve().parents[2] / "book" / "glossary.md"


def rows() -> list[list[str]]:
    lines = [line for line in GLOSSARY.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def exists(name: str) -> bool:
    """Whether `package.module.function` or `package.module.Class.method` exists in ribstudy."""
    package, module, *attributes = name.split(".")
    found = import_module(f"ribstudy.{package}.{module}")
    return callable(reduce(getattr, attributes, found)) or isinstance(reduce(getattr, attributes, found), property)


def test_every_symbol_has_a_function_or_a_setting():
    named = {row[0]: re.findall(r"`([\w.]+)`", row[3]) for row in rows()}
    assert len(named) > 15
    assert [symbol for symbol, names in named.items() if not names] == ["$N, C, H, W$"]


def test_functions_and_settings_exist():
    settings = load_settings("study")
    for _, _, _, function in rows():
        is_setting = function.startswith("setting")
        for name in re.findall(r"`([\w.]+)`", function):
            assert (reduce(getattr, name.split("."), settings) is not None) if is_setting else exists(name), name
