"""The outcome of a batch: the table that is printed at its end."""

from collections.abc import Sequence
from pathlib import Path

from ribstudy.evaluation.statistics import NOT_RUN
from ribstudy.workflow.plan import Plan

Row = tuple[str, str, str]  # a run or a group of jobs, its state, and the file or group to look at


def outcome(plan: Plan, *, done: Path, logs: Path, notebooks: Path, since: float) -> list[Row]:
    """A row for every group of jobs that failed, and a row for every run.

    Args:
        plan: the plan of the batch.
        done: folder of the files that mark a group as done.
        logs: folder of the groups' logs, with one file for each process.
        notebooks: folder of the executed notebooks; failed notebooks are in its subfolder `unfinished`.
        since: start of the batch, in seconds since the epoch; older logs are ignored.
    """
    waiting = {name for name in plan.pending if not (done / name).exists()}
    rows = [row for name in plan.groups if name in waiting for row in _failures(name, done, logs, since)]
    failed = {what.partition(".")[0] for what, _, _ in rows}
    return rows + [_row_of_run(plan, run, waiting, failed, notebooks, since) for run in plan.runs]


def _failures(group: str, done: Path, logs: Path, since: float) -> list[Row]:
    told = [path for path in sorted(logs.glob(f"{group}.*log")) if path.stat().st_mtime >= since]
    told = [path for path in told if not (done / path.name.removesuffix(".log")).exists()]
    return [(path.name.removesuffix(".log"), "failed", str(path)) for path in told]


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
