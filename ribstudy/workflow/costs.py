"""The cost of the published study: the processor time of every result that its chapters need, published or not.

The file published/costs.json has an entry for each result: its stage, its presets, the number of its items, the seconds of all
processor cores (`core_seconds`) and of graphics processors (`gpu_seconds`).
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from math import nan
from pathlib import Path

from ribstudy.config import preset_name
from ribstudy.published import merged_entries
from ribstudy.runtime.files import write_json
from ribstudy.workflow.planned import PlannedResult

FILE = "costs.json"


def cost_of(sessions: Iterable[Mapping]) -> dict[str, float]:
    """The seconds of cores and of graphics processors of sessions (`Result.sessions`).

    A session that did not measure its processor time had one core, or a graphics processor.
    """
    cores = gpus = 0.0
    for session in sessions:
        on_gpu = session["device"].startswith("cuda")
        cores += session.get("core_seconds", 0 if on_gpu else session["seconds"])
        gpus += session.get("gpu_seconds", session["seconds"] if on_gpu else 0)
    return {"core_seconds": round(cores, 2), "gpu_seconds": round(gpus, 2)}


def seconds_per_item(sessions: Iterable[Mapping]) -> float:
    """Wall-clock seconds of a process for an item, over all sessions (`Result.sessions`) that finished any; nan if none did."""
    worked = [session for session in sessions if session.get("items")]
    items, seconds = (sum(session[name] for session in worked) for name in ("items", "seconds"))
    return seconds / items if items else nan


def write_costs(folder: Path, planned: Mapping[str, PlannedResult], preset: str) -> None:
    """Writes the costs of the planned results of a preset into the folder of published results, and keeps those of others.

    If more items of a result were computed elsewhere than here, their earlier entry stays.
    """
    old = read_costs(folder)
    found = {name: _larger(old.get(name), _entry(result)) for name, result in planned.items()}
    costs = merged_entries(old, {name: entry for name, entry in found.items() if entry}, preset)
    if costs != old:
        write_json(folder / FILE, costs)


def read_costs(folder: Path) -> dict[str, dict]:
    """The entries by the name of the result; {} if nothing is published."""
    path = folder / FILE
    return json.loads(path.read_text()) if path.is_file() else {}


def cost_rows(costs: Mapping[str, Mapping], presets: Sequence[str]) -> list[dict]:
    """A row for each preset and one for all: its results, core-hours and hours of graphics processors.

    A result that several presets use counts for the first of them.
    """
    rows, counted = [], set()
    for preset in presets:
        shown = preset_name(preset)
        own = {name for name, entry in costs.items() if shown in entry["presets"]} - counted
        counted |= own
        rows.append({"preset": shown, **_hours([costs[name] for name in own])})
    return [*rows, {"preset": "all", **_hours([costs[name] for name in counted])}]


def _hours(entries: Sequence[Mapping]) -> dict:
    cores, gpus = (sum(entry[name] for entry in entries) / 3600 for name in ("core_seconds", "gpu_seconds"))
    return {"results": len(entries), "core-hours": cores, "GPU hours": gpus}


def _entry(planned: PlannedResult) -> dict | None:
    result = planned.runs[0].result(planned.stage)
    sessions = result.sessions()
    items = sum(session.get("items", 0) for session in sessions)
    return {"stage": planned.stage.name, "items": items, **cost_of(sessions)} if sessions else None


def _larger(old: Mapping | None, new: Mapping | None) -> Mapping | None:
    return max((entry for entry in (new, old) if entry), key=lambda entry: entry["items"], default=None)
