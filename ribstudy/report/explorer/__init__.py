"""The explorer: RIB's maps, masks and scores of a few images, which a reader changes with sliders. See `show`."""

from ribstudy.report.explorer.page import Example, show

__all__ = ["Example", "show"]
