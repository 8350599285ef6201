"""Running a stage: in one process or several, in shards, or on several ranks.

A stage whose result is finished is skipped. A stage that was killed resumes where it stopped. Processes that work on the same
result share its items: each claims an item before it computes it, and waits at the end for the items that others have claimed.
"""

import contextlib
import logging
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from ribstudy import datasets
from ribstudy.evaluation.statistics import NOT_RUN
from ribstudy.runtime import limits, ranks
from ribstudy.runtime.claims import Claims
from ribstudy.runtime.files import file_digest, locked
from ribstudy.runtime.processes import map_in_processes, refuse_while_importing
from ribstudy.runtime.progress import following, track
from ribstudy.stages.failures import ItemFailure, ItemsFailed
from ribstudy.stages.preflight import require, require_room, unfinished
from ribstudy.stages.registry import STAGES
from ribstudy.stages.source import other_code, source_digest
from ribstudy.stages.stage import ItemStage, Run, Stage, WholeStage, only_checks, reads_data
from ribstudy.store import Result

log = logging.getLogger(__name__)

SECONDS_BETWEEN_LOOKS = 2.0  # at the items that other processes have claimed
# The errors of a single image (its file, its numbers, its size), after which the other images are still computed.
ITEM_ERRORS = (ValueError, ArithmeticError)


@dataclass(frozen=True)
class Shard:
    """One of `count` nearly equal parts of the items; `index` counts from 0."""

    index: int = 0
    count: int = 1

    def __post_init__(self):
        if not 0 <= self.index < self.count:
            raise ValueError(f"shard {self.index}/{self.count}: expected an index from 0 and a count above it, such as 0/2")

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """The shard that a text such as "0/2" (the first of two) describes. Raises ValueError for any other text."""
        index, _, count = text.partition("/")
        if not (index.isdecimal() and count.isdecimal()):
            raise ValueError(f"shard {text!r}: expected INDEX/COUNT, such as 0/2 for the first of two")
        return cls(int(index), int(count))

    @classmethod
    def of_this_rank(cls) -> "Shard | None":
        """The shard of this rank if torchrun or accelerate launch started several processes, else None."""
        found = ranks.rank()
        return cls(*found) if found else None

    def of(self, names: list[str]) -> list[str]:
        return names[self.index :: self.count]

    def part(self, index: int, count: int) -> "Shard":
        """One of `count` parts of this shard."""
        return Shard(self.index + self.count * index, self.count * count)


def execute(stage: Stage, run: Run, *, shard: Shard | None = None, processes: int | None = 1) -> Result:
    """Runs a stage, after the stages it needs. Finished results are not computed again.

    Args:
        stage: one of `ribstudy.stages.STAGES`.
        run: settings, images, store and device.
        shard: the part of the items to compute. By default all of them, or with several ranks, the shard of this rank. A
            stage that is needed for the same images computes only the same items.
        processes: number of worker processes that share the items; None: `default_processes`. On a CPU each process uses one
            torch thread, because the rounding of a sum depends on the number of threads. An item is therefore the same to the
            last bit however it is computed.

    Returns:
        The result. It is unfinished if other shards are still missing.

    Raises:
        ItemsFailed: some items could not be computed; the others are kept.
        ValueError: something is missing that this stage or one before it requires (`preflight`), or the given workers have no
            room, before any work starts; or another rank failed to compute a stage that this one needs.
    """
    refuse_while_importing()
    _check_inputs(stage, run)
    return _execute(stage, run, shard, processes)


def _check_inputs(stage: Stage, run: Run) -> None:
    """Checks everything that the work requires, so that an error is raised now and not after hours of training."""
    pending = list(unfinished(stage, run))
    require_room(pending)
    if run.given_workers is not None and any(each.decodes_ahead for each, _ in pending):
        ranks.check_workers(run.given_workers)
    if any(reads_data(each, run.settings) for each, _ in pending):
        datasets.require_pictures(run.settings.data)
    for each, its_run in pending:
        if only_checks(each):
            _execute(each, its_run, shard=None, processes=1)
    require(pending)
    for each, its_run in pending:
        its_run.items(each)


def _execute(stage: Stage, run: Run, shard: Shard | None, processes: int | None) -> Result:
    """Runs a stage whose inputs are checked, after the stages it needs (see `execute`)."""
    result = run.result(stage)
    if ranks.agreed(run.is_finished(stage)):
        if result.outgrown and ranks.is_first():
            _finish(stage, run, result)
        level = logging.DEBUG if only_checks(stage) else logging.INFO
        code = " (by other code than today's)" if other_code(stage, result) else ""
        log.log(level, "%s: finished before%s, in %s", stage.name, code, result.place)
        return result
    _execute_needs(stage, run if shard is None else replace(run, only=tuple(shard.of(run.items(stage)))), processes)
    if isinstance(stage, WholeStage):
        _run_whole(stage, run, result)
        return result
    rank = Shard.of_this_rank()
    processes = processes or default_processes(stage, run)
    if processes > 1 and rank is None:
        _run_side_by_side(stage, run, shard or Shard(), processes)
        return result
    try:
        _run_items(stage, run, result, shard or rank or Shard())
    finally:
        ranks.wait_for_all()  # as soon as one rank exits with an error, a launcher stops all others
    return result


def _execute_needs(stage: Stage, run: Run, processes: int | None) -> None:
    for need in stage.needs(run.settings):
        _execute(need.stage, run.of(need), shard=None, processes=processes)
        if ranks.rank() and not ranks.agreed(run.of(need).is_finished(need.stage)):
            raise ValueError(f"{stage.name} needs {need.stage.name}, which not all ranks have finished; see their messages")


def _run_whole(stage: WholeStage, run: Run, result: Result) -> None:
    first = ranks.is_first()
    result.folder.mkdir(parents=True, exist_ok=True)
    with _locked_by_first(result.folder / ".lock", stage.name):
        if ranks.agreed(run.is_finished(stage)):
            return
        if first:
            log.info("%s: computing", stage.name)
        if first or stage.shared:
            session = result.session(run.device, code=source_digest(stage))
            with session as notes, _processor_time(notes), limits.memory_named():
                stage.work(run, result)
        ranks.wait_for_all()
        if first:
            _finish(stage, run, result)
    ranks.wait_for_all()


@contextlib.contextmanager
def _processor_time(notes: dict) -> Iterator[None]:
    """Notes the seconds of all cores that this process and its finished worker processes spend in the block."""
    start = _core_seconds()
    try:
        yield
    finally:
        notes["core_seconds"] = round(_core_seconds() - start, 3)


def _core_seconds() -> float:
    """The processor time of this process so far, and of its finished worker processes, which is counted in steps of 0.01 s."""
    workers = os.times()
    return time.process_time() + workers.children_user + workers.children_system


@contextlib.contextmanager
def _locked_by_first(path: Path, stage: str) -> Iterator[None]:
    """Locks a stage's folder, because two runs may need the same training. The first rank takes the lock for all ranks."""
    with locked(path, f"stage {stage}") if ranks.is_first() else contextlib.nullcontext():
        yield


def _run_items(stage: ItemStage, run: Run, result: Result, shard: Shard) -> None:
    names = run.items(stage)
    missing = [name for name in shard.of(names) if not result.has_item(name)]
    failures: dict[str, ItemFailure] = {}
    result.folder.mkdir(parents=True, exist_ok=True)
    with Claims(result.folder) as claims:
        while missing:
            failures |= _compute(stage, run, result, missing, shard, claims)
            missing = _left_by_others(stage, result, [name for name in missing if name not in failures], claims)
    if failures:
        raise ItemsFailed(stage.name, failures, result.folder)
    done = sum(map(result.has_item, names))
    if done == len(names):
        _finish(stage, run, result)
    else:
        log.info("%s: %d of %d items done; the rest belongs to other shards", stage.name, done, len(names))


def _compute(
    stage: ItemStage, run: Run, result: Result, names: list[str], shard: Shard, claims: Claims
) -> dict[str, ItemFailure]:
    """Computes and writes the items that no other process has claimed; returns the failed items by name."""
    log.info("%s: computing %d of %d", stage.name, len(names), len(run.items(stage)))
    failures = {}
    code = source_digest(stage)
    with result.session(run.device, code=code) as notes, _processor_time(notes), ranks.one_thread(run.device):
        notes.update(shard=f"{shard.index}/{shard.count}", items=0)
        if stage.on_gpu:
            _use_exact_kernels()
        work = stage.worker(run, names)
        for name in track(names, stage.name):
            with claims.on(name) as claimed:
                if not claimed or _is_there(result, name):
                    continue
                try:
                    with limits.memory_named():
                        result.write_item(name, work(name))
                    notes["items"] += 1
                except ITEM_ERRORS as error:
                    failures[name] = ItemFailure.of(error)
                    log.error("%s: item %s failed: %s", stage.name, name, error)
                except Exception as error:
                    error.add_note(f"stage {stage.name}, item {name}; the items before it are kept in {result.folder}")
                    raise
    return failures


def _use_exact_kernels() -> None:
    """Undoes what an earlier stage of this process set, and torch's default, which rounds float32 to TF32 in convolutions.

    `cam` and `rib` then set the precision that their settings ask for.
    """
    from ribstudy.models.kernels import use_exact_kernels

    use_exact_kernels()


def _left_by_others(stage: ItemStage, result: Result, names: list[str], claims: Claims) -> list[str]:
    """Waits until other processes have computed the items that they have claimed.

    Returns the items that they have left, because they were killed or failed; an empty list if all are done.
    """
    told = False
    while names := [name for name in names if not _is_there(result, name)]:
        if left := [name for name in names if claims.is_free(name) and not _is_there(result, name)]:
            return left
        if not told:
            owners = "; ".join(claims.others()) or "process not known"
            log.info("%s: waits for another run (%s), which computes %d items", stage.name, owners, len(names))
            told = True
        time.sleep(SECONDS_BETWEEN_LOOKS)
    return []


def _is_there(result: Result, name: str) -> bool:
    """Whether an item exists, also if another node has just written it: NFS looks again at a folder that is opened."""
    if result.has_item(name):
        return True
    with contextlib.suppress(FileNotFoundError):
        os.close(os.open(result.item_path(name).parent, os.O_RDONLY))
    return result.has_item(name)


def _run_side_by_side(stage: ItemStage, run: Run, shard: Shard, processes: int) -> None:
    names, result = shard.of(run.items(stage)), run.result(stage)
    missing = [name for name in names if not result.has_item(name)]
    count = min(processes, len(names))
    if count <= 1:  # in this process
        _run_items(stage, run, result, shard)
        return
    log.info("%s: computing %d of %d", stage.name, len(missing), len(names))
    shards = [shard.part(index, count) for index in range(count)]
    failures = {}
    with following(lambda: sum(map(result.has_item, missing)), stage.name, total=len(missing)):
        for failed in map_in_processes(partial(_run_shard, stage.name, run), shards, processes=count):
            failures |= failed
    if failures:
        raise ItemsFailed(stage.name, failures, result.folder)


def _run_shard(name: str, run: Run, shard: Shard) -> dict[str, ItemFailure]:
    """Runs a shard in a worker process, which finds the stage by its name; returns the failed items by name."""
    stage = STAGES[name]
    try:
        _run_items(stage, run, run.result(stage), shard)
    except ItemsFailed as error:
        return error.failures
    return {}


def _finish(stage: Stage, run: Run, result: Result) -> None:
    result.finish(
        {
            "stage": stage.name,
            "key": stage.key(run.settings),
            "identity": stage.identity(run.settings),
            "device": run.device,
            "items": len(result.item_names()),
            "files": {file: file_digest(result.path(file)) for file in _files_here(stage, result)},
            "inputs": stage.inputs(run),
        }
    )


def _files_here(stage: Stage, result: Result) -> list[str]:
    return [file for file in stage.files if result.path(file).is_file()] if isinstance(stage, WholeStage) else []


def default_processes(stage: ItemStage, run: Run) -> int:
    """The number of processes for a stage: on a CPU one per core, if memory allows; on an accelerator one."""
    return ranks.processes_with(stage.memory(run)) if run.device == "cpu" or not stage.on_gpu else 1


def status(stage: Stage, run: Run) -> dict:
    """The state of a stage, the seconds spent on it, its key and its folder. Computes nothing."""
    result = run.result(stage)
    started = result.finished or result.folder.is_dir()
    items = run.items(stage) if started else []
    done = sum(map(result.has_item, items))
    here = result.computed_here and done == len(items)
    state = NOT_RUN if not started else "finished" if here else "published" if result.bundle is not None else "unfinished"
    return {
        "stage": stage.name,
        "state": state + (f" ({done}/{len(items)})" if items else ""),
        "seconds": sum(session["seconds"] for session in result.sessions()),
        "key": stage.key(run.settings),
        "folder": str(result.folder),
    }
