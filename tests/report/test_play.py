"""The controls of play.ipynb on a tiny study."""

import shutil

import pytest
from helpers.tiny_study import TINY

from ribstudy.datasets.settings import ImageSelection
from ribstudy.report.chapter import Chapter
from ribstudy.report.play import ALL_STEPS, FAST_MODE, Player


@pytest.fixture
def player(trained, data_root, tmp_path, monkeypatch) -> Player:
    shutil.copytree(trained, tmp_path / "results")
    monkeypatch.setattr("ribstudy.runtime.paths.RESULTS", tmp_path / "results")
    monkeypatch.setattr("ribstudy.stages.execution.default_processes", lambda stage, run: 1)
    chapter = Chapter("play", "mini", {**TINY, "data.root": str(data_root)})
    return Player(chapter, ImageSelection(split="train"), chapter.dataset("train").names)


def test_maps_are_stored_or_computed_by_all_steps_or_by_the_single_step_of_the_fast_mode(player):
    steps = player.maps.num_steps
    assert player.origin.value == "stored maps"
    player.iterations.value += 2
    assert player.maps.num_steps == player.step.max == steps + 2
    player.mode.value = FAST_MODE
    assert player.maps.num_steps == player.step.value == 2
    assert "in a single step" in player.origin.value
    player.iterations.value -= 2
    player.mode.value = ALL_STEPS
    assert (player.origin.value, player.maps.num_steps) == ("stored maps", steps)
