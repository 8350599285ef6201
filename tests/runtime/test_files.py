import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from ribstudy.runtime.files import atomic, new_folder


def run(code: str, *arguments: Path) -> subprocess.Popen:
    command = [
        sys.executable,
        "-c",
        "import os, signal, sys\nfrom pathlib import Path\n"
        "from ribstudy.runtime.files import atomic, new_folder\npath = Path(sys.argv[1])\n" + textwrap.dedent(code),
    ]
    return subprocess.Popen([*command, *map(str, arguments)])


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_a_killed_writer_leaves_is_overwritten(tmp_path):
    target = tmp_path / "a.json"
    target.write_text("old")
    killed = run(
        """
        with atomic(path) as temporary:
            temporary.write_text("half of something that is longer")
            os.kill(os.getpid(), signal.SIGKILL)
        """,
        target,
    )
    assert killed.wait() == -signal.SIGKILL
    assert target.read_text() == "old"
    assert len(names(tmp_path)) == 2
    with atomic(target) as temporary:
        temporary.open("r+").write("new")  # does not truncate
    assert target.read_text() == "new"
    assert names(tmp_path) == ["a.json"]


def test_what_a_killed_process_leaves_of_a_folder_is_removed(tmp_path):
    killed = run(
        """
        with new_folder(path) as temporary:
            (temporary / "half").mkdir()
            os.kill(os.getpid(), signal.SIGKILL)
        """,
        tmp_path / "data",
    )
    assert killed.wait() == -signal.SIGKILL
    with new_folder(tmp_path / "data") as temporary:
        (temporary / "whole").mkdir()
    assert names(tmp_path) == ["data"]
    assert names(tmp_path / "data") == ["whole"]


def test_writers_take_turns_and_read_what_the_one_before_has_written(tmp_path):
    target = tmp_path / "count.txt"
    target.write_text("0")
    adding = """
    for _ in range(100):
        with atomic(path) as temporary:
            temporary.write_text(str(int(path.read_text()) + 1))
    """
    assert [process.wait() for process in [run(adding, target) for _ in range(3)]] == [0, 0, 0]
    assert target.read_text() == "300"
    assert names(tmp_path) == ["count.txt"]


def test_a_folder_in_use_is_refused(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "thesis.txt").write_text("years of work")
    with pytest.raises(FileExistsError, match="data"), new_folder(tmp_path / "data"):
        raise AssertionError("not reached")
    assert names(tmp_path) == ["data"]


def test_a_file_may_have_the_longest_possible_name(tmp_path):
    target = tmp_path / ("é" * 125 + ".json")
    assert len(os.fsencode(target.name)) == 255
    with atomic(target) as temporary:
        assert temporary.suffix == ".json"
        temporary.write_text("{}")
    assert names(tmp_path) == [target.name]


def test_the_permissions_are_those_of_any_new_file(tmp_path):
    (tmp_path / "plain").write_text("")
    with atomic(tmp_path / "careful") as temporary:
        temporary.write_text("")
    assert (tmp_path / "careful").stat().st_mode == (tmp_path / "plain").stat().st_mode
