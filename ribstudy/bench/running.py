"""How a benchmark is run, and added to the record of its device."""

import os
from pathlib import Path
from types import ModuleType
from typing import Any

from ribstudy.bench.measure import Plan
from ribstudy.bench.records import Bench, Record, read_records, write_record
from ribstudy.store import provenance


def measure(bench: ModuleType, plan: Plan) -> Bench:
    """Runs a benchmark: `bench.run(plan)`, and `bench.settings(plan)` if it has settings. Raises what these raise."""
    load, made = os.getloadavg()[0], provenance()
    settings = bench.settings(plan) if hasattr(bench, "settings") else {}
    return Bench(bench.run(plan), settings, made["git"], made["finished"], round(load, 2))


def measured_before(folder: Path, device: dict[str, Any]) -> dict[str, Bench]:
    """The benchmarks in the record of a device, by name; empty if there is no record."""
    return next((record.benches for record in read_records(folder) if record.device["slug"] == device["slug"]), {})


def add_to_record(folder: Path, device: dict[str, Any], name: str, bench: Bench) -> None:
    """Writes a benchmark into the record of a device, and keeps the others."""
    write_record(folder, Record(device, {**measured_before(folder, device), name: bench}))
