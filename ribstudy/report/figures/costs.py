"""Tables and pictures of the page on costs, from the records of `costs.read_records`; what is not in them reads "not run"."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from ribstudy.bench.costs import (
    COCO,
    NOT_RUN,
    VOC,
    DataSetSize,
    Measurement,
    Record,
    StageCost,
    StepFlop,
    count_step,
    hours,
    maps_bytes,
    reference_flop,
    savings,
    study_flop,
)
from ribstudy.report.figures.common import WIDTH
from ribstudy.store import commit_name

COLORS = {"reference": "#0072B2", "study": "#D55E00", "study, bank": "#009E73"}
PART_COLORS = ("#56B4E9", "#0072B2", "#003C66", "#F0E442", "#E69F00", "#D55E00")
COMMAND = "python -m ribstudy.bench"
NOT_MEASURED = f"not run: {COMMAND}"
OPTIONS = ("bank", "bf16", "compiled", "bf16 and bank", "tf32", "bf16 and compiled", "bf16, compiled and bank")
BF16 = ("study, bf16", "study, bf16 and compiled")  # those that draw auxiliary images as the paper does


@dataclass(frozen=True)
class Target:
    """What was aimed at. at_least: whether `bound` is the least or the largest that is good."""

    what: str
    bound: float
    unit: str
    at_least: bool = True

    def verdict(self, value: float) -> str:
        if math.isnan(value):
            return "not run"
        return "met" if (value >= self.bound if self.at_least else value <= self.bound) else "missed"


# --- operations ---------------------------------------------------------------------------------------------------------


def flop_table(data_sets: Sequence[DataSetSize] = (VOC, COCO)) -> pd.DataFrame:
    """TFLOP of one adaptation in each schedule, and the reference's as a multiple of the study's; a row for each data set."""
    rows = {}
    for data in data_sets:
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


def savings_table(data_sets: Sequence[DataSetSize] = (VOC, COCO)) -> pd.DataFrame:
    """Shares of the reference's FLOP that are left out, a column for each data set."""
    columns = {}
    for data in data_sets:
        step, iterations = count_step(data.workload), data.workload.iterations
        total = reference_flop(step, iterations)
        columns[data.name] = {what: f"{flop / total:.1%}" for what, flop in savings(step, iterations).items()}
    return pd.DataFrame(columns)


def flop_bars(data: DataSetSize = VOC) -> Figure:
    """Where the FLOP of one adaptation are: a bar for each schedule, made of its parts."""
    step, iterations = count_step(data.workload), data.workload.iterations
    schedules = _part_flop(step, iterations)
    figure, axis = plt.subplots(figsize=(WIDTH, 3.6))
    left = dict.fromkeys(schedules, 0.0)
    for part, color in zip(vars(step), PART_COLORS, strict=True):
        widths = [parts[part] / 1e12 for parts in schedules.values()]
        axis.barh(list(schedules), widths, left=list(left.values()), color=color, label=part.replace("_", ": "))
        left = {name: left[name] + width for name, width in zip(left, widths, strict=True)}
    axis.invert_yaxis()
    axis.grid(axis="y", visible=False)
    axis.set(title=f"One adaptation at the size of {data.name}", xlabel="TFLOP")
    figure.legend(loc="outside lower center", ncols=3, fontsize=10)
    return figure


def _part_flop(step: StepFlop, iterations: int) -> dict[str, dict[str, float]]:
    """schedule -> part of a step -> FLOP in one adaptation."""
    parts = vars(step)
    updates = {name: (iterations - 1) * flop for name, flop in parts.items()}
    study = {**updates, "own_frozen": step.own_frozen, "own_trained": iterations * step.own_trained}
    return {
        "reference": {name: iterations * flop for name, flop in parts.items()},
        "study": study,
        "study, bank": {**study, "auxiliary_frozen": 0.0},
    }


# --- measured -----------------------------------------------------------------------------------------------------------


def device_table(records: Sequence[Record]) -> pd.DataFrame:
    """What was measured, when, with what, and what else the machine did at the time."""
    rows = [
        {
            "device": record.device["name"],
            "torch": record.device["torch"],
            "benchmark": name,
            "date": bench.date[:10],
            "commit": commit_name(bench.git),
            "load before": bench.load,
        }
        for record in records
        for name, bench in record.benches.items()
    ]
    return _table(rows or [{"device": "no device", "state": f"not run: {COMMAND}"}], "device")


def schedule_table(records: Sequence[Record]) -> pd.DataFrame:
    """Both schedules on each device: a row for one core (or the accelerator), and on a CPU one for all cores."""
    rows = []
    for record in records:
        for prefix, where in _places(record):
            reference, study = (record.get("adaptation", f"{prefix}{name}: seconds") for name in ("reference", "study"))
            speed_up = record.get("adaptation", "all cores, speed-up" if prefix else "speed-up")
            memory = [record.value("adaptation", f"{prefix}{name}: memory") for name in ("reference", "study")]
            rows.append(
                {
                    "device": f"{record.device['name']}: {where}",
                    "reference, s": str(reference),
                    "study, s": str(study),
                    "times as fast": str(speed_up),
                    "share of the matmul rate": _shares(record, prefix),
                    "memory, GiB": " and ".join(_number(value / 2**30, "{:.2f}") for value in memory),
                }
            )
    return _table(rows + _missing(records), "device")


def _places(record: Record) -> list[tuple[str, str]]:
    """Prefix of the measurements' names, and what it stands for."""
    if record.device["kind"] != "cpu":
        return [("", "fp32")]
    return [("", "one core"), ("all cores, ", f"all {record.device['cores']} cores")]


def _shares(record: Record, prefix: str) -> str:
    """Achieved FLOP/s of reference and study as shares of what a matrix product reaches on as many threads, in fp32."""
    rate = record.value("matmul", "fp32" + _threads(record, everything=bool(prefix)))
    found = [achieved_rate(record, name, all_cores=bool(prefix)) / rate for name in ("reference", "study")]
    return " and ".join(_number(share, "{:.0%}") for share in found)


def _threads(record: Record, *, everything: bool) -> str:
    if record.device["kind"] != "cpu":
        return ""
    number = record.device["cores"] if everything else 1
    return f", {number} thread" + "s" * (number > 1)


def achieved_rate(record: Record, variant: str, *, all_cores: bool = False) -> float:
    """FLOP/s of a variant; nan where it was not run."""
    prefix = "all cores, " if all_cores else ""
    return record.value("adaptation", f"{variant}: FLOP") / record.value("adaptation", f"{prefix}{variant}: seconds")


def schedule_bars(records: Sequence[Record]) -> Figure:
    """How many times as fast as the reference's schedule the study's is on each device, from the smallest to the largest."""
    bars = [
        (f"{record.device['name']}\n{where}", record.get("adaptation", f"{prefix}speed-up"))
        for record in records
        for prefix, where in _places(record)
    ] or [("no device", NOT_RUN)]
    figure, axis = plt.subplots(figsize=(WIDTH, 0.7 * len(bars) + 1.4))
    for place, (_, found) in enumerate(bars):
        if found.value is None:
            axis.text(0.05, place, "not run", va="center")
        else:
            whiskers = [[found.value - found.low], [found.high - found.value]] if found.n > 1 else None
            axis.barh(place, found.value, xerr=whiskers, color=COLORS["study"], capsize=3, height=0.6)
    axis.axvline(1, color="#333333", linestyle=":", label="as fast as the reference's schedule")
    axis.set_yticks(range(len(bars)), [name for name, _ in bars])
    axis.invert_yaxis()
    axis.grid(axis="y", visible=False)
    axis.set(title="One adaptation, the study's schedule", xlabel="times as fast (median; line: all repeats)", xlim=(0, None))
    figure.legend(loc="outside lower center")
    return figure


def parts_table(records: Sequence[Record]) -> pd.DataFrame:
    """Pieces around the network: seconds of the obvious way and of the study's, and how many times as fast that is."""
    rows = [
        {
            "device": record.device["name"],
            "piece": piece,
            "obvious, ms": _milliseconds(record.get(bench, slow)),
            "study, ms": _milliseconds(record.get(bench, fast)),
            "times as fast": str(record.get(bench, ratio)) if ratio else _quotient(record, bench, slow, fast),
        }
        for record in records
        for piece, (bench, slow, fast, ratio) in PIECES.items()
    ]
    return _table(rows + _missing(records), "device")


def _gndrp_piece(method: str, what: str) -> tuple[str, str, str, str]:
    return "pooling", f"{method}, {what}: seconds", f"study, {what}: seconds", f"{method}, {what}: speed-up"


def _pool_piece(data: DataSetSize) -> tuple[str, str, str, None]:
    return "loading", *(f"{data.name}, pool by {way}: seconds an image" for way in ("scan", "product")), None


# piece -> benchmark, and in it the names of the obvious way, of the study's, and of the speed-up where that was measured
PIECES = {
    **{
        f"GNDRP {what}, against {method}": _gndrp_piece(method, what)
        for method in ("loops, labelled maps", "loops, every map")
        for what in ("forward", "forward and backward")
    },
    "100 thresholds, against one confusion matrix each": (
        "sweep",
        "one confusion matrix a threshold: seconds",
        "study: seconds",
        "speed-up",
    ),
    **{f"auxiliary pool of an image, {data.name}, against a scan": _pool_piece(data) for data in (VOC, COCO)},
}


def _milliseconds(found: Measurement) -> str:
    return str(found) if found.value is None else f"{found.value * 1000:.3g}"


def _quotient(record: Record, bench: str, slow: str, fast: str) -> str:
    return _number(record.value(bench, slow) / record.value(bench, fast), "{:.3g}")


def loading_table(records: Sequence[Record]) -> pd.DataFrame:
    """Crops a second by number of workers, and evaluated images a second on one core."""
    rows = []
    for record in records:
        found = record.benches["loading"].measurements if "loading" in record.benches else {}
        shown = {name: str(found[name]) for name in found if name.startswith(("crops", "evaluated"))}
        rows.append({"device": record.device["name"], **(shown or {"state": "not run"})})
    return _table(rows + _missing(records), "device")


def options_table(records: Sequence[Record]) -> pd.DataFrame:
    """What each option gains, and how far the maps then are from those in fp32; ResNet-50 with random weights."""
    rows = []
    for record in records:
        for option in OPTIONS:
            name = f"study, {option}"
            seconds = record.get("adaptation", f"{name}: seconds")
            if seconds == NOT_RUN:
                continue
            rows.append(
                {
                    "device": record.device["name"],
                    "option": option,
                    "seconds": str(seconds),
                    "times as fast": _quotient(record, "adaptation", "study: seconds", f"{name}: seconds"),
                    "largest deviation": _percent(record.get("adaptation", f"{name}: largest deviation")),
                    "mean deviation": _percent(record.get("adaptation", f"{name}: mean deviation")),
                    "memory, GiB": _number(record.value("adaptation", f"{name}: memory") / 2**30, "{:.2f}"),
                }
            )
    return _table(rows + _missing(records), "device")


def deviation_table(records: Sequence[Record]) -> pd.DataFrame:
    """The same of trained weights (EfficientNet-Lite0, photographs), with the share of pixels that change sides of 0.3."""
    quantities = ("largest deviation", "mean deviation", "pixels that change sides", "speed-up")
    rows = [
        {
            "device": record.device["name"],
            "option": option,
            **{
                name: (str if name == "speed-up" else _percent)(record.get("deviations", f"{option}: {name}"))
                for name in quantities
            },
        }
        for record in records
        for option in ("bf16", "compiled")
    ]
    return _table(rows + _missing(records), "device")


def _percent(found: Measurement) -> str:
    return str(found) if found.value is None else f"{found.value:.2g}" if found.value < 1e-4 else f"{found.value:.3%}"


# --- projections --------------------------------------------------------------------------------------------------------


def projection_table(records: Sequence[Record]) -> pd.DataFrame:
    """Hours for all adaptations of a data set on each device, at the rate that it reached on its own workload."""
    rows = []
    for record in records:
        for variant in _projected(record):
            all_cores = record.device["kind"] == "cpu"
            rate = achieved_rate(record, variant, all_cores=all_cores)
            rows.append(
                {
                    "device": record.device["name"],
                    "schedule": variant,
                    "TFLOP/s": _number(rate / 1e12, "{:.3g}"),
                    **{
                        f"{data.name}, hours": _number(projected_hours(record, variant, data), "{:,.1f}")
                        for data in (VOC, COCO)
                    },
                }
            )
    return _table(rows + _missing(records), "device")


def _projected(record: Record) -> tuple[str, ...]:
    """The variants of which the rate of the whole device was measured."""
    if record.device["kind"] == "cpu":
        return ("reference", "study")
    return ("reference", "reference, tf32", "study", "study, tf32", *BF16, "study, bf16, compiled and bank")


def projected_hours(record: Record, variant: str, data: DataSetSize) -> float:
    """nan where the variant was not run."""
    step, iterations = count_step(data.workload), data.workload.iterations
    is_reference = variant.startswith("reference")
    flop = reference_flop(step, iterations) if is_reference else study_flop(step, iterations, bank="bank" in variant)
    return hours(data.num_images, flop, achieved_rate(record, variant, all_cores=record.device["kind"] == "cpu"))


def disk_table(data_sets: Sequence[DataSetSize] = (VOC, COCO)) -> pd.DataFrame:
    """What the raw maps of all steps need on disk, before compression."""
    rows = {
        data.name: {
            "images": f"{data.num_images:,}",
            "classes in an image": data.classes_per_image,
            "GiB": f"{maps_bytes(data) / 2**30:.1f}",
        }
        for data in data_sets
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def full_run_table(records: Sequence[Record], stages: Mapping[str, StageCost]) -> pd.DataFrame:
    """Hours of each stage on each device, at the rate that it reached in the benchmark, and disk; a row for each stage.

    stages: as `costs.full_run` counts them.
    """
    rates = {r.device["name"]: achieved_rate(r, "study", all_cores=r.device["kind"] == "cpu") for r in records}
    missing = [row["device"] for row in _missing(records)]
    rows = {}
    for stage, cost in {**stages, "all of them": _sum(stages.values())}.items():
        hours_on = {
            device: "CRF" if cost.flop is None else _number(cost.flop / rate / 3600, "{:,.1f}")
            for device, rate in rates.items()
        }
        rows[stage] = {
            "PFLOP": "CRF" if cost.flop is None else f"{cost.flop / 1e15:,.2f}",
            **{f"hours, {device}": text for device, text in hours_on.items()},
            **{f"hours, {device}": NOT_MEASURED for device in missing},
            "disk, GiB": f"{cost.num_bytes / 2**30:,.1f}" if cost.num_bytes else "small",
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("stage")


def _sum(stages: Collection[StageCost]) -> StageCost:
    return StageCost(sum(cost.flop or 0 for cost in stages), sum(cost.num_bytes for cost in stages))


# --- targets ------------------------------------------------------------------------------------------------------------


def targets_table(records: Sequence[Record]) -> pd.DataFrame:
    """What was aimed at on each device, what was found, and whether it was met."""
    rows = []
    for record in records:
        for target, value in _targets(record):
            rows.append(
                {
                    "device": record.device["name"],
                    "aim": f"{target.what}: {'at least' if target.at_least else 'at most'} {target.bound:g} {target.unit}",
                    "found": _number(value, "{:.3g}"),
                    "verdict": target.verdict(value),
                }
            )
    return _table(rows + _missing(records), "device")


def _targets(record: Record) -> list[tuple[Target, float]]:
    loops = "loops, labelled maps, {}: speed-up"
    found = [
        (Target("GNDRP forward, against loops", 20, "times as fast"), record.value("pooling", loops.format("forward"))),
        (
            Target("GNDRP forward and backward, against loops", 20, "times as fast"),
            record.value("pooling", loops.format("forward and backward")),
        ),
        (Target("100 thresholds in one pass", 15, "times as fast"), record.value("sweep", "speed-up")),
    ]
    if record.device["kind"] == "cpu":
        return found
    fastest = min(BF16, key=lambda name: _or_infinite(record.value("adaptation", f"{name}: seconds")))
    share = achieved_rate(record, fastest) / record.value("matmul", "bf16")
    return [
        *found,
        (Target("share of the bf16 matmul rate", 0.4, ""), share),
        (Target("all of VOC", 1, "h", at_least=False), projected_hours(record, fastest, VOC)),
        (Target("all of COCO", 9, "h", at_least=False), projected_hours(record, fastest, COCO)),
    ]


def headline_numbers(records: Sequence[Record]) -> Mapping[str, Measurement]:
    """What the page's record holds of each device: name with the device's slug -> measurement."""
    wanted = {
        "speed_up": ("adaptation", "speed-up"),
        "speed_up_all_cores": ("adaptation", "all cores, speed-up"),
        "seconds_reference": ("adaptation", "reference: seconds"),
        "seconds_study": ("adaptation", "study: seconds"),
        "speed_up_sweep": ("sweep", "speed-up"),
        "speed_up_gndrp": ("pooling", "loops, labelled maps, forward: speed-up"),
    }
    found = {f"{name}-{r.device['slug']}": r.get(*where) for r in records for name, where in wanted.items()}
    return {name: measurement for name, measurement in found.items() if measurement.value is not None}


# --- helpers ------------------------------------------------------------------------------------------------------------


def _table(rows: Sequence[dict], index: str) -> pd.DataFrame:
    return pd.DataFrame(rows).set_index(index).fillna("")


def _missing(records: Sequence[Record]) -> list[dict]:
    """A row for each kind of device that was not measured."""
    kinds = {record.device["kind"] for record in records}
    rows = [] if "cpu" in kinds else [{"device": "a CPU", "state": f"not run: {COMMAND} --device cpu"}]
    return rows + ([] if "cuda" in kinds else [{"device": "a GPU", "state": f"not run: {COMMAND} on a machine that has one"}])


def _number(value: float, form: str) -> str:
    return "not run" if math.isnan(value) else form.format(value)


def _or_infinite(value: float) -> float:
    return math.inf if math.isnan(value) else value
