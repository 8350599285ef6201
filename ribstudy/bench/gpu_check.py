"""Checks and measures the study on the GPU of this machine, with one command that needs no network and no published results.

    python -m ribstudy.bench.gpu_check              # at most 25 minutes; make gpu-check
    python -m ribstudy.bench.gpu_check --minutes 9  # stops in time; the same command continues later
    python -m ribstudy.bench.gpu_check --anew       # also the parts that this commit has measured before

It compares the GPU with the CPU (part parity), runs a slice of the study (study_slice), and then all benchmarks of make bench.
Each part writes its results into results/bench/<device>.json as soon as it is done. Without a GPU, all parts run in tiny sizes
on the CPU, which shows that they work, and the record is in results/bench-tiny/.
"""

import argparse
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

from ribstudy.bench import parity, study_slice
from ribstudy.bench.__main__ import BENCHES
from ribstudy.bench.adaptation import ACCELERATOR_OPTIONS, OPTIONS, REFERENCE, STUDY
from ribstudy.bench.measure import Plan, describe_device
from ribstudy.bench.records import Bench, Record
from ribstudy.bench.running import add_to_record, measure, measured_before
from ribstudy.bench.tables import number
from ribstudy.bench.variants import Variant
from ribstudy.evaluation.statistics import NOT_RUN
from ribstudy.runtime import paths, ranks
from ribstudy.store import git_state
from ribstudy.workflow.outcome import table

log = logging.getLogger("gpu_check")

# The long benchmarks come last, so that a short stay on a machine gives all others.
LAST = ("adaptation", "deviations")
PARTS: dict[str, ModuleType] = {
    "parity": parity,
    "study_slice": study_slice,
    **{name: bench for name, bench in BENCHES.items() if name not in LAST},
    **{name: BENCHES[name] for name in LAST},
}
MINUTES = 25.0
NO_GPU = "There is no GPU here, so all parts run on the CPU in tiny sizes. This shows that they work; the times mean nothing."


def main(arguments: list[str]) -> int:
    """Returns the exit code: 1 if a part is missing or a check failed, else 0."""
    options = _parse(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)  # stderr is for the error that ends a part
    device = ranks.device()
    plan = Plan(device, quick=device == "cpu")
    folder = options.folder or paths.RESULTS / ("bench" if not plan.quick else "bench-tiny")
    if options.parts:
        _measure(options.parts, plan, folder)
        return 0
    if plan.quick:
        print(NO_GPU, flush=True)
    described = describe_device(device)
    pending = [name for name in PARTS if options.anew or not _is_current(measured_before(folder, described).get(name))]
    missing = _run_in_processes(pending, folder, described, end=time.monotonic() + 60 * options.minutes)
    record = Record(described, measured_before(folder, described))
    print(table([("part", "found", "allowed, or memory", ""), *rows(record, missing)]))
    problems = [*(f"{name}: {reason}" for name, reason in missing.items()), *failures(record)]
    print("\n".join([f"Record: {folder / described['slug']}.json", *problems]))
    return 1 if problems else 0


def _parse(arguments: list[str]) -> argparse.Namespace:
    form = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(prog="python -m ribstudy.bench.gpu_check", description=__doc__, formatter_class=form)
    parser.add_argument("--minutes", type=float, default=MINUTES, help=f"time after which it stops; default: {MINUTES:.0f}")
    parser.add_argument("--anew", action="store_true", help="measure all parts again")
    parser.add_argument("--folder", type=paths.expanded, help="folder of the record; default: results/bench")
    parts = f"only measure these, in this process: {', '.join(PARTS)}"
    parser.add_argument("--parts", nargs="+", choices=PARTS, metavar="NAME", help=parts)
    return parser.parse_args(arguments)


def _measure(names: Sequence[str], plan: Plan, folder: Path) -> None:
    """Measures parts in this process. An error in one ends it, because after an error a GPU may not be usable any more."""
    device = describe_device(plan.device)
    for name in names:
        start = time.perf_counter()
        add_to_record(folder, device, name, measure(PARTS[name], plan))
        log.info("%s (%.0f s)", name, time.perf_counter() - start)


def _is_current(bench: Bench | None) -> bool:
    """Whether a part was measured by the present code. Without git, any earlier measurement counts."""
    return bench is not None and bench.git == git_state() and not bench.git["dirty"]


def _run_in_processes(pending: Sequence[str], folder: Path, device: dict, *, end: float) -> dict[str, str]:
    """Measures parts in a process, and after an error the others in another one; returns the reasons for missing parts.

    end: the time (`time.monotonic`) at which the process is killed.
    """
    missing: dict[str, str] = {}
    left = list(pending)
    while left:
        start = datetime.now(UTC).isoformat(timespec="seconds")
        reason = _run_parts(left, folder, end)
        before = measured_before(folder, device)
        left = [name for name in left if name not in before or before[name].date < start]
        if reason is None:
            break
        if end <= time.monotonic():
            return {**missing, **dict.fromkeys(left, f"{NOT_RUN}: the time was over; the same command continues with it")}
        if left:
            missing[left.pop(0)] = reason
    return missing


def _run_parts(names: Sequence[str], folder: Path, end: float) -> str | None:
    """Measures parts in a process of its own; None, or why it ended before they were done."""
    command = [sys.executable, "-m", "ribstudy.bench.gpu_check", "--folder", str(folder), "--parts", *names]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            _, errors = process.communicate(timeout=max(0, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            return "the time was over"
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)  # with the processes that it started
    if process.returncode < 0:
        return f"failed: killed by signal {-process.returncode}, perhaps because memory ran out"
    if process.returncode > 0:
        sys.stderr.write(errors)
        return f"failed: {(errors.strip().splitlines() or ['without a message'])[-1]}"
    return None


def rows(record: Record, missing: dict[str, str]) -> list[tuple[str, str, str, str]]:
    """The rows of the table: the part with the quantity, the value, its limit or the memory, and the verdict or a share."""
    return [
        *((part, "", "", reason) for part, reason in missing.items()),
        *map(_row_of_check, _checks(record)),
        *(_row_of_speed(record, "study_slice", timed.name) for timed in study_slice.timed_stages(study_slice.FULL)),
        *(_row_of_speed(record, "adaptation", variant.name, variant.precision) for variant in _variants(record)),
    ]


def _row_of_check(check: parity.Check) -> tuple[str, str, str, str]:
    found = NOT_RUN if check.value is None else f"{check.value:.2g}"
    return f"parity: {check.name}", found, f"{check.tolerance:.2g}", "ok" if check.passed else "FAILED"


def _row_of_speed(record: Record, part: str, name: str, precision: str | None = None) -> tuple[str, str, str, str]:
    """precision: of a variant of the adaptation, whose rate is compared with a matrix product's."""
    if precision is None:
        rate, share = record.value(part, f"{name}: images a second"), ""
    else:
        rate = 1 / record.value(part, f"{name}: seconds")
        product = record.value("matmul", precision + (", 1 thread" if record.is_cpu else ""))
        share = number(record.flop_rate(name) / product, "{:.0%} of the matmul rate in " + precision)
    memory = number(record.value(part, f"{name}: memory") / 2**30, "{:.2f} GiB")
    return f"{part}: {name}", number(rate, "{:.3g} images/s"), memory, share


def _variants(record: Record) -> tuple[Variant, ...]:
    return REFERENCE, STUDY, *(OPTIONS if record.is_cpu else ACCELERATOR_OPTIONS)


def _checks(record: Record) -> list[parity.Check]:
    return parity.checks_of(record.benches["parity"]) if "parity" in record.benches else []


def failures(record: Record) -> list[str]:
    """The checks that failed, with their differences; and the stages of the slice that could not run, and why."""
    found = record.benches["study_slice"].measurements if "study_slice" in record.benches else {}
    not_run = [f"study_slice: {name}: {value}" for name, value in found.items() if value.value is None]
    return [*(f"parity: {check}" for check in _checks(record) if not check.passed), *not_run]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
