"""Claims on items: one process at a time, and a killed process keeps none."""

import signal
import subprocess
import sys

import pytest

from ribstudy.runtime.claims import Claims

OWNER = """
import sys, time
from pathlib import Path
from ribstudy.runtime.claims import Claims
with Claims(Path(sys.argv[1])) as claims, claims.on(sys.argv[2]) as claimed:
    print(claimed, flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def owner(tmp_path):
    """Another process that has claimed the item `cat`."""
    command = [sys.executable, "-c", OWNER, str(tmp_path), "cat"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "True\n"
    yield process
    process.kill()
    process.communicate()


def test_an_item_has_one_owner_and_other_items_are_free(owner, tmp_path):
    with Claims(tmp_path) as claims:
        assert not claims.is_free("cat")
        with claims.on("cat") as cat, claims.on("dog") as dog:
            assert (cat, dog) == (False, True)
        owner.communicate("end\n")
        assert claims.is_free("cat")


def test_the_claim_of_a_killed_process_is_taken_over(owner, tmp_path):
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    with Claims(tmp_path) as claims, claims.on("cat") as claimed:
        assert claimed


def test_those_who_wait_learn_who_works_here_and_since_when(owner, tmp_path):
    with Claims(tmp_path) as claims:
        (other,) = claims.others()
        assert other.startswith(f"process {owner.pid} on ")
        assert ", since 2" in other
        owner.send_signal(signal.SIGKILL)
        owner.wait()
        assert claims.others() == []
    assert [path.name for path in tmp_path.iterdir()] == [".claims"]


def test_the_next_process_removes_what_a_killed_one_left(owner, tmp_path):
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    assert len(list(tmp_path.iterdir())) == 2
    with Claims(tmp_path):
        pass
    assert [path.name for path in tmp_path.iterdir()] == [".claims"]


def test_claims_leave_one_empty_file(tmp_path):
    with Claims(tmp_path) as claims, claims.on("cat"):
        pass
    (file,) = tmp_path.iterdir()
    assert file.stat().st_size == 0
