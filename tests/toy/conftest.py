"""Composed images with the settings of the preset `study`."""

import numpy as np
import pytest

from ribstudy.config import load_settings
from ribstudy.toy.data import compose, load_digits


@pytest.fixture(scope="session")
def settings():
    return load_settings("study").toy


@pytest.fixture(scope="session")
def digits():
    return load_digits("test").take(np.arange(300))


@pytest.fixture(scope="session")
def scenes(settings, digits):
    return compose(digits, settings, marked=np.ones(len(digits), dtype=bool), seed=0)
