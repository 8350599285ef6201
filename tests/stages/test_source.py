"""The digests of the code of real stages, in edited copies of the package."""

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from ribstudy.stages import STAGES
from ribstudy.stages.source import PACKAGE, reached, source_digest


@pytest.fixture
def changed(tmp_path):
    """The stages whose digest changes when a text in a module is replaced."""

    def of(module, old, new):
        copy = Path(tempfile.mkdtemp(dir=tmp_path)) / "ribstudy"  # a new folder each time, because files are read only once
        shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__", "presets"))
        path = copy / f"{module}.py"
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))
        return {stage.name for stage in STAGES.values() if source_digest(stage, package=copy) != source_digest(stage)}

    return of


def test_a_change_of_the_adaptation_changes_the_stages_that_adapt(changed):
    assert changed("method/step", "loss.backward()", "(2 * loss).backward()") == {"rib", "bottleneck"}


def test_a_change_of_the_random_walk_changes_only_the_walk(changed):
    assert changed("masks/random_walk", "NEGLIGIBLE = ", "NEGLIGIBLE = 2 * ") == {"walk"}


def test_a_change_of_how_stored_maps_are_read_changes_the_stages_that_read_them(changed):
    found = changed("method/stored_maps", "def normalized(self, *,", "def normalized(self, *, unused=None,")
    assert {"cam", "rib", "labels", "walk"} <= found
    assert not found & {"toy", "data", "classifier", "segmentation", "scores", "predictions"}


def test_a_change_of_the_plumbing_or_of_another_module_changes_nothing(changed):
    assert not changed("runtime/ranks", "MAX_WORKERS = 12", "MAX_WORKERS = 13")
    assert not changed("report/chapter", "def start(", "def begin(")


def test_a_change_of_a_check_of_the_data_changes_nothing(changed):
    assert not changed("datasets/coco14", "names_of[split] = set(pictures)", "names_of[split] = set()")
    assert not changed("datasets/coco_checks", "THIN = ", "THIN = 2 * ")


def test_a_change_of_a_docstring_changes_nothing(changed):
    assert not changed("toy/data", '"""The digits at these indices."""', '"""Some digits."""')


def test_digests_are_equal_for_the_same_code_and_different_for_different_stages():
    digests = {stage.name: source_digest(stage) for stage in STAGES.values()}
    assert len(set(digests.values())) == len(STAGES)
    assert all(len(digest) == 12 for digest in digests.values())
    assert source_digest(replace(STAGES["cam"], version=99)) == digests["cam"]


def test_the_store_is_not_reached_but_the_formats_of_items_are():
    names = {name.rpartition(".")[0] for stage in STAGES.values() for name in reached(stage)}
    assert "ribstudy.items" in names
    assert not names & {"ribstudy.store", "ribstudy.published"}


def test_a_stage_that_is_no_constant_is_an_error():
    with pytest.raises(ValueError, match="stage other: no module"):
        source_digest(replace(STAGES["cam"], name="other"))
