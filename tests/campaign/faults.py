"""The faults. Each disturbs a command in a copy of its work folder. Then the same command must repair everything."""

import math
import os
import random
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from campaign.commands import LIMIT, Deviation, Done, Step, command, end, environment, require_equal, run, start

# A user of its own, who may mount file systems that no other process sees.
OWN_MOUNTS = ["unshare", "--user", "--map-root-user", "--mount"]
ROOM = 400 * 2**20  # bytes of the file system, more than any command asks for before it starts
# The command twice in a file system of its own. While it works the first time, something else fills the file system.
ON_A_FULL_DISK = """
set -e
mount -t tmpfs -o size="$ROOM" tmpfs "$2"
cp -a "$1/." "$2"
cd "$2"
shift 2
code=0
"$@" > /dev/null 2> "$OUTPUT" &
sleep "$MOMENT"
head -c "$ROOM" /dev/zero > .filler 2> /dev/null || true
wait $! || code=$?
rm .filler
again=0
"$@" > "$OUTPUT.again" 2>&1 || again=$?
cp -a . "$KEPT"
echo "$code $again"
"""


def has_own_mounts() -> bool:
    """Whether this machine lets its users mount file systems that no other process sees."""
    tried = subprocess.run([*OWN_MOUNTS, "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True, check=False)
    return tried.returncode == 0


def _kill_at(moment: signal.Signals) -> Callable[[Step, Path, random.Random], str]:
    def disturb(step: Step, work: Path, rng: random.Random) -> str:
        process, seconds = start(step.name, work), rng.uniform(0, step.seconds)
        try:
            output, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, moment)
            output = end(process).output
        if moment is signal.SIGTERM and "Traceback" in output:
            raise Deviation(f"{step.name}: SIGTERM after {seconds:.1f} s gives a traceback:\n{output}")
        return f"after {seconds:.1f} of {step.seconds:.1f} s"

    return disturb


def _die_at_event(step: Step, work: Path, rng: random.Random) -> str:
    number = rng.randint(1, step.events)
    run(step.name, work, "--folder", str(work), "--die-at-event", str(number))
    return f"at file event {number} of {step.events}"


def _die_in_a_write(step: Step, work: Path, rng: random.Random) -> str:
    number = round(math.exp(rng.uniform(0, math.log(step.largest))))
    run(step.name, work, "--die-at-byte", str(number))
    return f"at byte {number} of a file"


def _full_disk(step: Step, work: Path, rng: random.Random) -> str:
    moment = rng.uniform(0, step.seconds)
    output, kept = work.with_name("output"), work.with_name("kept")
    for path in (kept, work):
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
    done = subprocess.run(
        [*OWN_MOUNTS, "bash", "-c", ON_A_FULL_DISK, "bash", str(step.before), str(work), *command(step.name)],
        env=environment(work, ROOM=str(ROOM), MOMENT=f"{moment:.2f}", OUTPUT=str(output), KEPT=str(kept)),
        capture_output=True,
        text=True,
        timeout=2 * LIMIT,
        check=False,
    )
    where = f"full disk after {moment:.1f} of {step.seconds:.1f} s"
    codes = re.fullmatch(r"(\d+) (\d+)\n", done.stdout)
    if not codes:
        raise Deviation(f"{step.name}, {where}: cannot be tried:\n{done.stderr}")
    said, own_message = output.read_text(), step.name != "batch"  # Snakemake has its own
    if codes[1] != "0" and own_message and ("Traceback" in said or not re.search("No space left|are free there", said)):
        raise Deviation(f"{step.name}, {where}: the message is\n{said}")
    if codes[2] != "0":
        raise Deviation(f"{step.name}, {where}: fails again with space:\n{output.with_name('output.again').read_text()}")
    shutil.rmtree(work)
    kept.rename(work)
    return f"{where}: exit status {codes[1]}"


def _clock(step: Step, work: Path, rng: random.Random) -> str:
    _require_success(step, run(step.name, work, "--folder", str(work), "--clock", str(rng.randrange(10**6))))
    return "clock jumps at every file event"


def _twice(step: Step, work: Path, rng: random.Random) -> str:
    both = [start(step.name, work), start(step.name, work)]
    ended = [end(process) for process in both]
    failed = [done for done in ended if done.returncode]
    if len(failed) == 2 or any("is at work in another process" not in done.output for done in failed):
        raise Deviation(f"{step.name}, two at once: {failed[0].output}")
    return "two at once"


def _read_only_data(step: Step, work: Path, rng: random.Random) -> str:
    mount = 'mount --bind "$PWD/data" "$PWD/data" && mount -o remount,bind,ro "$PWD/data" && exec "$@"'
    _require_success(step, run(step.name, work, prefix=[*OWN_MOUNTS, "bash", "-c", mount, "bash"]))
    return "read-only data"


def _no_network(step: Step, work: Path, rng: random.Random) -> str:
    _require_success(step, run(step.name, work, prefix=["unshare", "--user", "--map-root-user", "--net"]))
    return "no network"


def _require_success(step: Step, done: Done) -> None:
    if done.returncode:
        raise Deviation(f"{step.name}: fails:\n{done.output}")


Fault = Callable[[Step, Path, random.Random], str]
KILLS: Mapping[str, Fault] = {
    "SIGKILL at a random moment": _kill_at(signal.SIGKILL),
    "SIGTERM at a random moment": _kill_at(signal.SIGTERM),
    "killed before a file is opened, moved or removed": _die_at_event,
    "killed in the middle of a write": _die_in_a_write,
}
# Each with the number of its trials on each command, and the commands that it suits.
OTHERS: Mapping[str, tuple[Fault, int, Callable[[Step], bool]]] = {
    "full disk": (_full_disk, 3, lambda step: True),
    "clock that jumps": (_clock, 1, lambda step: True),
    "two runs of the same": (_twice, 2, lambda step: True),
    "read-only data": (_read_only_data, 1, lambda step: (step.before / "data").is_dir()),
    # The notebooks of a batch talk to their kernels through the loopback network.
    "no network": (_no_network, 1, lambda step: step.name != "batch"),
}
FAULTS: Mapping[str, Fault] = {**KILLS, **{name: fault for name, (fault, _, _) in OTHERS.items()}}


def trial(step: Step, fault: str, folder: Path, rng: random.Random) -> str:
    """Disturbs a command, runs it again, and compares what it leaves. Returns what happened; raises Deviation."""
    work = folder / "work"
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(step.before, work, symlinks=True)
    happened = FAULTS[fault](step, work, rng)
    again = run(step.name, work)
    if again.returncode:
        raise Deviation(f"{step.name}, {fault} ({happened}): the same command fails afterwards:\n{again.output}")
    require_equal(step, work, f"{fault} ({happened})")
    return happened
