"""The shell lines of a part of a wave: what happens to the job and to its mark if the command of a group fails."""

import re
import subprocess
from pathlib import Path

import pytest

from ribstudy.runtime.limits import NEEDS_MEMORY

ROOT = Path(__file__).resolve().parents[2]
COMMAND = "python() { echo $3 >> done; return $4; }\n"  # a command that notes its group and ends with the given exit code


@pytest.fixture
def work(tmp_path):
    """A function that runs the groups of a wave, each with the exit code of its command, and returns the job's exit code."""
    lines = re.search(r'^WORK = """(.*?)"""', (ROOT / "Snakefile").read_text(), re.DOTALL | re.MULTILINE)[1]
    (tmp_path / "with space").mkdir()

    def run(codes: dict[str, int], *, attempt: int) -> int:
        values = {
            "{output:q}": "'with space/mark'",
            "{params.logs:q}": "'with space/logs'",
            "{params.memory_code}": str(NEEDS_MEMORY),
            "{params.commands}": "\n".join(f"work {name} {name} {code}" for name, code in codes.items()),
            "{resources.attempt}": str(attempt),
            "{threads}": "1",
            "{wildcards.part}": "0",
            "{wildcards.parts}": "2",
        }
        text = lines.replace("\\\\\n", "\\\n")  # as Python reads the lines
        for name, value in values.items():
            text = text.replace(name, value)
        text = text.replace("{{", "{").replace("}}", "}")
        return subprocess.run(["bash", "-c", f"set -eo pipefail\n{COMMAND}{text}"], cwd=tmp_path, check=False).returncode

    return run


def mark(folder: Path) -> list[str]:
    return (folder / "with space" / "mark").read_text().split()


def done(folder: Path) -> list[str]:
    return (folder / "done").read_text().split()


def test_a_group_that_fails_is_marked_and_the_others_continue(work, tmp_path):
    assert work({"a": 0, "b": 1, "c": 0}, attempt=1) == 0
    assert (mark(tmp_path), done(tmp_path)) == (["b"], ["a", "b", "c"])


def test_a_killed_command_ends_the_job(work, tmp_path):
    assert work({"a": 137, "b": 0}, attempt=1) == 137
    assert done(tmp_path) == ["a"]


def test_a_job_without_enough_memory_fails_after_its_other_groups_and_its_second_try_marks_the_group(work, tmp_path):
    groups = {"a": NEEDS_MEMORY, "b": 0}
    assert work(groups, attempt=1) == NEEDS_MEMORY
    assert done(tmp_path) == ["a", "b"]
    assert work(groups, attempt=2) == 0
    assert mark(tmp_path) == ["a"]
