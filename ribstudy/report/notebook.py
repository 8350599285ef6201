"""Messages of a notebook to the person who runs it: the sources of results, the running stage, and the parameters in use."""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from IPython.core.interactiveshell import InteractiveShell

from ribstudy.report.parameters import Cell, values_not_in_use
from ribstudy.runtime import environment, paths
from ribstudy.runtime.progress import in_notebook, is_live
from ribstudy.store import Result, commit_name

OTHER_CODE = (
    "**Computed by other code:** some results of this page do not come from the present code of their stages. The page on the "
    "status of the study lists them."
)


class Interrupted(KeyboardInterrupt):
    """A person has interrupted a cell. A notebook shows two lines, without a traceback."""

    @classmethod
    def at(cls, stage: str, folder: Path) -> "Interrupted":
        """While a stage computed, whose result is in a folder."""
        return cls(f"{stage}: interrupted; what is finished is kept in {shortened(folder)}")

    def _render_traceback_(self) -> list[str]:
        """The lines that IPython shows in place of the traceback."""
        return [str(self), "Run the cell again to compute the rest."]


def shorten_interrupts(shell: InteractiveShell) -> None:
    """Lets a notebook show every interrupt in two lines, whatever the cell was doing."""

    def show(shell: InteractiveShell, _kind: type, error: BaseException, _traceback: Any, tb_offset: int | None = None) -> None:
        told = error if isinstance(error, Interrupted) else Interrupted("interrupted; what stages have finished is kept")
        shell.showtraceback((type(told), told, None))

    shell.set_custom_exc((KeyboardInterrupt,), show)


class _Lines(logging.Handler):
    """Prints messages to the standard output, because Jupyter shows the standard error in red."""

    def emit(self, record: logging.LogRecord) -> None:
        print(self.format(record), flush=True)


def show_messages() -> None:
    """Lets a notebook show the messages of stages and the warnings of libraries as plain lines."""
    if not in_notebook():
        return
    logging.captureWarnings(True)
    for name in ("ribstudy", "py.warnings"):
        logger = logging.getLogger(name)
        logger.handlers = [_Lines()]
        logger.propagate = False
    logging.getLogger("ribstudy").setLevel(logging.INFO)


def origin(stage: str, result: Result) -> str:
    """A line that says where a finished result was found, when it was computed, and by which commit."""
    record = result.record()
    commit = commit_name(record.get("git") or {})
    return f"{stage}: found in {shortened(result.place)}, computed on {record['finished'][:10]} by " + (
        f"commit {commit}" if commit else "code that is in no commit"
    )


def text_of_other_code(result: Result) -> str:
    """The message about a result that does not come from the present code of its stage, and how to compute it again.

    A page of the book has the same message for all of its results.
    """
    if not is_live():
        return OTHER_CODE
    text = f"**Computed by other code:** `{result.folder.name}` does not come from the present code of its stage."
    commit = commit_name(result.record().get("git") or {})
    if result.computed_here:
        return f"{text} It comes from commit {commit or 'unknown'}. To compute it again, delete `{shortened(result.folder)}`."
    return (
        f"{text} It was published from commit {commit or 'unknown'}. To compute it again, set the environment variable "
        "`RIBSTUDY_PUBLISHED` to an empty folder before you start Jupyter."
    )


def shortened(path: Path) -> str:
    """A path below the project relative to it, any other path as it is."""
    return str(path.relative_to(paths.PROJECT)) if path.is_relative_to(paths.PROJECT) else str(path)


@dataclass(frozen=True)
class ParameterWatch:
    """Before each cell, warns of parameters that were changed after the start of a chapter, which uses their former values.

    Args:
        history: the sources of the executed cells, which IPython extends.
        started: how many of them were executed before the start.
        used: the values in use, by name.
        saved: the sources of the cells as they were last saved, if that was after the start: a changed cell need not have run.
        warn: shows a warning.
    """

    history: list[str]
    started: int
    used: Mapping[str, Any]
    saved: Callable[[], Sequence[str]] = list
    warn: Callable[[str], Any] = print

    def __call__(self, info: Any) -> None:
        """Is called by IPython with the cell that it is about to execute."""
        if Cell.of(info.raw_cell).headed or "start(" in info.raw_cell:
            return
        executed = values_not_in_use(self.history[self.started :], self.used)
        changed = executed or values_not_in_use(self.saved(), self.used)
        if changed:
            now = ", ".join(f"{name} = {value!r}" for name, value in changed.items())
            used = ", ".join(f"{name} = {self.used.get(name)!r}" for name in changed)
            self.warn(f"{now} is not in use: the chapter was started with {used}. Run the parameters and start(...) again.")

    def begin(self, events: Any) -> None:
        """Begins to watch, and ends the watch of an earlier start. `events`: the events of an IPython shell."""
        for callback in [each for each in events.callbacks["pre_run_cell"] if isinstance(each, ParameterWatch)]:
            events.unregister("pre_run_cell", callback)
        events.register("pre_run_cell", self)


def saved_since(path: Path | None, time: float) -> list[str]:
    """The sources of the code cells in a notebook's file; [] if it was not saved after a time (seconds) or cannot be read."""
    try:
        if path is None or path.stat().st_mtime <= time:
            return []
        cells = json.loads(path.read_bytes())["cells"]
        return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    except (OSError, ValueError, KeyError, TypeError):  # no notebook, or an editor is just writing it
        return []


def open_file() -> Path | None:
    """The file of the notebook that runs here, as Jupyter's server names it; None without a server."""
    name = environment.text("JPY_SESSION_NAME")
    return None if name is None else Path(name)
