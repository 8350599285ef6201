"""Mutated inputs: the library reads what other code reads, or refuses the input and names the file."""

import os
import pickle
import random
import resource
import shutil
import signal
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from campaign.commands import Deviation
from campaign.given import Given
from campaign.mutations import mutate

SECONDS = 60  # the bound on time; a trial takes a fraction of a second
BYTES = 2 * 2**30  # the bound on memory, in addition to the memory of the parent process


def trial(given: Given, folder: Path, rng: random.Random) -> str:
    """Mutates a file of the input. Returns the mutation and "read" or "refused"; raises Deviation."""
    root = folder / "input"
    shutil.rmtree(root, ignore_errors=True)
    given.write(root)
    original = given.slow(root)
    path = rng.choice(sorted(path for path in root.rglob("*") if path.is_file()))
    mutation, content = mutate(path.read_bytes(), path.name, rng)
    path.write_bytes(content)
    what = f"{mutation} of {path.relative_to(root)}"
    try:
        expected = given.slow(root)
    except Exception:  # then the library may refuse the input, or read it as if it had not changed
        expected = original
    kind, found = in_own_process(lambda: _outcome(given, root))
    if kind == "refused" and not _names(found, path):
        raise Deviation(f"{what}: refused without the name of the file:\n{found}")
    if kind == "failed":
        raise Deviation(f"{what}: {found}")
    if kind == "read" and not given.agree(found, expected):
        raise Deviation(f"{what}: read differently than by other code:\n{_differences(expected, found)}")
    return f"{mutation}: {kind}"


def _outcome(given: Given, root: Path) -> tuple[str, Any]:
    try:
        return "read", given.read(root)
    except ValueError as error:
        return "refused", str(error)


def _names(message: str, path: Path) -> bool:
    return path.name in message or path.stem in message


def _differences(expected: Any, found: Any) -> str:
    if not (isinstance(expected, dict) and isinstance(found, dict)):
        return f"{expected} by other code, {found} by the library"
    keys = [key for key in expected if expected[key] != found.get(key)] or [key for key in found if key not in expected]
    return "\n".join(f"{key}: {expected.get(key)!r} by other code, {found.get(key)!r} by the library" for key in sorted(keys))


def in_own_process(work: Callable[[], tuple[str, Any]]) -> tuple[str, Any]:
    """The result of `work`, or ("failed", why), from a child process with bounded time and memory."""
    reading, writing = os.pipe()
    if child := os.fork():
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            content = pipe.read()
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            return "failed", f"the process ended by {signal.Signals(os.WTERMSIG(status)).name}"
        return pickle.loads(content)
    os.close(reading)
    signal.alarm(SECONDS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + BYTES, used + BYTES))
    try:
        result = work()
    except BaseException:
        result = "failed", traceback.format_exc()
    with os.fdopen(writing, "wb") as pipe:
        pickle.dump(result, pipe)
    os._exit(0)
