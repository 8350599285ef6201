"""The fault campaign: commands that are disturbed, and inputs that are mutated. `make campaign` runs all of it.

    PYTHONPATH=.:tests python -m campaign --kills 100 --mutations 1000 --seed 0

Every trial draws from a random generator of its own, named in the message if the trial deviates. The counts of each part go to
tests/campaign/<part>.json and to README.md. The exit status is 1 if a trial deviated.
"""

import argparse
import itertools
import logging
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from campaign import faults, mutated
from campaign.commands import Deviation, Step, undisturbed
from campaign.data_inputs import DATA
from campaign.outcome import HEADS, SECTION, Outcome, Row, file_of, tables
from campaign.result_inputs import RESULTS
from campaign.text_inputs import TEXTS

from ribstudy.runtime import paths, ranks
from ribstudy.runtime.machine import machine_name
from ribstudy.store import git_state

INPUTS = {**DATA, **TEXTS, **RESULTS}


def disturbances(steps: Sequence[Step], kills: int) -> Iterator[tuple[str, Step]]:
    """The faults of a campaign, each with its command: so many kills, and every other fault of every command."""
    yield from itertools.islice(itertools.cycle(itertools.product(faults.KILLS, steps)), kills)
    for fault, (_, times, suits) in faults.OTHERS.items():
        yield from ((fault, step) for step in steps if suits(step) for _ in range(times))


def run_disturbances(folder: Path, kills: int, seed: int) -> list[Row]:
    """Runs as many trials side by side as there are cores. Each has a folder of its own."""
    rows = {fault: Row(fault) for fault in faults.FAULTS}

    def run(trial: tuple[int, tuple[str, Step]]) -> tuple[str, str]:
        number, (fault, step) = trial
        name = f"{seed} {fault} {step.name} {number}"
        with TemporaryDirectory(dir=folder) as own:
            try:
                print(f"{step.name}, {fault}: {faults.trial(step, fault, Path(own), random.Random(name))}", flush=True)
            except Deviation as error:
                print(f"DEVIATION [{name}] {error}", flush=True)
                return fault, f"[{name}] {error}"
        return fault, ""

    with ThreadPoolExecutor(ranks.cores()) as pool:
        for fault, deviation in pool.map(run, enumerate(disturbances(undisturbed(folder / "undisturbed"), kills))):
            if deviation:
                rows[fault].deviate(deviation)
            else:
                rows[fault].count("as undisturbed")
    return [row for row in rows.values() if row.trials]


def run_mutations(folder: Path, number: int, seed: int) -> list[Row]:
    rows = {name: Row(name) for name in INPUTS}
    for place, name in zip(range(number), itertools.cycle(INPUTS), strict=False):
        draws = f"{seed} {name} {place}"
        try:
            rows[name].count(mutated.trial(INPUTS[name], folder, random.Random(draws)).partition(": ")[2])
        except Deviation as error:
            rows[name].deviate(f"[{draws}] {error}")
            print(f"DEVIATION [{draws}] {error}", flush=True)
    return list(rows.values())


def run_part(part: str, run: Callable[[Path], list[Row]], seed: int) -> list[str]:
    """Runs a part of the campaign, and writes its counts and the tables. Returns the messages of its deviations."""
    start, git = time.monotonic(), git_state()
    with TemporaryDirectory(prefix="ribstudy-campaign-") as folder:
        paths.DATA = Path(folder) / "data"
        rows = run(Path(folder))
    about = {
        "seed": seed,
        "commit": git["commit"] or "unknown",
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": machine_name(),
        "minutes": round((time.monotonic() - start) / 60),
    }
    outcome = Outcome(about, rows)
    outcome.write(file_of(part))
    SECTION.write(tables())
    return outcome.deviations


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--mutations", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--part", choices=list(HEADS), help="only this part (default: both)")
    options = parser.parse_args()
    logging.disable()  # warnings about the mutated data sets
    parts = {  # the faults first: one of their commands publishes, which needs a checkout without the tables of the other part
        "faults": lambda folder: run_disturbances(folder, options.kills, options.seed),
        "mutations": lambda folder: run_mutations(folder, options.mutations, options.seed),
    }
    chosen = {part: run for part, run in parts.items() if options.part in (None, part)}
    deviations = [message for part, run in chosen.items() for message in run_part(part, run, options.seed)]
    if deviations:
        sys.exit(f"{len(deviations)} trials deviate")


if __name__ == "__main__":
    main()
