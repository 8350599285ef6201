"""Files that cannot be read."""

import errno
from pathlib import Path

import pytest
from helpers.devkit import voc

from ribstudy import datasets
from ribstudy.datasets.base import DataError, read_bytes


def test_a_file_that_cannot_be_read_is_named(devkit_root, monkeypatch):
    def fail(path: Path) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    train = datasets.open_dataset(voc(devkit_root), "train")
    monkeypatch.setattr(Path, "read_bytes", fail)
    with pytest.raises(DataError, match=r"2007_000001\.jpg: could not be read \(Input/output error\)"):
        train.image("2007_000001")


def test_a_folder_in_the_place_of_a_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"could not be read \(Is a directory\)"):
        read_bytes(tmp_path)
