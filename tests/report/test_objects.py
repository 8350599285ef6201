"""How a notebook shows objects: IPython finds the functions, and the texts say what, how many and where."""

import re
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest
from helpers.tiny_study import settings_of
from IPython.core.formatters import DisplayFormatter

import ribstudy
from ribstudy import datasets
from ribstudy.evaluation.sweeps import Sweep
from ribstudy.method.stored_maps import StoredMaps
from ribstudy.report.chapter import Chapter
from ribstudy.store import Result


@pytest.fixture
def shown():
    """The HTML that a notebook shows after `%load_ext ribstudy`; every picture is closed."""
    formatter = DisplayFormatter()
    ribstudy.load_ipython_extension(SimpleNamespace(display_formatter=formatter))

    def html(value) -> str:
        text = formatter.format(value, include=["text/html"])[0]["text/html"]
        assert plt.get_fignums() == []
        return text

    plt.close("all")
    return html


def words(html: str) -> str:
    return " ".join(re.sub("<[^>]*>", " ", html).split())


def test_maps_of_an_image(shown):
    steps = np.random.default_rng(0).random((3, 2, 4, 6), np.float32)
    html = shown(StoredMaps(np.array([4, 7]), (32, 48), (steps,), stopped_by="margin"))
    assert words(html) == "maps of an image 48 x 32 pixels classes 4, 7 scales 1 steps 3 ended by margin the first"
    assert html.count("<img") == 1
    assert "<img" not in shown(StoredMaps(np.array([], int), (32, 48)))


def test_a_data_set(shown, data_root):
    dataset = datasets.open_dataset(settings_of(data_root).data, "val")
    html = shown(dataset)
    assert words(html).startswith(
        f"split val images {len(dataset)} with a mask {len(dataset)} classes {len(dataset.class_names)}:"
    )
    assert html.count("<img") == 1
    dataset.has_pictures = False
    assert "<img" not in shown(dataset)


def test_a_sweep(shown):
    counts = np.zeros((1, 2, 3, 2), int)
    counts[0, :, 0] = [[1, 1], [2, 2]]  # true positives, which grow with the threshold
    counts[0, :, 1:] = 4
    sweep = Sweep(("a", "b"), counts, np.zeros((1, 3, 2), int), np.zeros((2, 2)), np.ones(2, bool), np.array([0.2, 0.4]))
    assert f"mIoU {sweep.miou()[1]:.3f} at 0.4" in words(shown(sweep))
    assert words(shown(sweep)).startswith("images 2 thresholds 2, from 0.2 to 0.4")


def test_a_result(shown, trained, tmp_path):
    (folder,) = (trained / "runs").glob("classifier-*")
    text = words(shown(Result(folder)))
    assert text.startswith(f"result {folder.name} state here items 0 place {folder} computed 20")
    assert words(shown(Result(tmp_path / "cam-0"))).endswith("computed not yet")
    assert not (tmp_path / "cam-0").exists()


def test_a_chapter_shows_the_settings_in_use(tmp_path, monkeypatch):
    monkeypatch.setattr("ribstudy.runtime.paths.RESULTS", tmp_path)
    monkeypatch.setattr("ribstudy.runtime.paths.PUBLISHED", tmp_path / "none")
    chapter = Chapter("01_toy", "mini", {"toy.hgr_threshold": 0.2})
    assert words(chapter._repr_html_()) == (
        f"chapter 01_toy preset mini other settings toy.hgr_threshold = 0.2 results 0 of 2 are finished folder {tmp_path} "
        "numbers so far 0"
    )
