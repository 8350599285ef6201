"""Tables of counted operations and of projected costs on the page on costs, and of the targets that were set beforehand."""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ribstudy.bench.operations import count_step, reference_flop, savings, study_flop
from ribstudy.bench.projections import COCO, VOC, DataSetSize, StageCost, hours, maps_bytes
from ribstudy.bench.records import Record
from ribstudy.bench.tables import COMMAND, devices_table, missing_devices, number, places
from ribstudy.evaluation.statistics import NOT_RUN

DATA_SETS = (VOC, COCO)
BF16 = ("study, bf16", "study, bf16 and compiled")  # the variants that draw auxiliary images as the paper does


def flop_table() -> pd.DataFrame:
    """TFLOP of one adaptation in each schedule, and the reference's as a multiple of the study's; one row per data set."""
    rows = {}
    for data in DATA_SETS:
        step, iterations = count_step(data.workload), data.workload.iterations
        reference = reference_flop(step, iterations)
        study, bank = study_flop(step, iterations), study_flop(step, iterations, bank=True)
        rows[data.name] = {
            "reference": reference / 1e12,
            "study": study / 1e12,
            "study, bank": bank / 1e12,
            "reference / study": reference / study,
            "reference / study, bank": reference / bank,
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def savings_table() -> pd.DataFrame:
    """Shares of the reference code's FLOP that the study leaves out; one column per data set."""
    columns = {}
    for data in DATA_SETS:
        step, iterations = count_step(data.workload), data.workload.iterations
        total = reference_flop(step, iterations)
        columns[data.name] = {name: f"{flop / total:.1%}" for name, flop in savings(step, iterations).items()}
    return pd.DataFrame(columns)


def projection_table(records: Sequence[Record]) -> pd.DataFrame:
    """Hours for all adaptations of a data set on each device, at the FLOP rate that the device reached in the benchmark."""
    rows = []
    for record in records:
        for variant in _projected_variants(record):
            rate = number(record.flop_rate(variant, all_cores=record.is_cpu) / 1e12, "{:.3g}")
            times = {f"{data.name}, hours": number(projected_hours(record, variant, data), "{:,.1f}") for data in DATA_SETS}
            rows.append({"device": record.device["name"], "schedule": variant, "TFLOP/s": rate, **times})
    return devices_table(rows, records)


def _projected_variants(record: Record) -> tuple[str, ...]:
    """The variants that were measured on the whole device."""
    if record.is_cpu:
        return ("reference", "study")
    return ("reference", "reference, tf32", "study", "study, tf32", *BF16, "study, bf16, compiled and bank")


def projected_hours(record: Record, variant: str, data: DataSetSize) -> float:
    """Hours for all adaptations of a data set; nan if the variant was not run."""
    step, iterations = count_step(data.workload), data.workload.iterations
    is_reference = variant.startswith("reference")
    flop = reference_flop(step, iterations) if is_reference else study_flop(step, iterations, bank="bank" in variant)
    return hours(data.num_images, flop, record.flop_rate(variant, all_cores=record.is_cpu))


def disk_table() -> pd.DataFrame:
    """Disk space for the raw maps of all steps, before compression."""
    rows = {
        data.name: {
            "images": f"{data.num_images:,}",
            "classes in an image": data.classes_per_image,
            "GiB": f"{maps_bytes(data) / 2**30:.1f}",
        }
        for data in DATA_SETS
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def full_run_table(records: Sequence[Record], stages: Mapping[str, StageCost]) -> pd.DataFrame:
    """Hours of each stage on each device, at the FLOP rate of the benchmark, and disk space; one row per stage.

    stages: from `projections.full_run`.
    """
    rates = {record.device["name"]: record.flop_rate("study", all_cores=record.is_cpu) for record in records}
    missing = missing_devices(records)
    rows = {}
    for stage, cost in {**stages, "all of them": _sum(stages.values())}.items():
        times = {device: "CRF" if cost.flop is None else number(cost.flop / r / 3600, "{:,.1f}") for device, r in rates.items()}
        rows[stage] = {
            "PFLOP": "CRF" if cost.flop is None else f"{cost.flop / 1e15:,.2f}",
            **{f"hours, {device}": text for device, text in times.items()},
            **{f"hours, {device}": f"{NOT_RUN}: {COMMAND}" for device in missing},
            "disk, GiB": f"{cost.num_bytes / 2**30:,.1f}" if cost.num_bytes else "small",
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("stage")


def _sum(stages: Collection[StageCost]) -> StageCost:
    return StageCost(sum(cost.flop or 0 for cost in stages), sum(cost.num_bytes for cost in stages))


@dataclass(frozen=True)
class Target:
    """A number to reach. at_least: whether `bound` is the smallest good value; otherwise it is the largest."""

    name: str
    bound: float
    unit: str
    at_least: bool = True

    def verdict(self, value: float) -> str:
        if math.isnan(value):
            return NOT_RUN
        return "met" if (value >= self.bound if self.at_least else value <= self.bound) else "missed"


def targets_table(records: Sequence[Record]) -> pd.DataFrame:
    """The targets on each device, the measured or projected values, and whether the targets were met."""
    rows = []
    for record in records:
        for target, value in _targets(record):
            aim = f"{target.name}: {'at least' if target.at_least else 'at most'} {target.bound:g} {target.unit}"
            found = {"aim": aim, "found": number(value, "{:.3g}"), "verdict": target.verdict(value)}
            rows.append({"device": record.device["name"], **found})
    return devices_table(rows, records)


def _targets(record: Record) -> list[tuple[Target, float]]:
    found = [*_exact_targets(record)]
    for passes in ("forward", "forward and backward"):
        speed_up = record.value("pooling", f"loops, labelled maps, {passes}: speed-up")
        found.append((Target(f"GNDRP {passes}, against loops", 20, "times as fast"), speed_up))
    found.append((Target("100 thresholds in one pass", 15, "times as fast"), record.value("sweep", "speed-up")))
    if record.is_cpu:
        return found
    fastest = min(BF16, key=lambda name: np.nan_to_num(record.value("adaptation", f"{name}: seconds"), nan=np.inf))
    share = record.flop_rate(fastest) / record.value("matmul", "bf16")
    return [
        *found,
        (Target("share of the bf16 matmul rate", 0.4, ""), share),
        (Target("all of VOC", 1, "h", at_least=False), projected_hours(record, fastest, VOC)),
        (Target("all of COCO", 9, "h", at_least=False), projected_hours(record, fastest, COCO)),
    ]


def _exact_targets(record: Record) -> Iterator[tuple[Target, float]]:
    """The targets of the exact mode against the reference's schedule: time on a CPU, and memory."""
    for prefix, where in places(record):
        if record.is_cpu:
            bound = 1.5 if prefix else 1.8
            speed_up = record.value("adaptation", f"{prefix}speed-up")
            yield Target(f"exact mode, {where}, against the reference's schedule", bound, "times as fast"), speed_up
        study, reference = (record.value("adaptation", f"{prefix}{name}: memory") for name in ("study", "reference"))
        yield Target(f"peak memory, {where}", 1, "times the reference's", at_least=False), study / reference
