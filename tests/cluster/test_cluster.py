"""Batches on a real Slurm with the shipped profile: undisturbed, with faults, and twice. Each ends as an undisturbed run here.

`make cluster-test` runs these. They are skipped where no Slurm is installed (Debian and Ubuntu: apt install slurm-wlm slurmdbd
munge mariadb-server), and without root. Each trial ends with the same command as at its start, and its results are equal to the
byte to a run without Slurm, with no item computed twice.
"""

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cluster.project import Project
from cluster.slurm import Slurm, jobs, missing

PATIENCE = 1800  # seconds, on a machine that is busy with other work
ONCE = ("--retries", "0")

pytestmark = [
    pytest.mark.skipif("RIBSTUDY_CLUSTER_TESTS" not in os.environ, reason="make cluster-test runs a Slurm, which takes long"),
    pytest.mark.skipif(bool(missing()), reason=f"no Slurm: {', '.join(missing())} is not installed"),
    pytest.mark.skipif(os.geteuid() != 0, reason="the configuration of a Slurm is in /etc, which needs root"),
]


@pytest.fixture(scope="module", autouse=True)
def slurm(tmp_path_factory) -> Iterator[Slurm]:
    cluster = Slurm(tmp_path_factory.mktemp("slurm"))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="module")
def local(tmp_path_factory) -> Project:
    """The project after an undisturbed run on this machine, without shards."""
    folder = tmp_path_factory.mktemp("local")
    project = Project(folder / "project", folder / "data")
    assert project.here() == 0, project.said()
    return project


@pytest.fixture
def project(local, tmp_path) -> Iterator[Project]:
    """A project whose training is finished, so that a fault hits the jobs that share images."""
    made = Project(tmp_path / "project", local.data)
    for folder in (*local.results.glob("runs/classifier-*"), *local.results.glob("runs/data-*")):
        shutil.copytree(folder, made.results / "runs" / folder.name)
    yield made
    for number, _, _ in jobs("PENDING", "RUNNING"):
        subprocess.run(["scancel", number])


def until(found: Callable[[], object], what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not found():
        assert time.monotonic() < end, f"there never was {what}"
        time.sleep(1)


def ends(project: Project, process: subprocess.Popen, code: int, name: str = "own") -> str:
    """Waits for the end of a call, whose exit code has to be 0 or not; returns its output."""
    process.wait(timeout=PATIENCE)
    assert min(process.returncode, 1) == code, project.said(name)
    return project.said(name)


def row_of(said: str, state: str) -> str:
    """The row of the table at the end that begins a state with this text."""
    (row, *_) = [line for line in said[said.rindex("\nown:\n") :].splitlines() if f"  {state}" in line]
    return row


def completed(project: Project, local: Project) -> None:
    """The same command as before does the rest, and everything is as if nothing had happened."""
    ends(project, project.start("own", target="results"), 0)
    as_undisturbed(project, local)


def as_undisturbed(project: Project, local: Project) -> None:
    expected = local.files()
    assert project.files() == expected
    assert project.computed() <= sum("/items/" in name for name in expected), "an item was computed twice"


def running() -> list[str]:
    return [number for number, *_ in jobs("RUNNING")]


def test_a_batch_from_nothing(local, tmp_path):
    project = Project(tmp_path / "project", local.data)
    said = ends(project, project.start(), 0)
    as_undisturbed(project, local)
    submitted = re.findall(r"has been submitted with SLURM jobid (\d+)", said)
    (planned,) = re.findall(r"^wave +(\d+)$", said, re.MULTILINE)
    assert len(submitted) == int(planned) + 1  # and the training; notebooks and checks run where Snakemake runs
    assert row_of(said, "done")
    assert not list(project.results.glob("notebooks/own/logs/slurm/**/*.log"))


def test_a_cancelled_job_is_noticed_and_named(project, local):
    process = project.start("own", *ONCE, target="results")
    until(running, "a running job")
    subprocess.run(["scancel", running()[0]], check=True)
    assert "cancelled (asked for 1 cores" in row_of(ends(project, process, 1), "failed")
    completed(project, local)


def test_a_job_over_its_time_limit(project, local):
    slow = project.folder / "Snakefile"
    text = slow.read_text()
    slow.write_text(text.replace('WORK = """\n', 'WORK = """\nsleep 200\n'))
    process = project.start("own", *ONCE, "--set-resources", "wave:runtime=1", target="results")
    row = row_of(ends(project, process, 1), "failed")
    assert re.search("time limit .*, 1 minutes", row)
    assert "DUE TO TIME LIMIT" in Path(re.search(r"/.*\.log", row)[0]).read_text()
    slow.write_text(text)
    completed(project, local)


def test_a_job_over_its_memory(project, local):
    process = project.start("own", *ONCE, "--set-resources", "wave:mem_mb=80", target="results")
    row = row_of(ends(project, process, 1), "failed")
    assert re.search("out of memory .* 80 MB of memory", row)
    completed(project, local)


def test_a_request_that_no_node_can_meet(project, local):
    process = project.start("own", *ONCE, "--set-resources", "wave:mem_mb=900000", target="results")
    row = row_of(ends(project, process, 1), "failed")
    assert re.search("refused by the scheduler: .* 900000 MB of memory", row)
    completed(project, local)


def test_drained_nodes_delay_a_batch(project, local):
    nodes = ("scontrol", "update", "nodename=n1,n2")
    subprocess.run([*nodes, "state=drain", "reason=test"], check=True)
    try:
        process = project.start("own", target="results")
        until(lambda: jobs("PENDING"), "a waiting job")
    finally:
        subprocess.run([*nodes, "state=resume"], check=True)
    ends(project, process, 0)
    completed(project, local)


def test_the_jobs_of_a_killed_snakemake_are_waited_for(project, local):
    process = project.start("own", target="results")
    until(running, "a running job")
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    (number, *_) = running()
    completed(project, local)
    assert re.search(rf"\d jobs of an earlier call are alive.*scancel .*\b{number}\b", project.said())


def test_a_second_start_is_refused_while_the_first_goes_on(project, local):
    process = project.start("own", target="results")
    until(lambda: jobs("PENDING", "RUNNING"), "a job")
    said = ends(project, project.start("own", target="results"), 1)
    assert "error: batch own is at work in another process" in said
    ends(project, process, 0)
    completed(project, local)


def test_two_batches_share_the_work(project, local):
    project.batch("two")
    both = {name: project.start(name, target="results") for name in ("own", "two")}
    for name, process in both.items():
        ends(project, process, 0, name)
    completed(project, local)


def test_paths_with_spaces_and_apostrophes(local, tmp_path):
    odd = tmp_path / "it's mine"
    project = Project(odd / "project's copy", local.data, odd / "my results")
    ends(project, project.start(), 0)
    as_undisturbed(project, local)
    assert sorted(path.name for path in odd.iterdir()) == ["my results", "project's copy"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["it's mine"]
