"""The plan of a batch: the results that its runs show, each made once, and what comes before what; the Snakefile follows it."""

import json
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ribstudy.config import Settings, load_settings
from ribstudy.runtime.files import digest
from ribstudy.stages import STAGES, work_key
from ribstudy.workflow import jobs as study
from ribstudy.workflow.batch import Batch, BatchRun
from ribstudy.workflow.jobs import Job

Row = tuple[str, str, str]  # what, its state, where to look


@dataclass(frozen=True)
class Work:
    """What one process does: a stage under one or more settings, when the works `after` are done.

    name: of the file that says that it is done; the same for the same work of any run. results: the overrides of each result.
    """

    name: str
    stage: str
    results: tuple[dict[str, Any], ...]
    after: tuple[str, ...]

    @property
    def scattered(self) -> bool:
        """Whether it goes image by image, so that jobs can share the images."""
        return self.stage not in (*study.WHOLE_STAGES, "toy")

    @property
    def gpus(self) -> int:
        return 0 if self.stage in ("data", "toy") or STAGES[self.stage].on_cpu else 1

    def command(self, preset: str) -> str:
        """What follows `python -m ribstudy`."""
        texts = [{name: json.dumps(value) for name, value in result.items()} for result in self.results]
        common = {name: text for name, text in texts[0].items() if all(other.get(name) == text for other in texts)}
        words = [self.stage, "--preset", preset]
        for name, text in common.items():
            words += ["--set", f"{name}={text}"]
        if len(self.results) > 1:
            for result in self.results:
                words += ["--each", json.dumps({name: value for name, value in result.items() if name not in common})]
        return shlex.join(words)


class Plan:
    """works: by name, in an order in which they can be done. shown: by name of the run, the works that its notebook shows."""

    def __init__(self, batch: Batch, runs: Sequence[BatchRun]):
        """ValueError for settings that a job of a run cannot have."""
        self.runs = {run.name: run for run in runs}
        self.works: dict[str, Work] = {}
        self._makers: dict[str, str] = {}  # work by the key of a result
        self._root = {"data.root": str(batch.data_root)} if batch.data_root else {}
        self._settings = cache(lambda overrides: load_settings(batch.preset, json.loads(overrides)))
        self.shown: dict[str, tuple[str, ...]] = {}
        self.last = []  # pages that show what the others have left, not jobs of their own
        for run in runs:
            jobs = study.chapters(self.settings(run.overrides)).get(run.notebook)
            if jobs is None:
                self.last.append(run.name)
            self.shown[run.name] = _unique(name for job in jobs or () for name in self._add(job, run.overrides))

    def settings(self, overrides: dict[str, Any]) -> Settings:
        return self._settings(json.dumps({**self._root, **overrides}))

    def before(self, run: str) -> list[str]:
        """The runs whose notebooks come before that of `run`."""
        return [name for name in self.runs if name not in self.last] if run in self.last else []

    def _add(self, job: Job, overrides: dict[str, Any]) -> tuple[str, ...]:
        """The works that make a job's results; those that no earlier job makes become a new one."""
        made = {}
        for result in job.results():
            full = {**self._root, **overrides, **result}
            made[work_key(job.stage, self.settings(full))] = full
        new = {key: full for key, full in made.items() if key not in self._makers}
        if new:
            after = _unique(name for earlier in job.after for name in self._add(earlier, overrides))
            name = f"{job.stage}-{next(iter(new)) if len(new) == 1 else digest(list(new))}"
            self.works[name] = Work(name, job.stage, tuple(new.values()), after)
            self._makers |= dict.fromkeys(new, name)
        return _unique(self._makers[key] for key in made)

    def needed(self, works: Iterable[str]) -> list[str]:
        """The works and all that they come after, in order."""
        found = set()

        def visit(name: str) -> None:
            if name not in found:
                found.add(name)
                for earlier in self.works[name].after:
                    visit(earlier)

        for name in works:
            visit(name)
        return [name for name in self.works if name in found]


def _unique(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def outcome(plan: Plan, *, done: Path, logs: Path, notebooks: Path, since: float) -> list[Row]:
    """What became of the works that failed, and of every run.

    done: folder of the works' stamps; logs: of what they said, a file for each of their jobs; notebooks: of the executed
    notebooks, `unfinished/` of those that failed; since: the time, in seconds, after which a log is of this batch.
    """
    waiting = {name for name in plan.works if not (done / name).exists()}
    rows = []
    for name in plan.works:
        told = [path for path in sorted(logs.glob(f"{name}.*log")) if path.stat().st_mtime >= since] if name in waiting else []
        told = [path for path in told if not (done / path.name.removesuffix(".log")).exists()]
        rows += [(path.name.removesuffix(".log"), "failed", str(path)) for path in told]
    failed = {what.partition(".")[0] for what, _, _ in rows}
    for run in plan.runs:
        path, unfinished = notebooks / f"{run}.ipynb", notebooks / "unfinished" / f"{run}.ipynb"
        lacking = [name for name in plan.needed(plan.shown[run]) if name in waiting]
        needs = [name for name in lacking if name in failed] or lacking
        needs = needs or [other for other in plan.before(run) if not (notebooks / f"{other}.ipynb").exists()]
        if unfinished.exists() and unfinished.stat().st_mtime >= since:
            rows.append((run, "failed", str(unfinished)))
        elif path.exists() and not needs:
            rows.append((run, "done", str(path)))
        else:  # one of an earlier call does not count where what it shows is to be made anew
            rows.append((run, "not run", f"needs {needs[0]}" if needs else ""))
    return rows


def table(rows: Sequence[Row]) -> str:
    """The rows with their columns below each other."""
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(2)]
    return "\n".join(f"  {what:<{widths[0]}}  {state:<{widths[1]}}  {where}".rstrip() for what, state, where in rows)
