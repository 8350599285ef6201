"""Charts of the page on costs."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from ribstudy.bench.operations import StepFlop, count_step
from ribstudy.bench.parts import grouped_flop, parts_of
from ribstudy.bench.projections import VOC
from ribstudy.bench.records import MISSING, Record
from ribstudy.bench.tables import places
from ribstudy.evaluation.statistics import NOT_RUN
from ribstudy.method.settings import RibSettings
from ribstudy.report.figures.common import WIDTH, legend_below

PART_COLORS = ("#56B4E9", "#0072B2", "#003C66", "#F0E442", "#E69F00", "#D55E00")
STUDY_COLOR = "#D55E00"


def flop_bars() -> Figure:
    """The FLOP of one adaptation of VOC: one bar per schedule and one for the fast mode, divided into the parts of a step."""
    step, iterations = count_step(VOC.workload), VOC.workload.iterations
    fast = grouped_flop(parts_of(VOC.workload, RibSettings(mode="fast", iterations=iterations)))
    schedules = {**part_flop(step, iterations), "fast": fast}
    figure, axis = plt.subplots(figsize=(WIDTH, 3.6))
    left = dict.fromkeys(schedules, 0.0)
    for part, color in zip(vars(step), PART_COLORS, strict=True):
        widths = [parts[part] / 1e12 for parts in schedules.values()]
        axis.barh(list(schedules), widths, left=list(left.values()), color=color, label=part.replace("_", ": "))
        left = {name: left[name] + width for name, width in zip(left, widths, strict=True)}
    axis.invert_yaxis()
    axis.grid(axis="y", visible=False)
    axis.set(title=f"One adaptation at the size of {VOC.name}", xlabel="TFLOP")
    legend_below(figure)
    return figure


def part_flop(step: StepFlop, iterations: int) -> dict[str, dict[str, float]]:
    """schedule -> part of a step -> FLOP in one adaptation."""
    parts = vars(step)
    updates = {name: (iterations - 1) * flop for name, flop in parts.items()}
    study = {**updates, "own_frozen": step.own_frozen, "own_trained": iterations * step.own_trained}
    return {
        "reference": {name: iterations * flop for name, flop in parts.items()},
        "study": study,
        "study, bank": {**study, "auxiliary_frozen": 0.0},
    }


def schedule_bars(records: Sequence[Record]) -> Figure:
    """The speed-up over the reference code's schedule on each device; whiskers reach from the smallest to the largest."""
    bars = [
        (f"{record.device['name']}\n{where}", record.get("adaptation", f"{prefix}speed-up"))
        for record in records
        for prefix, where in places(record)
    ] or [("no device", MISSING)]
    figure, axis = plt.subplots(figsize=(WIDTH, 0.7 * len(bars) + 1.4))
    for place, (_, found) in enumerate(bars):
        if found.value is None:
            axis.text(0.05, place, NOT_RUN, va="center")
        else:
            whiskers = [[found.value - found.low], [found.high - found.value]] if found.n > 1 else None
            axis.barh(place, found.value, xerr=whiskers, color=STUDY_COLOR, capsize=3, height=0.6)
    axis.axvline(1, color="#333333", linestyle=":", label="as fast as the reference's schedule")
    axis.set_yticks(range(len(bars)), [name for name, _ in bars])
    axis.invert_yaxis()
    axis.grid(axis="y", visible=False)
    axis.set(title="One adaptation, the study's schedule", xlabel="times as fast (median; line: all repeats)", xlim=(0, None))
    legend_below(figure)
    return figure
