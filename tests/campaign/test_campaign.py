"""A short campaign: one trial of each fault on short commands, and a few mutations of each input (all: `make campaign`)."""

import os
import random
import signal

import pytest
from campaign import faults, mutated
from campaign.__main__ import INPUTS
from campaign.commands import Deviation, Step, files, require_equal, undisturbed
from campaign.mutations import OF_TEXT, mutate
from campaign.outcome import SECTION, Outcome, Row, table, tables

from ribstudy.runtime import paths

pytestmark = pytest.mark.xdist_group("campaign")  # the undisturbed commands run once


@pytest.fixture(scope="module")
def steps(tmp_path_factory) -> dict[str, Step]:
    names = ("classifier", "cam")
    return dict(zip(names, undisturbed(tmp_path_factory.mktemp("campaign") / "steps", names), strict=True))


@pytest.fixture(scope="module")
def own_mounts() -> None:
    if not faults.has_own_mounts():
        pytest.skip("this machine does not let users mount file systems of their own (unshare --user --mount)")


@pytest.mark.parametrize(
    ("name", "fault"),
    [("classifier", "SIGKILL at a random moment"), ("cam", "SIGTERM at a random moment")]
    + [("cam", fault) for fault in list(faults.KILLS)[2:]]
    + [("cam", "clock that jumps"), ("cam", "two runs of the same")],
)
def test_the_same_command_mends_what_a_fault_leaves(steps, tmp_path, name, fault):
    faults.trial(steps[name], fault, tmp_path, random.Random(0))


@pytest.mark.usefixtures("own_mounts")
@pytest.mark.parametrize("fault", ["full disk", "read-only data", "no network"])
def test_a_machine_without_disk_or_network(steps, tmp_path, fault):
    faults.trial(steps["cam"], fault, tmp_path, random.Random(0))


def test_a_deviation_is_found(steps, tmp_path):
    """The comparison sees a changed value in a record, a changed byte, and a file too many."""
    step = steps["cam"]
    require_equal(step, step.after, "nothing")
    with pytest.raises(Deviation, match=r"cam, nothing: other files than undisturbed: .*record\.json"):
        require_equal(step, step.before, "nothing")
    assert any(path.endswith(".npz") for path in files(step.after))


@pytest.mark.parametrize("name", INPUTS)
def test_mutated_inputs_are_read_rightly_or_refused(name, tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "DATA", tmp_path / "data")
    given = INPUTS[name]
    given.write(tmp_path / "unchanged")
    assert given.agree(given.read(tmp_path / "unchanged"), given.slow(tmp_path / "unchanged"))
    for number in range(6):
        mutated.trial(given, tmp_path, random.Random(f"short {name} {number}"))


def test_every_mutation_changes_a_text():
    text = b"a: 1\nb: [2, 3.5]\nc: word\n"
    seen = {}
    for number in range(400):
        mutation, content = mutate(text, "my.yml", random.Random(number))
        assert content != text
        seen[mutation] = content
    assert set(seen) == set(OF_TEXT)


def test_time_memory_and_death_are_bounded():
    assert mutated.in_own_process(lambda: ("read", 1)) == ("read", 1)
    assert mutated.in_own_process(lambda: os.kill(os.getpid(), signal.SIGKILL))[1] == "the process ended by SIGKILL"
    kind, why = mutated.in_own_process(lambda: bytearray(mutated.BYTES * 2))
    assert (kind, "MemoryError" in why) == ("failed", True)


def test_the_table_in_the_readme_is_that_of_the_last_campaign():
    assert SECTION.read() == tables()
    rows = [Row("full disk", 3, {"as undisturbed": 2}, ["cam: other files"])]
    outcome = Outcome({"seed": 1, "minutes": 2, "commit": "0123456789", "date": "2025-01-31", "machine": "m"}, rows)
    assert "| full disk | 3 | 2 | 2 as undisturbed |" in table(outcome, "fault")
