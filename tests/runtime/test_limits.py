"""The limits of a container, read from files like those that the kernel shows."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from ribstudy.runtime import limits, ranks

ROOT = Path(__file__).resolve().parents[2]
GIB = 2**30


@pytest.fixture
def groups(tmp_path, monkeypatch):
    """The folder of the control groups, and the file that names the group of this process."""
    monkeypatch.setattr(limits, "GROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(limits, "OWN_GROUP", tmp_path / "own")
    (tmp_path / "cgroup").mkdir()
    return tmp_path


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def machine() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def test_a_container_of_version_2_shows_its_limit_at_the_root(groups):
    write(groups / "cgroup" / "memory.max", f"{GIB}\n")
    assert limits.memory() == GIB


def test_the_smallest_limit_around_a_job_counts(groups):
    """Slurm limits a job, and the step inside it has no limit of its own."""
    write(groups / "own", "0::/slurm/job_7/step_0\n")
    write(groups / "cgroup" / "slurm" / "job_7" / "step_0" / "memory.max", "max\n")
    write(groups / "cgroup" / "slurm" / "job_7" / "memory.max", f"{GIB // 2}\n")
    write(groups / "cgroup" / "slurm" / "memory.max", f"{GIB}\n")
    write(groups / "cgroup" / "other" / "memory.max", "1\n")
    assert limits.memory() == GIB // 2


def test_version_1_has_a_folder_for_memory(groups):
    write(groups / "own", "11:cpu,cpuacct:/job\n9:memory:/docker/4f\n1:name=systemd:/job\n")
    write(groups / "cgroup" / "memory" / "docker" / "4f" / "memory.limit_in_bytes", f"{GIB}\n")
    write(groups / "cgroup" / "memory" / "job" / "memory.limit_in_bytes", "1\n")
    assert limits.memory() == GIB


@pytest.mark.parametrize("text", ["max\n", "9223372036854771712\n", ""])
def test_without_a_limit_the_memory_is_the_machines(groups, text):
    write(groups / "cgroup" / "memory.max", text)
    assert limits.memory() == machine()


def test_without_control_groups_the_memory_is_the_machines(groups):
    assert limits.memory() == machine()


def test_the_limit_of_the_process_counts(groups, monkeypatch):
    resource = pytest.importorskip("resource")
    monkeypatch.setattr(resource, "getrlimit", lambda which: (GIB, GIB) if which == resource.RLIMIT_AS else None)
    assert limits.memory() == GIB


@pytest.mark.parametrize(
    ("given", "ranks_here", "expected"), [(None, 1, 8), ("3", 1, 3), ("99", 1, 8), ("6", 2, 3), (None, 9, 1)]
)
def test_cores_are_limited_by_the_setting_and_shared_by_ranks(monkeypatch, given, ranks_here, expected):
    monkeypatch.setattr("joblib.cpu_count", lambda: 8)
    monkeypatch.delenv("RIBSTUDY_CORES", raising=False)
    if given:
        monkeypatch.setenv("RIBSTUDY_CORES", given)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(ranks_here))
    assert ranks.cores() == expected


def test_torch_uses_no_more_threads_than_there_are_cores(monkeypatch):
    monkeypatch.setattr(ranks, "cores", lambda: 2)
    for before, within in ((1, 1), (3, 2)):
        with ranks.threads(before):
            with ranks.threads_within_cores():
                assert torch.get_num_threads() == within
            assert torch.get_num_threads() == before


@pytest.mark.skipif(os.getuid() or not shutil.which("unshare"), reason="only root can limit the control group of a test")
def test_the_limits_of_a_container_count():
    """Half of the machine's memory and one core, as a container shows them."""
    shown = f"mount -t tmpfs tmpfs {limits.GROUPS} && cd {limits.GROUPS} && echo '100000 100000' > cpu.max"
    shown += f" && echo {machine() // 2} > memory.max"
    program = "from ribstudy.runtime import limits, ranks; print(ranks.cores(), limits.memory())"
    command = ["unshare", "-m", "bash", "-c", f'{shown} && exec "$0" -c "$1"', sys.executable, program]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    if done.returncode and "unshare" in done.stderr + "mount" in done.stderr:
        pytest.skip(done.stderr)
    assert done.stdout.split() == ["1", str(machine() // 2)]


def test_make_gives_snakemake_the_cores_of_the_container():
    (line,) = [line for line in (ROOT / "Makefile").read_text().splitlines() if line.startswith("CORES = ")]
    program = re.search(r'-c "(.*)"', line)[1]
    environment = {**os.environ, "RIBSTUDY_CORES": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout == "1\n"


def test_shared_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "SHARED_MEMORY", tmp_path)
    assert limits.shared_memory() > 0
    monkeypatch.setattr(limits, "SHARED_MEMORY", tmp_path / "none")
    assert limits.shared_memory() is None


def test_that_memory_ran_out_is_known_from_the_errors_of_the_libraries():
    with pytest.raises(RuntimeError) as of_torch:
        torch.empty(2**60, dtype=torch.uint8)
    with pytest.raises(MemoryError) as of_numpy:
        np.empty(2**60, np.uint8)
    of_a_gpu = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
    for error in (of_torch.value, of_numpy.value, of_a_gpu, MemoryError()):
        with pytest.raises(limits.OutOfMemory, match=r"memory ran out \(.+\); smaller images"), limits.memory_named():
            raise error
    with pytest.raises(RuntimeError, match="another fault"), limits.memory_named():
        raise RuntimeError("another fault")
