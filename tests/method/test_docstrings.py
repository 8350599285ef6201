"""The examples in the docstrings of the method give the printed results."""

import doctest

import pytest

from ribstudy.method import losses, pooling, rib


@pytest.mark.parametrize("module", [pooling, losses, rib], ids=lambda module: module.__name__)
def test_examples(module):
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0
