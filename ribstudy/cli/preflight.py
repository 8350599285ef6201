"""The command `preflight`: what the work of a run or a batch requires of data, packages, weights, memory and disk."""

import argparse
from collections.abc import Sequence

from ribstudy.stages.preflight import Finding
from ribstudy.stages.stage import Run, Stage

LAST = "predictions"  # the stage at the end of the way from images to segmented images


def add_arguments(command: argparse.ArgumentParser, stages: Sequence[str]) -> None:
    """Adds the options of the command, apart from settings and images."""
    command.add_argument(
        "stage", nargs="?", default=LAST, choices=stages, metavar="STAGE", help=f"the stage to reach (default: {LAST})"
    )
    command.add_argument(
        "--batch", metavar="BATCH", help="everything of this batch instead: a name, or the path of a .yml file"
    )


def of_stage(stage: Stage, run: Run) -> list[Finding]:
    """The requirements of a stage and of all stages that it needs, as far as they are not finished."""
    from ribstudy.stages.preflight import findings, room, unfinished

    work = list(unfinished(stage, run))
    return [*findings(work), *room(work)] if work else []


def of_batch(options: argparse.Namespace) -> list[Finding]:
    """The requirements of all results of a batch that are not finished."""
    from functools import partial

    from ribstudy.runtime.paths import PROJECT
    from ribstudy.store import Store
    from ribstudy.workflow import batch
    from ribstudy.workflow.book import notebooks
    from ribstudy.workflow.left import is_done
    from ribstudy.workflow.plan import Plan
    from ribstudy.workflow.preflight import findings_of_plan

    if options.set or options.images:
        raise ValueError("preflight --batch: the batch has its own settings and images; remove --set and --images")
    file, book, store = batch.named(options.batch, PROJECT / "batches"), PROJECT / "book", Store(options.results)
    found = batch.read(file, preset=options.preset, data_root=options.data_root)
    with batch.naming(file):
        plan = Plan(found, batch.expand(found, book, notebooks(book)), is_done=partial(is_done, store=store))
    return findings_of_plan(plan, store=store)


def show(found: Sequence[Finding]) -> int:
    """Prints the requirements, each with its state, and the problems at the end. Returns the exit code: 1 if there are any."""
    from ribstudy.workflow.outcome import table

    asked = [(_state(each), each.requirement.kind, each.requirement.setting, each.requirement.need) for each in found]
    rows = list(dict.fromkeys(asked))  # presets of a batch ask for the same
    print(table([("state", "kind", "setting", "what is needed"), *rows]) if rows else "Everything is finished.")
    problems = [each.problem for each in found if each.problem]
    print("\n".join(problems or ["Nothing is missing."]))
    return 1 if problems else 0


def _state(finding: Finding) -> str:
    return "missing" if finding.problem else "ok"
