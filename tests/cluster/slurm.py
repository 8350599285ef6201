"""A Slurm on this machine, for tests: two nodes on loopback with pretended GPUs, a small one without, and accounting.

Debian's slurmd runs twice on one host. Its configuration has to be in /etc/slurm, so this needs root. Nothing of it is secret
or safe: the passwords are in this file, and everything listens on loopback only.
"""

import contextlib
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

ETC = Path("/etc/slurm")
PROGRAMS = ("slurmctld", "slurmd", "slurmdbd", "munged", "mariadbd", "mariadb-install-db", "sbatch")
PATIENCE = 900  # seconds until a part of the cluster has to answer

SLURM_CONF = """
ClusterName=loop
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort=16817
SlurmdPort=16818
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/run/munge.socket
CredType=cred/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
ReturnToService=2
SlurmctldPidFile={folder}/run/slurmctld.pid
SlurmdPidFile={folder}/run/slurmd-%n.pid
SlurmdSpoolDir={folder}/spool-%n
StateSaveLocation={folder}/state
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd-%n.log
SlurmdParameters=config_overrides
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=5,sched_interval=5
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=2
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort=16819
AccountingStoragePass={folder}/run/munge.socket
InactiveLimit=0
KillWait=5
MinJobAge=300
CommunicationParameters=NoInAddrAny
GresTypes=gpu
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port=16821 {cores} RealMemory=70000 Gres=gpu:1
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port=16822 {cores} RealMemory=70000 Gres=gpu:1
NodeName=n3 NodeHostname={host} NodeAddr=127.0.0.1 Port=16823 {cores} RealMemory=24000
PartitionName=main Nodes=n1,n2 Default=YES MaxTime=INFINITE DefaultTime=60 State=UP
PartitionName=plain Nodes=n3 MaxTime=INFINITE DefaultTime=60 State=UP
"""
CORES = "CPUs=8 Sockets=1 CoresPerSocket=8 ThreadsPerCore=1"
NODES = ("n1", "n2", "n3")
GRES_CONF = "NodeName=n1 Name=gpu File=/dev/null\nNodeName=n2 Name=gpu File=/dev/null\n"
DBD_CONF = """
AuthType=auth/munge
AuthInfo=socket={folder}/run/munge.socket
DbdHost={host}
DbdAddr=127.0.0.1
DbdPort=16819
SlurmUser=root
PidFile={folder}/run/slurmdbd.pid
LogFile={folder}/log/slurmdbd.log
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort=13306
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm_acct_db
"""
DATABASE = (  # the user of localhost is needed next to the empty one that a new database has
    "create database slurm_acct_db; create user 'slurm'@'localhost' identified by 'slurm'; "
    "create user 'slurm'@'127.0.0.1' identified by 'slurm'; grant all on slurm_acct_db.* to 'slurm'@'localhost'; "
    "grant all on slurm_acct_db.* to 'slurm'@'127.0.0.1';"
)


def missing() -> list[str]:
    """The programs of a Slurm that are not installed."""
    return [name for name in PROGRAMS if shutil.which(name) is None]


class Slurm:
    """A running Slurm. `start` takes about a minute; `stop` ends exactly the processes that it has started."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._processes: list[subprocess.Popen] = []
        for name in ("etc", "run", "log", "state", "db", *(f"spool-{node}" for node in NODES)):
            (folder / name).mkdir(parents=True)

    def start(self) -> None:
        """Starts everything. Raises TimeoutError, with the folder of the logs, if a part does not answer."""
        self._configure()
        run, log = self.folder / "run", self.folder / "log"
        files = [f"--key-file={run.parent}/etc/munge.key", f"--socket={run}/munge.socket", f"--pid-file={run}/munged.pid"]
        files += [f"--log-file={log}/munged.log", f"--seed-file={run}/munged.seed"]
        self._begin("munged", "--foreground", "--force", *files)
        self._start_database()
        self._begin("slurmdbd", "-D")
        self._until(lambda: _works("sacctmgr", "-i", "add", "cluster", "loop"), "slurmdbd")
        self._begin("slurmctld", "-D", "-i")
        for node in NODES:
            self._begin("slurmd", "-D", "-N", node)
        _call("sacctmgr", "-i", "add", "account", "me")
        _call("sacctmgr", "-i", "add", "user", "root", "account=me")
        self._until(lambda: _call("sinfo", "-h", "-N", "-o", "%T").split() == ["idle"] * len(NODES), "slurmd")

    def stop(self) -> None:
        """Ends the daemons, the last one first, and removes the links from /etc/slurm."""
        for process in reversed(self._processes):
            process.terminate()
        for process in reversed(self._processes):
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
        for name in ("slurm.conf", "gres.conf", "slurmdbd.conf"):
            with contextlib.suppress(FileNotFoundError):
                (ETC / name).unlink()

    def _configure(self) -> None:
        etc, host = self.folder / "etc", socket.gethostname()
        values = {"folder": self.folder, "host": host, "cores": CORES}
        texts = {"slurm.conf": SLURM_CONF, "slurmdbd.conf": DBD_CONF, "gres.conf": GRES_CONF}
        ETC.mkdir(exist_ok=True)
        for name, text in texts.items():
            (etc / name).write_text(text.format(**values).lstrip())
            (etc / name).chmod(0o600 if name == "slurmdbd.conf" else 0o644)
            if (ETC / name).exists() and not (ETC / name).is_symlink():
                raise FileExistsError(f"{ETC / name}: this machine has a Slurm of its own")
            (ETC / name).unlink(missing_ok=True)
            (ETC / name).symlink_to(etc / name)
        (etc / "munge.key").write_bytes(secrets.token_bytes(128))
        (etc / "munge.key").chmod(0o400)

    def _start_database(self) -> None:
        data, sock = f"--datadir={self.folder}/db", f"{self.folder}/run/mariadb.sock"
        _call("mariadb-install-db", "--no-defaults", "--user=root", data, "--auth-root-authentication-method=normal")
        address = ["--bind-address=127.0.0.1", "--port=13306", f"--socket={sock}"]
        self._begin("mariadbd", "--no-defaults", "--user=root", data, *address)
        client = ("mariadb", "--no-defaults", "-u", "root", f"--socket={sock}")
        self._until(lambda: _works(*client, "-e", "select 1"), "mariadbd")
        _call(*client, "-e", DATABASE)

    def _begin(self, *command: str) -> None:
        with (self.folder / "log" / f"{command[0]}.out").open("a") as out:
            self._processes.append(subprocess.Popen(command, stdout=out, stderr=out))

    def _until(self, answers, part: str) -> None:
        end = time.monotonic() + PATIENCE
        while not answers():
            if time.monotonic() > end:
                raise TimeoutError(f"{part} does not answer; its logs are in {self.folder / 'log'}")
            time.sleep(0.5)


def _call(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _works(*command: str) -> bool:
    return subprocess.run(command, capture_output=True).returncode == 0


def accounted(field: str, numbers: Sequence[str]) -> list[str]:
    """A field of sacct, such as ReqMem, for each of some jobs."""
    return _call("sacct", "-X", "-n", "-P", "-j", ",".join(numbers), "-o", field).split()


def jobs(*states: str) -> list[Sequence[str]]:
    """The number, the state and the comment of each job in some states (such as RUNNING), or of all jobs."""
    lines = _call("squeue", "-h", "-t", ",".join(states) or "all", "-o", "%i|%T|%k").splitlines()
    return [line.split("|", 2) for line in lines]
