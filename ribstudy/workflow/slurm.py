"""Slurm's view of a batch: the jobs of an earlier call that are still alive, and the reason why a job failed."""

import re
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ribstudy.runtime.words import counted

ALIVE = "PENDING,CONFIGURING,RUNNING,SUSPENDED,COMPLETING,REQUEUED"
SECONDS_BETWEEN_LOOKS = 10
STATES = {
    "OUT_OF_MEMORY": "out of memory",
    "TIMEOUT": "time limit",
    "DEADLINE": "time limit",
    "CANCELLED": "cancelled",
    "NODE_FAIL": "its node failed",
    "BOOT_FAIL": "its node failed",
}
# Slurm's messages in the log of a job that it ends. The state of the job can still be FAILED.
SIGNS = {
    r"oom.kill|out of memory|exceeded .*memory|memory limit": "out of memory",
    r"DUE TO TIME LIMIT": "time limit",
    r"DUE TO NODE FAILURE": "its node failed",
    r"CANCELLED AT": "cancelled",
    r"srun: error: .*": "srun failed",
}


@dataclass(frozen=True)
class AliveJob:
    """A job that waits or runs: its number, its state and its work."""

    number: str
    state: str
    work: str


def alive(name: str) -> list[AliveJob]:
    """This user's jobs whose names begin with `name`; none if there is no Slurm, or if it does not answer."""
    if shutil.which("squeue") is None:
        return []
    command = ["squeue", "--me", "--noheader", "--states", ALIVE, "--format", "%i|%T|%j|%k"]
    run = subprocess.run(command, capture_output=True, text=True)
    jobs = [line.split("|", 3) for line in run.stdout.splitlines()]
    return [AliveJob(number, state, comment) for number, state, job_name, comment in jobs if job_name.startswith(name)]


def wait_for(name: str, tell: Callable[[str], None]) -> None:
    """Waits until no job is alive whose name begins with `name`; `tell` is told which these are, whenever one ends."""
    told: list[AliveJob] = []
    while jobs := alive(name):
        if [job.number for job in jobs] != [job.number for job in told]:
            tell(description(jobs))
            told = jobs
        time.sleep(SECONDS_BETWEEN_LOOKS)


def description(jobs: list[AliveJob]) -> str:
    """The text for a user whose earlier call was killed and left these jobs."""
    lines = [f"  {job.number}  {job.state.lower()}  {job.work}" for job in jobs]
    end = f"to end them: scancel {' '.join(job.number for job in jobs)}"
    return "\n".join(
        [f"{len(jobs)} jobs of an earlier call are alive; a call waits for them, as their work counts; {end}", *lines]
    )


def reason(message: str, log: Path | None) -> str:
    """Why a job failed, from the message of Snakemake's plugin and the log that Slurm wrote; "" if it failed by itself."""
    if "sbatch failed" in message:
        return f"refused by the scheduler: {_between(message, 'message was ')}"
    state = re.search(r"status is: '(\w+)", message)
    if state and state[1] in STATES:
        return STATES[state[1]]
    text = log.read_text(errors="replace") if log is not None and log.is_file() else ""
    return next((why for sign, why in SIGNS.items() if re.search(sign, text, re.IGNORECASE)), "")


def request(resources: Mapping[str, object], threads: int) -> str:
    """The request of a job in words."""
    memory, minutes, gpus = (resources.get(name) for name in ("mem_mb", "runtime", "gpu"))
    asked = (
        counted(threads, "core"),
        f"{memory} MB of memory" if memory else "",
        counted(minutes, "minute") if minutes else "",
        counted(gpus, "GPU") if gpus else "",
    )
    return ", ".join(filter(None, asked))


def _between(message: str, start: str) -> str:
    """The quoted text after `start`, in one line, without the names of programs."""
    found = re.search(re.escape(start) + r"'(.*?)'\.?\n", message, re.DOTALL)
    lines = (found[1] if found else message).splitlines()
    return " ".join(line.removeprefix("sbatch: error: ").strip() for line in lines)
