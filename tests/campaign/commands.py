"""The commands of the campaign, their files if nothing disturbs them, and the comparison with the files after a fault."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
TINY = ROOT / "tests" / "smallest.yml"
FAULTY = Path(__file__).with_name("faulty.py")
CHAPTER = "03_cam"
BATCH = "batch.yml"
COMMANDS: Mapping[str, Sequence[str]] = {
    "classifier": ["ribstudy", "classifier"],
    "cam": ["ribstudy", "cam", "--processes", "1"],
    "rib": ["ribstudy", "rib", "--processes", "1"],
    "masks": ["ribstudy", "masks", "--processes", "1"],
    "segmentation": ["ribstudy", "segmentation"],
    "batch": ["snakemake", "batch", "--snakefile", str(ROOT / "Snakefile"), "--cores", "2", "--quiet", "progress"],
    "publish": ["ribstudy", "publish", "--chapters", CHAPTER],
}
# Entries that differ between two undisturbed runs: times, and the machine and commit.
OF_A_RUN = {"finished", "seconds", "sessions", "git", "published", "core_seconds", "device"}
NOT_COMPARED = re.compile(r"sessions\.jsonl|\.lock|.*\.lock|\.content|reads|logs|costs\.json|.*\.ipynb|\.snakemake|\.done")
LIMIT = 600  # seconds; a command that takes longer hangs


class Deviation(AssertionError):
    """A command did not do what it should after a fault."""


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    returncode: int
    output: str
    seconds: float


@dataclass(frozen=True)
class Step:
    """A command that nothing disturbs.

    Args:
        name: one of `COMMANDS`.
        before, after: the work folders in which it starts, and that it leaves.
        seconds: its duration.
        events: the number of its file events (see faulty.py).
        largest: the size of its largest file, in bytes.
    """

    name: str
    before: Path
    after: Path
    seconds: float
    events: int
    largest: int


def command(name: str, *faults: str) -> list[str]:
    """The command line of a command, for the current folder."""
    program, *arguments = COMMANDS[name]
    if program == "ribstudy":
        arguments += ["--preset", str(TINY)]
    else:
        arguments += ["--config", f"batch={BATCH}"]
    return [sys.executable, str(FAULTY), *faults, "--", "-m", program, *arguments]


def environment(work: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not re.match(r"COV_|PYTEST_|RIBSTUDY_", name)}
    places = {f"RIBSTUDY_{name.upper()}": str(work / name) for name in ("results", "data", "published")}
    return {**kept, **places, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), **more}


def start(name: str, work: Path, *faults: str, prefix: Sequence[str] = ()) -> subprocess.Popen:
    """Starts a command in a work folder, in a process group of its own. `prefix`: a program that starts it."""
    return subprocess.Popen(
        [*prefix, *command(name, *faults)],
        cwd=work,
        env=environment(work),
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def end(process: subprocess.Popen, seconds: float = LIMIT) -> Done:
    """Waits for the end of a command. Raises Deviation, and kills it, if it hangs."""
    begin = time.monotonic()
    try:
        output, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        raise Deviation(f"hangs, has said:\n{output}") from None
    return Done(process.returncode, output, time.monotonic() - begin)


def run(name: str, work: Path, *faults: str, prefix: Sequence[str] = ()) -> Done:
    return end(start(name, work, *faults, prefix=prefix))


def undisturbed(folder: Path, names: Sequence[str] = tuple(COMMANDS)) -> list[Step]:
    """Runs the commands once, one after another, and keeps the work folder after each."""
    before = folder / "nothing"
    before.mkdir(parents=True)
    batch = {"preset": str(TINY), "notebooks": [CHAPTER]}
    (before / BATCH).write_text(yaml.safe_dump({"about": "One chapter.", **batch}))
    steps = []
    for name in names:
        after, count = folder / name, folder / "count"
        shutil.copytree(before, after, symlinks=True)
        done = run(name, after, "--folder", str(after), "--count", str(count))
        if done.returncode:
            raise Deviation(f"{name}: fails without a fault:\n{done.output}")
        old = files(before)
        largest = max((len(content) for path, content in files(after).items() if old.get(path) != content), default=1)
        steps.append(Step(name, before, after, done.seconds, int(count.read_text()), largest))
        before = after
    return steps


def files(work: Path) -> dict[str, bytes]:
    """The content of all files of a work folder by path, without the entries that differ between two undisturbed runs."""
    found = {}
    for path in sorted(work.rglob("*")):
        relative = path.relative_to(work)
        if path.is_dir() or any(NOT_COMPARED.fullmatch(part) for part in relative.parts):
            continue
        content = path.read_bytes()
        if path.suffix == ".json":
            content = json.dumps(_without(json.loads(content)), sort_keys=True).encode()
        found[str(relative)] = content
    return found


def _without(value: object) -> object:
    if isinstance(value, dict):
        return {name: _without(of) for name, of in value.items() if name not in OF_A_RUN}
    return [_without(of) for of in value] if isinstance(value, list) else value


def require_equal(step: Step, work: Path, fault: str) -> None:
    """Raises Deviation unless a work folder has the files of the undisturbed step."""
    expected, found = files(step.after), files(work)
    different = sorted(path for path in {*expected, *found} if expected.get(path) != found.get(path))
    if different:
        raise Deviation(f"{step.name}, {fault}: other files than undisturbed: {', '.join(different)}")
