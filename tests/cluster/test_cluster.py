"""Batches on a real Slurm with the shipped profile: undisturbed, with faults, and twice. Each ends as an undisturbed run here.

`make cluster-test` runs these. They are skipped where no Slurm is installed (Debian and Ubuntu: apt install slurm-wlm slurmdbd
munge mariadb-server), and without root. Each trial ends with the same command as at its start, and its results are equal to the
byte to a run without Slurm, with no item computed twice. The docstring of a test names its trial in book/cluster.md.
"""

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cluster.outcome import note
from cluster.project import Project
from cluster.slurm import Slurm, accounted, jobs, missing

PATIENCE = 1800  # seconds, on a machine that is busy with other work
ONCE = ("--retries", "0")
WAIT = "__import__('time').sleep({})"  # a statement
FILL = "self.item_names() and (lambda held: __import__('time').sleep(60))(b'x' * 2**31)"  # memory, after the first item
# Memory runs out at the first item of each result.
LACKS = "if not (self.folder / '.lacked').exists(): (self.folder / '.lacked').touch(); raise MemoryError"
Noted = Callable[..., None]

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
    made.end()
    for number, _, _ in jobs("PENDING", "RUNNING"):
        subprocess.run(["scancel", number])


@pytest.fixture
def noted(request, local) -> Noted:
    """Notes the outcome of a trial, and of the same command after it, in words. Until then the trial counts as failed."""
    start = time.monotonic()

    def write(outcome: str, again: str = "") -> None:
        row = {"trial": request.function.__doc__, "outcome": outcome, "the same command again": again}
        row |= {"seconds": round(time.monotonic() - start), "date": f"{datetime.now(UTC):%Y-%m-%d}"}
        note("trials", request.node.name, row)

    write("trial failed")
    return write


def until(found: Callable[[], object], what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not found():
        assert time.monotonic() < end, f"there never was {what}"
        time.sleep(0.5)


def ends(project: Project, process: subprocess.Popen, code: int, name: str = "own") -> str:
    """Waits for the end of a call, whose exit code has to be 0 or not; returns its output."""
    process.wait(timeout=PATIENCE)
    assert min(process.returncode, 1) == code, project.said(name)
    return project.said(name)


def reason(said: str) -> str:
    """The reason of the first failure in the table at the end."""
    (row, *_) = [line for line in said[said.rindex("\nown:\n") :].splitlines() if "  failed  " in line]
    return row.partition("  failed  ")[2].strip()


def without_log(reason: str) -> str:
    return reason.partition(";")[0]


def completed(project: Project, local: Project, before: dict[Path, int] | None = None) -> str:
    """The same command as before does the rest, and everything is as if nothing had happened. Returns this in words.

    before: the items at the fault; None: those that are there now.
    """
    project.as_shipped()
    before, submitted = project.written() if before is None else before, len(project.submitted())
    ends(project, project.start("own", target="results"), 0)
    as_undisturbed(project, local, before)
    return f"{len(before)} of {len(project.written())} items kept, {len(project.submitted()) - submitted} jobs"


def as_undisturbed(project: Project, local: Project, before: dict[Path, int] | None = None) -> None:
    """The files equal the files of a run here, and no item was written twice. before: items of an earlier time."""
    assert project.files() == local.files()
    now = project.written()
    assert project.computed() <= len(now), "an item was computed twice"
    assert (before or {}).items() <= now.items(), "an item was written twice"


def running() -> list[str]:
    return [number for number, *_ in jobs("RUNNING")]


def test_a_batch_from_nothing(local, tmp_path, noted):
    """nothing"""
    project = Project(tmp_path / "project", local.data)
    said = ends(project, project.start(), 0)
    as_undisturbed(project, local)
    (planned,) = re.findall(r"^wave +(\d+)$", said, re.MULTILINE)
    assert len(project.submitted()) == int(planned) + 1  # and the training; notebooks and checks run where Snakemake runs
    assert re.search(r"^  03_cam  done  /.*\.ipynb$", said, re.MULTILINE)
    assert not list(project.results.glob("notebooks/own/logs/slurm/**/*.log"))
    noted(f"done with {len(project.submitted())} jobs")


def test_a_cancelled_job(project, local, noted):
    """`scancel` of a running job"""
    project.before_each_item(WAIT.format(5))
    process = project.start("own", *ONCE, target="results")
    until(project.written, "an item")
    subprocess.run(["scancel", running()[0]], check=True)
    why = reason(ends(project, process, 1))
    assert "cancelled (asked for 1 core" in why
    noted(f"failed: {without_log(why)}", completed(project, local))


def test_a_job_over_its_time_limit(project, local, noted):
    """more than the requested time"""
    project.before_each_item(WAIT.format(40))
    process = project.start("own", *ONCE, "--set-resources", "wave:runtime=1", target="results")
    why = reason(ends(project, process, 1))
    assert re.search("time limit .*, 1 minute", why)
    assert "DUE TO TIME LIMIT" in Path(re.search(r"/.*\.log", why)[0]).read_text()
    noted(f"failed: {without_log(why)}", completed(project, local))


def test_a_job_over_its_memory(project, local, noted):
    """more than the requested memory"""
    project.before_each_item(FILL)
    process = project.start("own", *ONCE, "--set-resources", "wave:mem_mb=1700", target="results")
    why = reason(ends(project, process, 1))
    assert re.search("out of memory .* 1700 MB of memory", why)
    noted(f"failed: {without_log(why)}", completed(project, local))


def test_a_request_that_no_node_can_meet(project, local, noted):
    """a request for memory that no node has"""
    process = project.start("own", *ONCE, "--set-resources", "wave:mem_mb=900000", target="results")
    why = reason(ends(project, process, 1))
    assert re.search("refused by the scheduler: .* 900000 MB of memory", why)
    noted(f"failed: {without_log(why)}", completed(project, local))


def test_a_killed_process_is_tried_again_with_more(project, local, noted):
    """SIGKILL of a process in a job"""
    project.before_each_item(WAIT.format(5))
    process = project.start("own", target="results")
    until(project.written, "an item")
    (killed, *_) = project.processes()
    os.kill(killed, signal.SIGKILL)
    before = project.written()
    project.as_shipped()
    ends(project, process, 0)
    memory = accounted("ReqMem", project.submitted())
    assert memory.count("18G") == 1  # and 9 GB before
    times = list(map(int, accounted("TimelimitRaw", project.submitted())))
    assert [time for time in times if time > min(times)] == [2 * min(times)]
    noted("the job was tried again with twice the memory", completed(project, local, before))


def test_a_report_that_memory_ran_out_is_answered_with_more(project, local, noted):
    """a stage reports that memory ran out"""
    project.before_each_item(LACKS)
    ends(project, project.start("own", target="results"), 0)
    memory = accounted("ReqMem", project.submitted())
    assert memory.count("18G") in (1, 2, 3)  # of three jobs, of which two share results
    noted("the jobs were tried again with twice the memory", completed(project, local))


def test_a_failed_node(project, local, noted):
    """a node fails with a running job"""
    project.before_each_item(WAIT.format(5))
    process = project.start("own", target="results")
    until(project.written, "an item")
    subprocess.run(["scontrol", "update", "nodename=n1", "state=down", "reason=test"], check=True)  # it comes back by itself
    before = project.written()
    project.as_shipped()
    ends(project, process, 0)
    noted("Slurm ran the job again", completed(project, local, before))


def test_drained_nodes_delay_a_batch(project, local, noted):
    """drained nodes, and other batches in the same checkout that end meanwhile"""
    nodes = ("scontrol", "update", "nodename=n1,n2")
    subprocess.run([*nodes, "state=drain", "reason=test"], check=True)
    project.batch("two")
    try:
        process = project.start("own", target="results")
        until(lambda: jobs("PENDING"), "a waiting job")
        assert project.here("two", target="results") == 0
        ends(project, project.start("two", target="results"), 0, "two")
    finally:
        subprocess.run([*nodes, "state=resume"], check=True)
    ends(project, process, 0)
    assert not project.submitted("two")
    noted("waited, and found the items of the other batch", completed(project, local))


def test_the_jobs_of_a_killed_snakemake_are_waited_for(project, local, noted):
    """SIGKILL of Snakemake"""
    project.before_each_item(WAIT.format(10))
    process = project.start("own", target="results")
    until(project.written, "an item")
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    (number, *_) = running()
    did = completed(project, local)
    assert re.search(rf"\d jobs of an earlier call are alive.*scancel .*\b{number}\b", project.said())
    noted("the next call listed the jobs and waited for them", did)


def test_a_second_start_is_refused_while_the_first_goes_on(project, local, noted):
    """the same command twice at a time"""
    process = project.start("own", target="results")
    until(lambda: jobs("PENDING", "RUNNING"), "a job")
    said = ends(project, project.start("own", target="results"), 1)
    assert "error: batch own is at work in another process" in said
    ends(project, process, 0)
    noted("the second call ended with an error, the first one continued", completed(project, local))


def test_two_batches_share_the_work(project, local, noted):
    """two batches on the same images at a time"""
    project.batch("two")
    project.before_each_item(WAIT.format(2))
    both = {name: project.start(name, target="results", gpus=0) for name in ("own", "two")}
    for name, process in both.items():
        ends(project, process, 0, name)
    assert project.submitted("two")
    shared = f"{len(project.submitted())} and {len(project.submitted('two'))} jobs shared the items"
    noted(shared, completed(project, local))


def test_a_cluster_without_gpus(local, tmp_path, noted):
    """a cluster without GPUs and with small nodes, first without and then with `gpus=0`"""
    project = Project(tmp_path / "project", local.data)
    there = ("--default-resources", "slurm_partition=plain")
    why = reason(ends(project, project.start("own", *ONCE, *there, target="results"), 1))
    assert re.search("refused by the scheduler: .* 1 GPU", why)
    ends(project, project.start("own", *there, gpus=0), 0)
    as_undisturbed(project, local)
    noted(f"failed: {without_log(why)}; then done with {len(project.submitted())} jobs")


def test_paths_with_spaces_and_apostrophes(local, tmp_path, noted):
    """paths with spaces and apostrophes"""
    odd = tmp_path / "it's mine"
    project = Project(odd / "project's copy", local.data, odd / "my results")
    ends(project, project.start(), 0)
    as_undisturbed(project, local)
    assert sorted(path.name for path in odd.iterdir()) == ["my results", "project's copy"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["it's mine"]
    noted(f"done with {len(project.submitted())} jobs, and no stray folder")
