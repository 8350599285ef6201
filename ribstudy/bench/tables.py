"""Tables of the measurements on the page on costs. A value that no record contains reads "not run"."""

import math
from collections.abc import Mapping, Sequence

import pandas as pd

from ribstudy.bench.projections import COCO, VOC, DataSetSize
from ribstudy.bench.records import MISSING, Measurement, Record
from ribstudy.evaluation.statistics import NOT_RUN
from ribstudy.store import commit_name

COMMAND = "python -m ribstudy.bench"
OPTIONS = ("bank", "bf16", "compiled", "bf16 and bank", "tf32", "bf16 and compiled", "bf16, compiled and bank")


def device_table(records: Sequence[Record]) -> pd.DataFrame:
    """Each benchmark of each device: its date, the versions, and the load of the machine before it."""
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
    return table(rows or [{"device": "no device", "state": f"{NOT_RUN}: {COMMAND}"}], "device")


def schedule_table(records: Sequence[Record]) -> pd.DataFrame:
    """Both schedules on each device: one row for one core or the accelerator, and for a CPU a second row for all cores."""
    rows = []
    for record in records:
        for prefix, where in places(record):
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
                    "memory, GiB": " and ".join(number(value / 2**30, "{:.2f}") for value in memory),
                }
            )
    return devices_table(rows, records)


def places(record: Record) -> list[tuple[str, str]]:
    """For each way to use the device: the prefix of its measurements' names, and its name in a table."""
    if not record.is_cpu:
        return [("", "fp32")]
    return [("", "one core"), ("all cores, ", f"all {record.device['cores']} cores")]


def _shares(record: Record, prefix: str) -> str:
    """FLOP/s of reference and study as shares of the FLOP/s of a matrix product on as many threads, in fp32."""
    rate = record.value("matmul", "fp32" + _threads(record, everything=bool(prefix)))
    found = [record.flop_rate(name, all_cores=bool(prefix)) / rate for name in ("reference", "study")]
    return " and ".join(number(share, "{:.0%}") for share in found)


def _threads(record: Record, *, everything: bool) -> str:
    if not record.is_cpu:
        return ""
    count = record.device["cores"] if everything else 1
    return f", {count} thread" + "s" * (count > 1)


def pieces_table(records: Sequence[Record]) -> pd.DataFrame:
    """Computations around the network: times of the obvious implementation and of the study's, and their ratio."""
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
    return devices_table(rows, records)


def _gndrp_piece(method: str, passes: str) -> tuple[str, str, str, str]:
    return "pooling", f"{method}, {passes}: seconds", f"study, {passes}: seconds", f"{method}, {passes}: speed-up"


def _pool_piece(data: DataSetSize) -> tuple[str, str, str, None]:
    return "loading", *(f"{data.name}, pool by {way}: seconds an image" for way in ("scan", "product")), None


_SWEEPS = ("one confusion matrix a threshold: seconds", "study: seconds")
# piece -> benchmark, and the names of three of its measurements: the obvious implementation, the study's, and the speed-up. The
# last is None if it was not measured.
PIECES = {
    **{
        f"GNDRP {passes}, against {method}": _gndrp_piece(method, passes)
        for method in ("loops, labelled maps", "loops, every map")
        for passes in ("forward", "forward and backward")
    },
    "100 thresholds, against one confusion matrix each": ("sweep", *_SWEEPS, "speed-up"),
    **{f"auxiliary pool of an image, {data.name}, against a scan": _pool_piece(data) for data in (VOC, COCO)},
}


def _milliseconds(found: Measurement) -> str:
    return str(found) if found.value is None else f"{found.value * 1000:.3g}"


def _quotient(record: Record, bench: str, slow: str, fast: str) -> str:
    return number(record.value(bench, slow) / record.value(bench, fast), "{:.3g}")


def loading_table(records: Sequence[Record]) -> pd.DataFrame:
    """Crops per second by number of worker processes, and evaluated images per second on one core."""
    rows = []
    for record in records:
        found = record.benches["loading"].measurements if "loading" in record.benches else {}
        shown = {name: str(found[name]) for name in found if name.startswith(("crops", "evaluated"))}
        rows.append({"device": record.device["name"], **(shown or {"state": NOT_RUN})})
    return devices_table(rows, records)


def options_table(records: Sequence[Record]) -> pd.DataFrame:
    """The speed-up of each option, and the deviation of its maps from the maps in fp32; ResNet-50 with random weights."""
    rows = []
    for record in records:
        for option in OPTIONS:
            name = f"study, {option}"
            seconds = record.get("adaptation", f"{name}: seconds")
            if seconds == MISSING:
                continue
            rows.append(
                {
                    "device": record.device["name"],
                    "option": option,
                    "seconds": str(seconds),
                    "times as fast": _quotient(record, "adaptation", "study: seconds", f"{name}: seconds"),
                    "largest deviation": _percent(record.get("adaptation", f"{name}: largest deviation")),
                    "mean deviation": _percent(record.get("adaptation", f"{name}: mean deviation")),
                    "memory, GiB": number(record.value("adaptation", f"{name}: memory") / 2**30, "{:.2f}"),
                }
            )
    return devices_table(rows, records)


def deviation_table(records: Sequence[Record]) -> pd.DataFrame:
    """Deviations with trained weights (EfficientNet-Lite0, photographs), and the share of pixels that cross 0.3."""
    forms = {**dict.fromkeys(("largest deviation", "mean deviation", "pixels that change sides"), _percent), "speed-up": str}
    rows = [
        {
            "device": record.device["name"],
            "option": option,
            **{name: form(record.get("deviations", f"{option}: {name}")) for name, form in forms.items()},
        }
        for record in records
        for option in ("bf16", "compiled")
    ]
    return devices_table(rows, records)


def _percent(found: Measurement) -> str:
    return str(found) if found.value is None else f"{found.value:.2g}" if found.value < 1e-4 else f"{found.value:.3%}"


def headline_numbers(records: Sequence[Record]) -> Mapping[str, Measurement]:
    """The measurements that the page writes to its record: name with the device's slug -> measurement."""
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


def table(rows: Sequence[dict], index: str) -> pd.DataFrame:
    """Rows with different columns as one table; missing cells are empty."""
    return pd.DataFrame(rows).set_index(index).fillna("")


def devices_table(rows: Sequence[dict], records: Sequence[Record]) -> pd.DataFrame:
    """`table` by device, with a row for each kind of device that was not measured."""
    missing = [{"device": f"{name}: {NOT_RUN}"} for name in missing_devices(records)]
    return table([*rows, *missing], "device")


def missing_devices(records: Sequence[Record]) -> list[str]:
    """The kinds of devices without a record."""
    kinds = {record.device["kind"] for record in records}
    return [name for kind, name in (("cpu", "a CPU"), ("cuda", "a GPU")) if kind not in kinds]


def number(value: float, form: str) -> str:
    """A number in a given format; nan reads "not run"."""
    return NOT_RUN if math.isnan(value) else form.format(value)
