"""A book that shows two presets, as batches/book.yml can name them."""

from pathlib import Path

import pytest

TEXT = "{about: two presets, preset: study, first: {preset: voc12-lite, notebooks: [04_rib]}, notebooks: all}"


def show_two_presets(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Lets the book show VOC in chapter 4, and MiniVOC on a second page."""
    (folder / "book.yml").write_text(TEXT)
    monkeypatch.setattr("ribstudy.workflow.book.FILE", folder / "book.yml")
