"""Runs a Python program in which a fault happens: at a file event, at a number of bytes in a file, or in the clock.

    python faulty.py --folder results --die-at-event 7 -- -m ribstudy rib --preset mini

A file event is an attempt to open a file for writing, or to rename, remove or make one, in the folder. The events are the same
in every run of the program.
"""

import argparse
import os
import random
import resource
import runpy
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import time_machine

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link", "os.symlink")
YEAR = 365 * 24 * 3600  # seconds


def _is_file_event(event: str, arguments: tuple, folder: str) -> bool:
    """Whether an audit event of Python is a file event in the folder."""
    if event == "open":
        path, mode, flags = arguments
        return (
            isinstance(path, str) and path.startswith(folder) and bool((flags or 0) & WRITES or set(mode or "") & set("wax+"))
        )
    return event in CHANGES and str(arguments[0]).startswith(folder)


def at_file_events(folder: Path, happen: Callable[[int], None]) -> None:
    """Calls `happen` with the number of each file event, before it takes place."""
    count, prefix = 0, str(folder.resolve())

    def hook(event: str, arguments: tuple) -> None:
        nonlocal count
        if _is_file_event(event, arguments, prefix):
            count += 1
            happen(count)

    sys.addaudithook(hook)


def die_at(number: int) -> Callable[[int], None]:
    def happen(count: int) -> None:
        if count == number:
            os.kill(os.getpid(), signal.SIGKILL)

    return happen


def count_into(file: Path) -> Callable[[int], None]:
    return lambda count: file.write_text(str(count))


def die_at_byte(number: int) -> None:
    """Lets the kernel kill this process when it writes beyond this number of bytes in any file."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (number, number))
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # Python ignores it otherwise


def let_clock_jump(seed: int) -> Callable[[int], None]:
    """Starts a clock that jumps by up to a year, forwards or backwards, at every file event."""
    rng, clock = random.Random(seed), time_machine.travel(time.time()).start()
    return lambda count: clock.shift(rng.uniform(-YEAR, YEAR))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--die-at-event", type=int)
    parser.add_argument("--die-at-byte", type=int)
    parser.add_argument("--clock", type=int, metavar="SEED")
    parser.add_argument("--count", type=Path, help="file that gets the number of file events")
    place = sys.argv.index("--")
    options, program = parser.parse_args(sys.argv[1:place]), sys.argv[place + 2 :]
    if options.count:
        at_file_events(options.folder, count_into(options.count))
    if options.die_at_event:
        at_file_events(options.folder, die_at(options.die_at_event))
    if options.clock is not None:
        at_file_events(options.folder, let_clock_jump(options.clock))
    if options.die_at_byte:
        die_at_byte(options.die_at_byte)
    sys.argv = program
    runpy.run_module(program[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
