"""The records of `python -m ribstudy.bench`: one JSON file per device, with the measurements of each benchmark."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from ribstudy.bench.operations import Workload
from ribstudy.evaluation.statistics import NOT_RUN
from ribstudy.runtime.files import write_json


@dataclass(frozen=True)
class Measurement:
    """The median of n repeats, the smallest and the largest. If there is no value, `note` gives the reason."""

    value: float | None
    unit: str = ""
    low: float | None = None
    high: float | None = None
    n: int = 0
    note: str = ""

    @classmethod
    def of(cls, values: Sequence[float], unit: str, *, note: str = "") -> "Measurement":
        return cls(float(np.median(values)), unit, float(min(values)), float(max(values)), len(values), note)

    @classmethod
    def not_run(cls, reason: str) -> "Measurement":
        return cls(None, note=reason)

    def __str__(self) -> str:
        """The median, followed by the smallest and the largest value in brackets if they differ."""
        if self.value is None:
            return f"{NOT_RUN}: {self.note}" if self.note else NOT_RUN
        spread = f" ({self.low:.3g} to {self.high:.3g})" if self.n > 1 and self.low != self.high else ""
        return f"{self.value:.3g}{spread}"


MISSING = Measurement(None)


@dataclass(frozen=True)
class Bench:
    """One benchmark on one device: its measurements by name, and the settings, the commit and the date of the run.

    load: the load average of the machine before the benchmark began. If it is well above 0, other programs were running and the
        times are too long.
    """

    measurements: dict[str, Measurement]
    settings: dict[str, Any]
    git: dict[str, Any]
    date: str
    load: float


@dataclass(frozen=True)
class Record:
    """All benchmarks of one device. device: slug (the name of its file), name, kind (cpu or cuda), cpu, cores, torch."""

    device: dict[str, Any]
    benches: dict[str, Bench]

    @property
    def is_cpu(self) -> bool:
        return self.device["kind"] == "cpu"

    def get(self, bench: str, name: str) -> Measurement:
        """A measurement; `MISSING` if the record does not contain it."""
        return self.benches[bench].measurements.get(name, MISSING) if bench in self.benches else MISSING

    def value(self, bench: str, name: str) -> float:
        """The value of a measurement; nan if it was not run."""
        value = self.get(bench, name).value
        return math.nan if value is None else value

    def flop_rate(self, variant: str, *, all_cores: bool = False) -> float:
        """FLOP per second of a variant of the adaptation; nan if it was not run."""
        prefix = "all cores, " if all_cores else ""
        return self.value("adaptation", f"{variant}: FLOP") / self.value("adaptation", f"{prefix}{variant}: seconds")

    def workload(self) -> Workload:
        """The workload of the benchmark `adaptation`."""
        known = {field.name for field in fields(Workload)}
        return Workload(**{name: value for name, value in self.benches["adaptation"].settings.items() if name in known})


def write_record(folder: Path, record: Record) -> Path:
    """Writes <folder>/<slug>.json and returns its path."""
    path = folder / f"{record.device['slug']}.json"
    write_json(path, asdict(record))
    return path


def read_records(folder: Path) -> list[Record]:
    """All records of a folder, in the order of their names; an empty list if the folder does not exist.

    Raises ValueError with the name of the file if a file is not a record.
    """
    return [_read_record(path) for path in sorted(folder.glob("*.json"))]


def _read_record(path: Path) -> Record:
    try:
        values = json.loads(path.read_text())
        benches = {
            name: Bench(**{**bench, "measurements": {key: Measurement(**m) for key, m in bench["measurements"].items()}})
            for name, bench in values["benches"].items()
        }
        return Record(values["device"], benches)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{path}: is not a record of python -m ribstudy.bench ({error!r})") from None
