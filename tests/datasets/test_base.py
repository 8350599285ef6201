"""Files that cannot be read."""

import errno
import os
from pathlib import Path

import pytest
from helpers.devkit import voc

from ribstudy import datasets
from ribstudy.datasets.base import DataError, read_bytes, stamp
from ribstudy.datasets.pictures import read_picture


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


def test_a_pipe_is_named_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(DataError, match=r"pipe\.png: is not a file, but a device or pipe"):
        read_picture(tmp_path / "pipe.png")
    assert not stamp(tmp_path / "pipe.png").exists


@pytest.mark.parametrize("target", ["missing.png", "link.png"])
def test_a_link_that_leads_nowhere_is_named(tmp_path, target):
    (tmp_path / "link.png").symlink_to(target)
    with pytest.raises(DataError, match=r"link\.png: (is missing|could not be read \(Too many levels of symbolic links\))"):
        read_picture(tmp_path / "link.png")
