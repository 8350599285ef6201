"""The number of jobs for the paper's data sets, as the dry run with the shipped profile says it, for `make cluster-test`."""

import os
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cluster import full_size
from cluster.outcome import ROOT, note
from cluster.project import SNAKEMAKE

pytestmark = pytest.mark.skipif(
    "RIBSTUDY_CLUSTER_TESTS" not in os.environ,
    reason="make cluster-test plans for folders of over 100,000 files, which takes long",
)


def dry_run(name: str, data: Path, folder: Path) -> str:
    """The output of a dry run of a shipped batch, without any results."""
    command = [SNAKEMAKE, "--snakefile", ROOT / "Snakefile", "--profile", ROOT / "profiles" / "slurm", "--dry-run", "batch"]
    variables = {f"RIBSTUDY_{place}": str(folder / place.lower()) for place in ("RESULTS", "DATA", "PUBLISHED")}
    config = ["--config", f"batch={name}", f"data_root={data}"]
    environment = {**os.environ, **variables, "OMP_NUM_THREADS": "1"}
    run = subprocess.run([*command, *config], cwd=folder, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert "could not be done" not in run.stderr
    return run.stdout + run.stderr


@pytest.mark.parametrize(
    ("name", "write", "shards", "goal"),
    [("voc12", full_size.voc12, 8, 60), ("coco14", full_size.coco14, 32, 100)],
    ids=["voc12", "coco14"],
)
def test_a_batch_of_the_papers_data_is_few_jobs(tmp_path, request, name, write, shards, goal):
    write(tmp_path / "given")
    said = dry_run(name, tmp_path / "given", tmp_path)
    jobs, cores, hours = re.search(r"on a cluster: (\d+) jobs of (\d+) cores, (\S+) GPU hours expected", said).groups()
    row = {"batch": name, "shards": shards, "jobs of the cluster": int(jobs), "goal": f"below {goal}"}
    row |= {"cores of each": int(cores), "expected GPU hours": float(hours), "date": f"{datetime.now(UTC):%Y-%m-%d}"}
    note("jobs", request.node.name, row)
    assert int(jobs) < goal
