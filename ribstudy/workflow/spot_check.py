"""The spot check: some published items are computed again from the published weights, and both are compared."""

import math
import random
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO

import numpy as np

from ribstudy.config import load_settings
from ribstudy.items import ARRAYS, MASKS, Arrays, Item, ItemFormat
from ribstudy.runtime.files import write_json
from ribstudy.runtime.machine import machine_name
from ribstudy.stages import ItemStage, Run, WholeStage, execute
from ribstudy.store import Result, Store, git_state
from ribstudy.workflow.planned import PlannedResult, is_training, planned_results, result_name

# The largest accepted deviation. On the same kind of machine, items are equal to the bit. On another kind, rounding differs in
# the last digits, which moves some pixels across thresholds; that stays far below this share.
ROUNDING = 0.02
# Stages whose items contain a training. Rounding errors grow with its steps, so the deviation is reported and not judged.
TOLERANCES: Mapping[str, float | None] = {"toy": None, "toy-conditions": None}


class SpotCheckError(ValueError):
    """Today's code computes other values than the published ones. The message has one line for each item."""


@dataclass(frozen=True)
class Difference:
    """The largest difference between two items.

    Args:
        size: relative to the largest published value of the field, or for masks the share of pixels; 0 if all arrays are equal
            to the bit, infinite if shapes, texts or the names of the arrays differ.
        field: the array that differs most; "" if none does.
        published, found: the values, at the place of the array where they differ most.
    """

    size: float
    field: str = ""
    published: str = ""
    found: str = ""


@dataclass(frozen=True)
class Check:
    """A published item, computed again. Tolerance: None if the difference is only reported."""

    stage: str
    key: str
    item: str
    difference: Difference
    tolerance: float | None
    seconds: float

    @property
    def ok(self) -> bool:
        return self.tolerance is None or self.difference.size <= self.tolerance

    def __str__(self) -> str:
        place = f"{self.stage} {self.item} (result {self.stage}-{self.key})"
        if not self.difference.field:
            return f"{place}: equal"
        of = self.difference
        return f"{place}: {of.field} is {of.published} as published and {of.found} now, a deviation of {of.size:.2g}"


def tolerance_of(stage: str) -> float | None:
    """The largest accepted deviation of a stage's items; None: any."""
    return TOLERANCES.get(stage, ROUNDING)


def spot_check(
    preset: str, overrides: Mapping[str, Any], store: Store, *, seed: int | None = None, per_stage: int = 2
) -> list[Check]:
    """Computes random published items of each stage of a preset again, in a temporary folder.

    Only results whose weights are published, and whose photographs are at hand, can be checked. All stages check the same
    images as far as they have them, because they share much of the computation. Stages that do not compute images, such as
    `toy`, check one item.

    Args:
        preset, overrides: the settings, as of `load_settings`.
        store: the results that are computed here are not looked at, only the published ones.
        seed: of the draws; None: the day's date as a number.
        per_stage: number of items of each stage.
    """
    with TemporaryDirectory(prefix="ribstudy-check-") as folder:
        published = Store(Path(folder) / "none", store.published_folder)
        planned = planned_results(preset, overrides, Run(load_settings(preset, dict(overrides)), store=published))
        rng = random.Random(today() if seed is None else seed)
        drawn = _draw(_candidates(planned, published), rng, per_stage)
        return [recompute(result.stage, result.run_of[item], item, Path(folder) / "scratch") for result, item in drawn]


def today() -> int:
    """The date as a number, such as 20250131."""
    return int(datetime.now(UTC).strftime("%Y%m%d"))


def _candidates(planned: Mapping[str, PlannedResult], store: Store) -> list[tuple[PlannedResult, str]]:
    """The published items of results whose weights are published, and whose photographs are at hand."""
    trainings = {name: result for name, result in planned.items() if is_training(result.stage)}
    trained = {name for name, result in trainings.items() if result.runs[0].is_finished(result.stage)}
    found = []
    for name, result in planned.items():
        bundle = store.published.bundle(name) if result.has_pictures else None
        if bundle is not None and isinstance(result.stage, ItemStage) and result.trainings <= trained:
            found += [(result, item) for item in bundle.items if item in result.run_of]
    return found


def _draw(
    candidates: Sequence[tuple[PlannedResult, str]], rng: random.Random, per_stage: int
) -> list[tuple[PlannedResult, str]]:
    names = sorted({item for _, item in candidates})
    place = dict(zip(rng.sample(names, len(names)), range(len(names)), strict=True))
    drawn = []
    for stage in dict.fromkeys(result.stage for result, _ in candidates):
        of_stage: dict[str, list[PlannedResult]] = {}
        for result, item in candidates:
            if result.stage is stage:
                of_stage.setdefault(item, []).append(result)
        count = per_stage if stage.of_images else 1
        drawn += [(rng.choice(of_stage[item]), item) for item in sorted(of_stage, key=place.__getitem__)[:count]]
    return drawn


def recompute(stage: ItemStage, run: Run, item: str, folder: Path) -> Check:
    """Computes a finished item again, with the trainings and the other items in the store of `run`, and compares both.

    Args:
        stage, run: the stage and the run that contain the item.
        folder: for the results. Needed items that are in it from an earlier call are not computed again.
    """
    again = [stage, *([stage.scores] if stage.scores else [])]
    scratch = _Scratch(folder, run.store, frozenset(result_name(of, run) for of in again))
    start = time.perf_counter()
    found = execute(stage, replace(run, store=scratch, only=(item,))).read_item(item)
    seconds = round(time.perf_counter() - start, 2)
    difference = compare(run.result(stage).read_item(item), found, stage.format)
    return Check(stage.name, stage.key(run.settings), item, difference, tolerance_of(stage.name), seconds)


def differing_files(stage: WholeStage, run: Run, files: Iterable[str], folder: Path) -> list[str]:
    """Computes a finished stage again, such as a training, and names the files whose bytes differ, one sentence for each.

    The order in which threads add depends on their number, so it has to be the number of the first computation.

    Args:
        stage, run, folder: as of `recompute`.
        files: names of files of the stage's result.
    """
    import torch  # here, because pages that only show results should not wait for it

    scratch = _Scratch(folder, run.store, frozenset({result_name(stage, run)}))
    found, finished = execute(stage, replace(run, store=scratch)), run.result(stage)
    return [
        f"{file} of {result_name(stage, run)} differs (computed now with {torch.get_num_threads()} threads)"
        for file in files
        if finished.file_digest(file) != found.file_digest(file)
    ]


def compare(published: Item, found: Item, item_format: ItemFormat) -> Difference:
    """The largest difference between two items of the same format."""
    ours, theirs = (item_format.to_arrays(item) for item in (published, found))
    compared = [_compare_field(field, ours, theirs, share=item_format is MASKS) for field in {**ours, **theirs}]
    return max(compared, key=lambda difference: difference.size, default=Difference(0))


def _compare_field(field: str, published: Arrays, found: Arrays, *, share: bool) -> Difference:
    if field not in published or field not in found:
        return Difference(math.inf, field, *("missing" if field not in of else "there" for of in (published, found)))
    ours, theirs = np.asarray(published[field]), np.asarray(found[field])
    if ours.shape != theirs.shape:
        return Difference(math.inf, field, f"of shape {ours.shape}", f"of shape {theirs.shape}")
    unequal = (ours != theirs) & ~((ours != ours) & (theirs != theirs))  # NaN is equal to NaN
    if not unequal.any():
        return Difference(0)
    if ours.dtype.kind in "US":
        distances, size = unequal, math.inf
    elif share:
        distances, size = unequal, float(unequal.mean())
    else:
        differences = np.where(unequal, ours.astype(np.float64) - theirs.astype(np.float64), 0)
        distances = np.nan_to_num(np.abs(differences), nan=np.inf)
        scale = np.nanmax(np.abs(ours.astype(np.float64)))
        size = float(distances.max() / scale) if scale > 0 else math.inf
    place = np.unravel_index(distances.argmax(), distances.shape)
    return Difference(size, field, str(ours[place]), str(theirs[place]))


class _Layered(Result):
    """A result in a scratch folder. Missing items and files are read from the original result, which is never written."""

    def __init__(self, folder: Path, items: ItemFormat, original: Result):
        super().__init__(folder, items)
        self.original = original

    @property
    def finished(self) -> bool:
        return super().finished or self.original.finished

    def has_file(self, name: str) -> bool:
        return super().has_file(name) or self.original.has_file(name)

    def open(self, name: str) -> BinaryIO:
        return super().open(name) if super().has_file(name) else self.original.open(name)

    def has_item(self, name: str) -> bool:
        return super().has_item(name) or self.original.has_item(name)

    def read_item(self, name: str) -> Item:
        return super().read_item(name) if super().has_item(name) else self.original.read_item(name)


class _Scratch(Store):
    """A store that writes into its own folder. Results that are missing in it are read from another store, except some."""

    def __init__(self, root: Path, original: Store, again: frozenset[str]):
        super().__init__(root, original.published_folder)
        self.original = original
        self.again = again

    def result(self, stage: str, key: str, items: ItemFormat = ARRAYS) -> Result:
        folder = self.root / "runs" / f"{stage}-{key}"
        if folder.name in self.again:
            return Result(folder, items)
        return _Layered(folder, items, self.original.result(stage, key, items))


def write_checks(path: Path, checks: Iterable[Check]) -> None:
    """Writes a spot check as JSON, with the time, the machine and the commit."""
    about = {"date": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine_name(), "git": git_state()}
    write_json(path, {**about, "checks": [{**asdict(check), "ok": check.ok} for check in checks]})


def require_ok(checks: Sequence[Check]) -> None:
    """Raises SpotCheckError that names every item that deviates by more than the tolerance of its stage."""
    failed = [str(check) for check in checks if not check.ok]
    if failed:
        raise SpotCheckError(f"{len(failed)} of {len(checks)} checked items deviate:\n  " + "\n  ".join(failed))
