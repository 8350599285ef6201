"""Two nodes that share their results over NFS: a User-mode Linux with an NFS server and two mounts of it stands for them.

`make cluster-test` runs this. It is skipped without root, and where these packages are missing (Debian and Ubuntu: apt install
user-mode-linux nfs-kernel-server). Locks and new files pass through the protocol of NFS, because the mounts share no cache.
"""

import filecmp
import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ("linux.uml", "rpc.nfsd", "rpc.mountd", "mount.nfs")
MODULES = Path("/usr/lib/uml/modules")
PATIENCE = 1800  # seconds; guards against hanging, and measures no speed
NUM_ITEMS = 12
RUN = [sys.executable, "-P", "-m", "ribstudy"]
PRESET = ["--preset", str(ROOT / "tests" / "smallest.yml")]
RIB = [*RUN, "rib", *PRESET, "--images", f"split=train_aug,limit={NUM_ITEMS}"]

pytestmark = [
    pytest.mark.skipif("RIBSTUDY_CLUSTER_TESTS" not in os.environ, reason="make cluster-test starts a Linux for it"),
    pytest.mark.skipif(
        not all(map(shutil.which, PROGRAMS)) or not MODULES.is_dir(), reason="no user-mode-linux, or no NFS server"
    ),
    pytest.mark.skipif(os.geteuid() != 0, reason="an NFS server needs root, also in a User-mode Linux"),
]


@pytest.fixture(scope="module")
def places(tmp_path_factory) -> dict[str, str]:
    """Variables of the runs, and the results with a finished training."""
    folder = tmp_path_factory.mktemp("nfs")
    names = {f"RIBSTUDY_{name}": str(folder / name.lower()) for name in ("RESULTS", "DATA", "PUBLISHED")}
    given = {**names, "OMP_NUM_THREADS": "1", "RIBSTUDY_CORES": "1", "PYTHONPATH": str(ROOT)}
    subprocess.run([*RUN, "classifier", *PRESET], env={**os.environ, **given}, check=True, capture_output=True)
    return given


@pytest.fixture(scope="module")
def local(places, tmp_path_factory) -> Path:
    """The maps of one process without NFS."""
    results = tmp_path_factory.mktemp("local") / "results"
    shutil.copytree(places["RIBSTUDY_RESULTS"], results)
    subprocess.run(RIB, env={**os.environ, **places, "RIBSTUDY_RESULTS": str(results)}, check=True, capture_output=True)
    return _maps(results)


def _maps(results: Path) -> Path:
    (folder,) = results.glob("runs/rib-*")
    return folder


def two_nodes(places, out: Path, *, kill_at: int) -> Path:
    """The folder of the maps after both nodes have ended."""
    Path("/lib/modules").mkdir(exist_ok=True)  # where the script mounts the modules of the User-mode Linux
    given = {"RESULTS": places["RIBSTUDY_RESULTS"], "OUT": out, "PROJECT": ROOT, "KILL_AT": kill_at, "COMMAND": shlex.join(RIB)}
    lines = [f"export {name}={shlex.quote(str(value))}" for name, value in {**places, **given}.items()]
    script = out / "init.sh"
    script.write_text(
        "\n".join(["#!/bin/bash", *lines, f"exec bash {shlex.quote(str(Path(__file__).with_name('nfs_nodes.sh')))}"])
    )
    script.chmod(0o755)
    command = [
        "linux.uml",
        "mem=3000M",
        "root=/dev/root",
        "rootfstype=hostfs",
        "rw",
        f"init={script}",
        "con=null",
        "con0=fd:0,fd:1",
    ]
    subprocess.run(command, stdin=subprocess.DEVNULL, stdout=(out / "linux.log").open("w"), timeout=PATIENCE)
    assert (out / "ended").exists(), "".join(log.read_text()[-2000:] for log in out.glob("*.log"))
    return _maps(out / "results")


@pytest.mark.parametrize("kill_at", [0, 3], ids=["both end", "one is killed"])
def test_two_nodes_share_the_items_of_a_result(kill_at, places, local, tmp_path):
    found = two_nodes(places, tmp_path, kill_at=kill_at)
    mounts = (tmp_path / "mounts").read_text().splitlines()
    assert len(mounts) == 2
    assert all("local_lock=none" in mount for mount in mounts)  # the server decides who has a lock
    names = sorted(path.name for path in (local / "items").iterdir())
    assert len(names) == NUM_ITEMS
    assert filecmp.cmpfiles(local / "items", found / "items", names, shallow=False)[0] == names
    counts = [json.loads(line)["items"] for line in (found / "sessions.jsonl").read_text().splitlines()]
    assert sum(counts) <= NUM_ITEMS  # nothing was computed twice; the count of a killed process is lost
    if not kill_at:
        assert len(counts) == 2
        assert min(counts) > 0
        assert sum(counts) == NUM_ITEMS
