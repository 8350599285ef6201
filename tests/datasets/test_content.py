"""Digests of content: what they depend on, and when a file is read again."""

import json
import os
import subprocess
import sys
import threading

import pytest

from ribstudy.datasets import content
from ribstudy.datasets.content import Files, Reading, content_digest, file_value
from ribstudy.runtime.files import digest, file_digest


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A folder of three files that changed long enough ago, and nothing saved yet."""
    monkeypatch.setattr(content, "SETTLED", -1)
    monkeypatch.setattr(content, "saved_values", lambda root: tmp_path / "saved" / "values.json")
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in "abc":
        (folder / f"{name}.txt").write_text(f"file {name}")
    return folder


class Counted:
    """A reading that keeps the names of the files that were read."""

    def __init__(self):
        self.seen = []
        self.reading = Reading("counted", self._read)

    def _read(self, path):
        self.seen.append(path.name)
        return path.read_text()


def files(root, names="abc"):
    return Files.like(root, names, "{}.txt")


def forget():
    """Makes this process as ignorant as a new one."""
    content._known_values.cache_clear()
    content._trusted.clear()


def test_the_digest_by_hand(root):
    expected = digest([[name, file_digest(root / f"{name}.txt")] for name in "abc"])
    assert content_digest(files(root)) == expected
    assert content_digest(files(root, "cab")) == expected
    assert file_value(root, "b.txt") == file_digest(root / "b.txt")


def test_names_and_content_count_and_places_do_not(root, tmp_path):
    before = content_digest(files(root))
    elsewhere = tmp_path / "elsewhere"
    root.rename(elsewhere)
    assert content_digest(files(elsewhere)) == before
    assert content_digest(Files(elsewhere, (("a", ("a.txt",)), ("b", ("b.txt",)), ("d", ("c.txt",))))) != before
    (elsewhere / "c.txt").write_text("file C")  # as many bytes
    assert content_digest(files(elsewhere)) != before


def test_the_first_path_that_exists_is_read_and_missing_files_are_left_out(root):
    two = Files.like(root, "abx", "{}.png", "{}.txt")
    assert content_digest(two) == content_digest(files(root, "ab"))
    (root / "a.png").write_text("another")
    assert content_digest(two) != content_digest(files(root, "ab"))
    assert file_value(root, "x.txt") is None


def test_a_file_is_read_once_and_again_after_a_change(root):
    counted = Counted()
    for _ in range(2):
        before = content_digest(files(root), counted.reading)
    assert sorted(counted.seen) == ["a.txt", "b.txt", "c.txt"]
    (root / "b.txt").write_text("file B")
    assert content_digest(files(root), counted.reading) != before
    assert counted.seen[3:] == ["b.txt"]


def test_another_process_reads_nothing_again(root):
    first, later = Counted(), Counted()
    before = content_digest(files(root), first.reading)
    forget()
    assert content_digest(files(root), later.reading) == before
    assert later.seen == []
    forget()
    content_digest(files(root), Reading("another", first.reading.read))
    assert len(first.seen) == 6


def test_a_change_that_keeps_size_and_time_is_noticed(root):
    before, status = content_digest(files(root)), (root / "a.txt").stat()
    for replace in (False, True):
        target = root / ("new" if replace else "a.txt")
        target.write_text("FILE A" if replace else "file A")
        os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
        target.replace(root / "a.txt")
        after = content_digest(files(root))
        assert after != before
        before = after


def test_a_file_that_has_just_changed_is_not_remembered(root, monkeypatch):
    monkeypatch.setattr(content, "SETTLED", 10**12)
    counted = Counted()
    for _ in range(2):
        content_digest(files(root, "a"), counted.reading)
    assert counted.seen == ["a.txt", "a.txt"]
    assert not content.saved_values(root).exists()


def test_a_large_set_is_looked_at_again_after_a_while(root, monkeypatch):
    monkeypatch.setattr(content, "LARGE", 2)
    monkeypatch.setattr(content, "PATIENCE", 10**9)
    before = content_digest(files(root))
    pair = content_digest(files(root, "ab"))
    (root / "a.txt").write_text("changed")
    assert content_digest(files(root)) == before
    assert content_digest(files(root, "ab")) != pair
    monkeypatch.setattr(content, "PATIENCE", 0)
    forget()
    assert content_digest(files(root)) != before


@pytest.mark.parametrize("saved", ["", "{", "[]", '{"counted a.txt": 3, "counted b.txt": [], "counted c.txt": [1]}', "\x00"])
def test_damaged_saved_values_are_replaced(root, saved):
    counted = Counted()
    before = content_digest(files(root), counted.reading)
    content.saved_values(root).write_text(saved)
    forget()
    assert content_digest(files(root), counted.reading) == before
    assert len(counted.seen) == 6
    assert len(json.loads(content.saved_values(root).read_text())) == 3


def test_values_that_cannot_be_saved(root, monkeypatch, tmp_path, caplog):
    before = content_digest(files(root))
    forget()
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(content, "saved_values", lambda root: tmp_path / "file" / "values.json")
    with caplog.at_level("INFO"):
        assert content_digest(files(root)) == before
    assert "could not be written" in caplog.text


def test_interrupted_work_is_kept(root, monkeypatch):
    monkeypatch.setattr(content, "BATCH", 1)
    monkeypatch.setattr(content, "NUM_THREADS", 1)

    def read(path):
        if path.name == "c.txt":
            raise KeyboardInterrupt
        return path.read_text()

    with pytest.raises(KeyboardInterrupt):
        content_digest(files(root), Reading("counted", read))
    forget()
    counted = Counted()
    content_digest(files(root), counted.reading)
    assert counted.seen == ["c.txt"]


def test_threads_that_save_at_the_same_time_leave_a_readable_file(root):
    threads = [threading.Thread(target=content_digest, args=(files(root), Reading(str(n), file_digest))) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert json.loads(content.saved_values(root).read_text())


def test_values_are_saved_below_the_folder_of_the_data(tmp_path):
    code = (
        "import sys; from pathlib import Path; from ribstudy.datasets import content; content.SETTLED = -1;"
        "print(content.content_digest(content.Files.like(Path(sys.argv[1]), 'a', '{}')))"
    )
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "a").write_text("a")
    command, places = [sys.executable, "-c", code, str(tmp_path / "pictures")], {"RIBSTUDY_DATA": str(tmp_path / "data")}
    printed = subprocess.run(command, env={**os.environ, **places}, capture_output=True, text=True).stdout
    assert printed.strip() == digest([["a", file_digest(tmp_path / "pictures" / "a")]])
    (saved,) = (tmp_path / "data" / ".content").iterdir()
    assert list(json.loads(saved.read_text())) == ["sha256 a"]
