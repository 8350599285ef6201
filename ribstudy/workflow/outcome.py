"""The outcome of a batch: the table that is printed at its end."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ribstudy.evaluation.statistics import NOT_RUN
from ribstudy.workflow import slurm
from ribstudy.workflow.plan import Plan
from ribstudy.workflow.waves import Wave

# A run, a group of jobs or a part of a wave; its state; why it failed, and the file or group to look at.
Row = tuple[str, str, str]


@dataclass(frozen=True)
class Failure:
    """The last failure of a job. reason: "" if it failed by itself. log: the file to look at."""

    reason: str
    log: str

    @property
    def text(self) -> str:
        return "; ".join(filter(None, (self.reason, self.log)))


class Failures(logging.Handler):
    """Listens to Snakemake's messages, and keeps the last failure of each job by the name of the file that it should write."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, Failure] = {}
        self._requests: dict[Any, str] = {}  # by Snakemake's number of the job

    def emit(self, record: logging.LogRecord) -> None:
        told = vars(record)
        event = getattr(told.get("event"), "name", "")
        if event == "JOB_INFO":
            self._requests[told["jobid"]] = slurm.request(dict(told["resources"].items()), told["threads"])
        elif event == "JOB_ERROR" and told["rule_name"] != "gather":
            for path in told.get("output") or []:
                self.found[Path(path).name] = self._failure(told)

    def _failure(self, told: Mapping[str, Any]) -> Failure:
        """The failure that a message tells of. Its list of logs ends with Slurm's log if Slurm ran the job."""
        message, logs = str(told.get("rule_msg") or ""), [Path(str(path)) for path in told.get("log") or []]
        of_slurm = logs.pop() if logs and "SLURM-job" in message else None
        reason = slurm.reason(message, of_slurm)
        asked = self._requests.get(told["jobid"], "")
        said = [path for path in logs if path.is_file() and path.stat().st_size > 0]  # by the stage itself
        shown = of_slurm if reason or not said else said[0]
        return Failure(f"{reason} (asked for {asked})" if reason and asked else reason, str(shown or next(iter(logs), "")))


def outcome(
    plan: Plan,
    waves: Mapping[str, Wave],
    failures: Mapping[str, Failure],
    *,
    done: Path,
    logs: Path,
    notebooks: Path,
    since: float,
) -> list[Row]:
    """A row for every group of jobs and every part of a wave that failed, and a row for every run.

    Args:
        plan: the plan of the batch.
        waves: its waves.
        failures: the failures of jobs, by the name of the file in `done` that they should write.
        done: folder of the files that mark a group as done; the file of a part of a wave lists the groups that failed in it.
        logs: folder of the groups' logs, with one file for each process.
        notebooks: folder of the executed notebooks; failed notebooks are in its subfolder `unfinished`.
        since: start of the batch, in seconds since the epoch; older notebooks are ignored.
    """
    failed: dict[str, Row] = {}
    missing = {name: failure for name, failure in failures.items() if not (done / name).exists()}
    for name, failure in missing.items():
        if name.partition(".")[0] in plan.groups:
            failed[name] = (name, "failed", failure.text)
    for wave in waves.values():
        failed |= _failures_of_wave(plan, wave, missing, done, logs)
    waiting = {name for name in plan.pending if not (done / name).exists()}
    groups = {name.partition(".")[0] for name in failed}
    return [*failed.values(), *(_row_of_run(plan, run, waiting, groups, notebooks, since) for run in plan.runs)]


def _failures_of_wave(plan: Plan, wave: Wave, missing: Mapping[str, Failure], done: Path, logs: Path) -> dict[str, Row]:
    """The rows of the groups that failed in parts of a wave, by group and part."""
    rows = {}
    for name, failure in missing.items():  # parts that were ended before they had done all groups
        if name.startswith(f"{wave.name}."):
            part = name.partition(".")[2]
            for group in wave.groups:
                if group in plan.pending and not (done / group).exists():
                    rows[f"{group}.{part}"] = (f"{group}.{part}", "failed", failure.text)
    for mark in sorted(done.glob(f"{wave.name}.*")):
        for group in mark.read_text().split():
            name = f"{group}.{mark.name.partition('.')[2]}"
            rows[name] = (name, "failed", str(logs / f"{name}.log"))
    return rows


def _row_of_run(plan: Plan, run: str, waiting: set[str], failed: set[str], notebooks: Path, since: float) -> Row:
    path, unfinished = notebooks / f"{run}.ipynb", notebooks / "unfinished" / f"{run}.ipynb"
    missing = [name for name in plan.missing(run) if name in waiting]
    needs = [name for name in missing if name in failed] or missing
    needs = needs or [other for other in plan.before(run) if not (notebooks / f"{other}.ipynb").exists()]
    if unfinished.exists() and unfinished.stat().st_mtime >= since:
        return (run, "failed", str(unfinished))
    if path.exists() and not needs:
        return (run, "done", str(path))
    # The notebook of an earlier call does not count if its results have to be computed again.
    return (run, NOT_RUN, f"needs {needs[0]}" if needs else "")


def table(rows: Sequence[Sequence[str]]) -> str:
    """The rows as text in aligned columns."""
    columns = list(zip(*rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    return "\n".join("  " + "  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
