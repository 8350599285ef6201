"""The commands `publish` and `verify`: write the published results of the book's presets, and compute some of them again."""

import argparse
from collections.abc import Mapping
from typing import Any

from ribstudy.cli.options import path
from ribstudy.cli.study import presets
from ribstudy.config import preset_name


def add_publish_arguments(command: argparse.ArgumentParser) -> None:
    _add_published(command)
    command.add_argument(
        "--recheck",
        type=int,
        default=0,
        metavar="N",
        help="accept results of other code if today's code computes N items of each, and N trainings of each stage, equally "
        "to the bit (default: refuse them)",
    )
    command.add_argument("--seed", type=int, help="seed of the draws for --recheck (default: the date)")
    part = command.add_mutually_exclusive_group()
    part.add_argument(
        "--chapters",
        nargs="+",
        metavar="NAME",
        help="publish these chapters, such as 04_rib, and keep the results of others (default: all)",
    )
    part.add_argument(
        "--finished",
        action="store_true",
        help="publish all finished results, before the chapters that show them can run, and keep the others",
    )


def add_verify_arguments(command: argparse.ArgumentParser) -> None:
    _add_published(command)
    command.add_argument("--seed", type=int, help="seed of the draws (default: the date, such as 20250131)")
    command.add_argument("--per-stage", type=int, default=2, metavar="N", help="number of items of each stage (default: 2)")


def _add_published(command: argparse.ArgumentParser) -> None:
    command.add_argument("--published", type=path, help="folder of the published results (default: published/ of the project)")


def publish(options: argparse.Namespace) -> None:
    """Publishes the presets, one after another, and prints what changed."""
    from ribstudy.store import Store
    from ribstudy.workflow.publication import Publication

    if options.set:
        raise ValueError("publish: only the settings of a preset are published; change the preset instead of using --set")
    _require_positive("recheck", options.recheck, least=0)
    for preset in presets(options):
        store = Store(options.results, options.published)
        if options.finished:
            publication = Publication.of_finished(preset, store, options.data_root)
        else:
            publication = Publication.of(preset, store, options.data_root, options.chapters)
        done = publication.write(recheck=options.recheck, seed=options.seed)
        for what, names in (("written", done.changed), ("removed", done.removed)):
            print("\n".join(f"{what} {name}" for name in names), end="\n" * bool(names))
        print(f"{done.results} results of {preset} are published; all results together have {done.num_bytes / 1e6:.1f} MB")


def verify(options: argparse.Namespace, overrides: Mapping[str, Any]) -> None:
    """Makes the spot check of the presets and prints it. Raises SpotCheckError if an item deviates.

    Args:
        overrides: settings that differ from the presets, apart from the folder of the data.
    """
    from ribstudy.store import Store
    from ribstudy.workflow.batch import root_of
    from ribstudy.workflow.spot_check import require_ok, spot_check, write_checks

    _require_positive("per-stage", options.per_stage, least=1)
    store, checks = Store(options.results, options.published), []
    for preset in presets(options):
        own = {**overrides, **root_of(preset, options.data_root)}
        of_preset = spot_check(preset, own, store, seed=options.seed, per_stage=options.per_stage)
        file = store.root / "checks" / f"{preset_name(preset)}.json"
        write_checks(file, of_preset)
        print("\n".join([*map(str, of_preset), f"{len(of_preset)} published items were computed again; {file}"]))
        checks += of_preset
    require_ok(checks)


def _require_positive(name: str, value: int, *, least: int) -> None:
    if value < least:
        raise ValueError(f"--{name} {value}: {least} or more is needed")
