"""Data sets on disk that several modules test."""

from pathlib import Path

import pytest
from helpers.coco import write_coco
from helpers.devkit import write_devkit
from helpers.own_folder import write_own_folder

from ribstudy.runtime import paths


@pytest.fixture
def own_root(tmp_path) -> Path:
    """A folder of own images with masks, classes.txt and val.txt."""
    write_own_folder(tmp_path / "own")
    return tmp_path / "own"


@pytest.fixture
def bare_root(own_root) -> Path:
    """The same folder without masks, classes.txt and val.txt."""
    for path in [*(own_root / "masks").iterdir(), own_root / "classes.txt", own_root / "val.txt"]:
        path.unlink()
    (own_root / "masks").rmdir()
    return own_root


@pytest.fixture
def devkit_root(tmp_path) -> Path:
    """A devkit of four images."""
    write_devkit(tmp_path / "VOC2012")
    return tmp_path / "VOC2012"


@pytest.fixture
def coco_root(tmp_path, monkeypatch) -> Path:
    """A folder of COCO 2014, with an empty cache in the folder `data` next to it."""
    monkeypatch.setattr(paths, "DATA", tmp_path / "data")
    write_coco(tmp_path / "coco")
    return tmp_path / "coco"
