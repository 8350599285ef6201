"""Tests that need a browser."""

import os

import pytest

from tools.browser import find_browser

# In continuous integration the browser is installed, and nobody would notice a skipped test.
needs_browser = pytest.mark.skipif(
    find_browser() is None and not os.environ.get("CI"), reason="no browser is installed: sudo apt install chromium"
)
