"""What became of a batch: the table at its end."""

from collections.abc import Sequence
from pathlib import Path

from ribstudy.workflow.plan import Plan

Row = tuple[str, str, str]  # what, its state, where to look


def outcome(plan: Plan, *, done: Path, logs: Path, notebooks: Path, since: float) -> list[Row]:
    """What became of every group of jobs that failed, and of every run.

    Args:
        plan: of the batch.
        done: folder of the files that mark a group as done.
        logs: folder of the groups' logs, a file for each of their processes.
        notebooks: folder of the executed notebooks; failed ones are in its folder `unfinished`.
        since: seconds since the epoch; an older log is not of this batch.
    """
    waiting = {name for name in plan.groups if not (done / name).exists()}
    rows = [row for name in plan.groups if name in waiting for row in _failures(name, done, logs, since)]
    failed = {what.partition(".")[0] for what, _, _ in rows}
    return rows + [_row_of_run(plan, run, waiting, failed, notebooks, since) for run in plan.runs]


def _failures(group: str, done: Path, logs: Path, since: float) -> list[Row]:
    told = [path for path in sorted(logs.glob(f"{group}.*log")) if path.stat().st_mtime >= since]
    told = [path for path in told if not (done / path.name.removesuffix(".log")).exists()]
    return [(path.name.removesuffix(".log"), "failed", str(path)) for path in told]


def _row_of_run(plan: Plan, run: str, waiting: set[str], failed: set[str], notebooks: Path, since: float) -> Row:
    path, unfinished = notebooks / f"{run}.ipynb", notebooks / "unfinished" / f"{run}.ipynb"
    missing = [name for name in plan.needed(plan.shown[run]) if name in waiting]
    needs = [name for name in missing if name in failed] or missing
    needs = needs or [other for other in plan.before(run) if not (notebooks / f"{other}.ipynb").exists()]
    if unfinished.exists() and unfinished.stat().st_mtime >= since:
        return (run, "failed", str(unfinished))
    if path.exists() and not needs:
        return (run, "done", str(path))
    # The notebook of an earlier call does not count if what it shows has to be computed again.
    return (run, "not run", f"needs {needs[0]}" if needs else "")


def table(rows: Sequence[Row]) -> str:
    """The rows as text in aligned columns."""
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(2)]
    return "\n".join(f"  {what:<{widths[0]}}  {state:<{widths[1]}}  {where}".rstrip() for what, state, where in rows)
