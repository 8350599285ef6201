"""The adaptation of one image: the reference code's schedule, the study's, and the options that trade precision for speed."""

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any

from ribstudy.bench.measure import BenchError, Plan, ratios
from ribstudy.bench.operations import count_step, reference_flop, study_flop
from ribstudy.bench.parts import parts_of, total_flop
from ribstudy.bench.records import Measurement
from ribstudy.bench.variants import Job, Outcome, Variant, Worker, deviation
from ribstudy.method.settings import RibSettings

log = logging.getLogger(__name__)

TOLERANCE = 1e-4  # largest allowed difference of the two schedules in float32, as a share of the maps' maximum
WARM_UP = 2  # steps; FLOP are counted in these
REFERENCE = Variant("reference", "reference")
STUDY = Variant("study")
OPTIONS = (
    Variant("study, bank", bank=True),
    Variant("study, bf16", precision="bf16"),
    Variant("study, compiled", compile=True),
    Variant("fast", mode="fast"),
)
# tf32 is torch's default for float32 convolutions; the other variants are all options and their combinations.
ACCELERATOR_OPTIONS = (
    Variant("reference, tf32", "reference", precision="tf32"),
    Variant("study, tf32", precision="tf32"),
    *OPTIONS,
    Variant("study, bf16 and bank", precision="bf16", bank=True),
    Variant("study, bf16 and compiled", precision="bf16", compile=True),
    Variant("study, bf16, compiled and bank", precision="bf16", compile=True, bank=True),
    Variant("fast, bf16", precision="bf16", mode="fast"),
    Variant("fast, bf16 and compiled", precision="bf16", compile=True, mode="fast"),
)


def settings(plan: Plan) -> dict[str, Any]:
    return asdict(plan.workload)


def run(plan: Plan) -> dict[str, Measurement]:
    """For each variant "<variant>: seconds" per image, ": FLOP" and ": memory" (bytes); and deviations and speed-ups.

    On a CPU each variant uses one thread. The measurements "all cores, ..." use the whole machine: the reference's schedule
    runs in one process on all cores, the study's in one process of one thread per core.
    """
    with ExitStack() as stack:
        reference, study = (stack.enter_context(Worker(v, plan.workload, plan.device)) for v in (REFERENCE, STUDY))
        found, exact = _schedules(plan, reference, study)
        if plan.on_cpu:
            others = [stack.enter_context(Worker(STUDY, plan.workload, plan.device)) for _ in range(plan.cores - 1)]
            found |= _all_cores(plan, reference, [study, *others], exact)
    for variant in OPTIONS if plan.on_cpu else ACCELERATOR_OPTIONS:
        if not (plan.quick and variant.compile):  # to compile takes longer than everything else in tiny sizes
            found |= _option(plan, variant, exact)
    return found


def _job(plan: Plan) -> Job:
    return Job(plan.workload.iterations, threads=1 if plan.on_cpu else 0)


def _warm_up(plan: Plan, worker: Worker, *, count: bool = True) -> Outcome:
    return worker.run(Job(WARM_UP, threads=1 if plan.on_cpu else 0, count=count))


def _flop(plan: Plan, variant: Variant, iterations: int) -> float:
    if variant.schedule == "reference":
        return reference_flop(count_step(plan.workload), iterations)
    if variant.mode == "fast":
        return total_flop(parts_of(plan.workload, RibSettings(mode="fast", iterations=iterations)))
    return study_flop(count_step(plan.workload, on_cpu=plan.on_cpu), iterations, bank=variant.bank)


def _schedules(plan: Plan, reference: Worker, study: Worker) -> tuple[dict[str, Measurement], Outcome]:
    """Runs both schedules in turn and returns their measurements and the study's outcome.

    Raises BenchError if the schedules' maps differ or if the counted FLOP differ from the formulas.
    """
    for worker in (reference, study):
        counted, expected = _warm_up(plan, worker).flop, _flop(plan, worker.variant, WARM_UP)
        if abs(counted - expected) > 1e-3 * expected:
            raise BenchError(f"{worker.variant.name}: counted {counted:.6g} FLOP in {WARM_UP} steps, expected {expected:.6g}")
    outcomes = [(reference.run(_job(plan)), study.run(_job(plan))) for _ in range(plan.repeats(3))]
    theirs, ours = zip(*outcomes, strict=True)
    largest, mean = deviation(ours[0].maps, theirs[0].maps)
    if not largest <= TOLERANCE:
        raise BenchError(f"the two schedules differ by {largest:.2e} of the maps' maximum, more than {TOLERANCE:.0e}")
    return {
        **_describe(plan, REFERENCE, theirs),
        **_describe(plan, STUDY, ours),
        "study and reference: largest deviation": Measurement(largest, "share of the map's maximum", n=1),
        "study and reference: mean deviation": Measurement(mean, "share of the map's maximum", n=1),
        "speed-up": Measurement.of(ratios([o.seconds for o in theirs], [o.seconds for o in ours]), "times"),
    }, ours[0]


def _describe(plan: Plan, variant: Variant, outcomes: Sequence[Outcome]) -> dict[str, Measurement]:
    log.info("%s: %s s", variant.name, ", ".join(f"{outcome.seconds:.2f}" for outcome in outcomes))
    return {
        f"{variant.name}: seconds": Measurement.of([outcome.seconds for outcome in outcomes], "s"),
        f"{variant.name}: FLOP": Measurement(_flop(plan, variant, plan.workload.iterations), "FLOP", n=1),
        f"{variant.name}: memory": Measurement(outcomes[-1].peak, "bytes", n=1),
    }


def _all_cores(plan: Plan, reference: Worker, study: Sequence[Worker], exact: Outcome) -> dict[str, Measurement]:
    """Seconds per image on the whole machine.

    Raises BenchError if the maps of a process differ from the maps of a process that runs alone.
    """
    for worker in study[1:]:
        _warm_up(plan, worker, count=False)
    theirs, ours = [], []
    for _ in range(plan.repeats(2)):
        alone = reference.run(Job(plan.workload.iterations, threads=plan.cores))
        theirs.append(alone.seconds)
        for worker in study:
            worker.start(_job(plan))
        outcomes = [worker.outcome() for worker in study]
        ours.append(max(outcome.seconds for outcome in outcomes) / len(study))
    if any(deviation(outcome.maps, exact.maps)[0] > 0 for outcome in outcomes):
        raise BenchError("an image's maps depend on the process that computes them")
    log.info("all cores: reference %s s, study %s s", theirs, ours)
    return {
        "all cores, reference: seconds": Measurement.of(theirs, "s"),
        "all cores, study: seconds": Measurement.of(ours, "s"),
        "all cores, reference: memory": Measurement(alone.peak, "bytes", n=1),
        "all cores, study: memory": Measurement(sum(outcome.peak for outcome in outcomes), "bytes", n=1),
        "all cores, speed-up": Measurement.of(ratios(theirs, ours), "times"),
    }


def _option(plan: Plan, variant: Variant, exact: Outcome) -> dict[str, Measurement]:
    """The speed of a variant and the deviation of its maps from the study's in float32; the reason if it cannot run here."""
    quantities = ("seconds", "FLOP", "memory", "largest deviation", "mean deviation", "first run")
    try:
        with Worker(variant, plan.workload, plan.device) as worker:
            first = _warm_up(plan, worker, count=False)
            outcomes = [worker.run(_job(plan)) for _ in range(plan.repeats(1 if plan.on_cpu else 3))]
    except BenchError as error:
        log.warning("not run: %s", error)
        return {f"{variant.name}: {quantity}": Measurement.not_run(str(error)) for quantity in quantities}
    largest, mean = deviation(outcomes[0].maps, exact.maps)
    return {
        **_describe(plan, variant, outcomes),
        f"{variant.name}: largest deviation": Measurement(largest, "share of the map's maximum", n=1),
        f"{variant.name}: mean deviation": Measurement(mean, "share of the map's maximum", n=1),
        f"{variant.name}: first run": Measurement(first.seconds, "s", n=1, note=f"{WARM_UP} steps, with one-time preparation"),
    }
