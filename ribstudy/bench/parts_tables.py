"""Tables and texts about the parts of an adaptation: how often each is computed, its share of the FLOP, and its seconds."""

import math
from collections.abc import Sequence

import pandas as pd

from ribstudy.bench.operations import count_step, study_flop
from ribstudy.bench.parts import Part, parts_of, total_flop
from ribstudy.bench.projections import DataSetSize
from ribstudy.bench.records import Record
from ribstudy.bench.tables import devices_table, number
from ribstudy.evaluation.statistics import NOT_RUN
from ribstudy.method.settings import RibSettings

MODES = {"exact": RibSettings(), "fast": RibSettings(mode="fast")}
NEAR_PEAK = 0.5  # share of the rate of a matrix product from which a part is called limited by arithmetic


def counted_table(data: DataSetSize) -> pd.DataFrame:
    """A row for each part with operations, at the sizes of a data set: of one time, and of all times in each mode."""
    modes = {mode: {part.name: part for part in parts_of(data.workload, rib)} for mode, rib in MODES.items()}
    totals = {mode: total_flop([*parts.values()]) for mode, parts in modes.items()}
    rows = {
        name: {
            "GFLOP once": f"{part.flop / 1e9:,.0f}",
            **{f"times, {mode}": f"{_count(parts.get(name)):g}" for mode, parts in modes.items()},
            **{f"share, {mode}": f"{_flop(parts.get(name)) / totals[mode]:.0%}" for mode, parts in modes.items()},
        }
        for name, part in modes["exact"].items()
        if part.flop
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("part")


def savings_of_fast(data: DataSetSize) -> dict[str, float]:
    """How many times fewer operations the fast mode takes than the exact one, and how many times as many as a CAM."""
    step, fast = count_step(data.workload), total_flop(parts_of(data.workload, MODES["fast"]))
    exact = study_flop(step, data.workload.iterations)
    return {"fewer": exact / fast, "cams": fast / (step.own_frozen + step.own_trained)}


def seconds_table(records: Sequence[Record]) -> pd.DataFrame:
    """The seconds of each part once on each device, all times in each mode, and its rate as a share of a matrix product's."""
    rows = []
    for record in records:
        parts = _parts(record)
        names = dict.fromkeys(name for of_mode in parts.values() for name in of_mode)
        if all(math.isnan(record.value("parts", name)) for name in names):
            rows.append({"device": record.device["name"], "part": NOT_RUN})
            continue
        for name in names:
            seconds = record.value("parts", name)
            times = {f"s, {mode}": number(_count(of_mode.get(name)) * seconds, "{:.2f}") for mode, of_mode in parts.items()}
            share = number(_share(record, parts["exact"][name]), "{:.0%}") if parts["exact"][name].flop else ""
            once = number(seconds, "{:.3f}")
            rows.append({"device": record.device["name"], "part": name, "s once": once, **times, "of the matmul rate": share})
    return devices_table(rows, records)


def roofline_text(records: Sequence[Record]) -> str:
    """A sentence for each device and part with operations: what limits it. "" if nothing was measured."""
    lines = []
    for record in records:
        for name, part in _parts(record)["exact"].items():
            share = _share(record, part)
            if part.flop and share == share:
                limit = "arithmetic" if share >= NEAR_PEAK else "memory or the start of its many small operations"
                lines.append(
                    f"- {record.device['name']}, {name}: {share:.0%} of the rate of a matrix product, limited by {limit}."
                )
    return "\n".join(lines)


def _parts(record: Record) -> dict[str, dict[str, Part]]:
    """The parts by mode and name, at the sizes of the benchmark; {} for each mode if it was not run."""
    if "adaptation" not in record.benches:
        return {mode: {} for mode in MODES}
    return {mode: {part.name: part for part in parts_of(record.workload(), rib)} for mode, rib in MODES.items()}


def _count(part: Part | None) -> float:
    return part.count if part else 0


def _flop(part: Part | None) -> float:
    return part.total if part else 0.0


def _share(record: Record, part: Part) -> float:
    threads = ", 1 thread" if record.is_cpu else ""
    return part.flop / record.value("parts", part.name) / record.value("matmul", f"fp32{threads}")
