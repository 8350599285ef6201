"""The command line: `python -m ribstudy <stage> --preset study --set rib.tau=0.5`."""

import argparse
import logging
import sys
from typing import Any

from ribstudy.cli import data as data_command
from ribstudy.cli import evaluate as evaluate_command
from ribstudy.cli import look as look_command
from ribstudy.cli import options as options_of
from ribstudy.cli import preflight as preflight_command
from ribstudy.cli import publish as publish_command
from ribstudy.cli import settings as settings_command
from ribstudy.cli import study as study_commands
from ribstudy.config import DEFAULT_PRESET, load_settings, preset_names
from ribstudy.datasets.settings import ImageSelection
from ribstudy.runtime.limits import NEEDS_MEMORY, OutOfMemory


def main(arguments: list[str] | None = None) -> int:
    """Runs one command. Returns the exit code: 0, `NEEDS_MEMORY` if memory ran out, or 1 after another error that the user can
    correct. An error is printed without a traceback."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    options = _parser().parse_args(arguments)
    try:
        return options.command(options) or 0
    except (ValueError, OSError, ArithmeticError) as error:
        lines = [f"error: {error}", *getattr(error, "__notes__", [])]
        print("\n".join(lines), file=sys.stderr)
        return NEEDS_MEMORY if isinstance(error, OutOfMemory) else 1


def _parser() -> argparse.ArgumentParser:
    from ribstudy.stages import STAGES

    parser = argparse.ArgumentParser(prog="python -m ribstudy", description="Runs the stages of the study.")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for stage in STAGES.values():
        _add_stage(commands, stage)
    status = commands.add_parser("status", help="show which stages are finished, and the folders of their results")
    _add_settings(status)
    _add_images(status)
    status.set_defaults(command=_show_status)
    _add_search(commands)
    _add_preflight(commands, list(STAGES))
    _add_evaluate(commands)
    _add_publish(commands)
    study_commands.add_commands(commands)
    _add_submit(commands)
    look_command.add_command(commands)
    return parser


def _add_stage(commands: argparse._SubParsersAction, stage) -> None:
    from ribstudy.stages import ItemStage, of_images

    command = commands.add_parser(stage.name, help=f"stage: {stage.help}", description=stage.help)
    _add_settings(command)
    command.add_argument(
        "--each",
        action="append",
        default=[],
        metavar="SETTINGS",
        help="a run with these settings; repeat it for several runs: --each '{\"rib.tau\": 0.2}' --each '{\"rib.tau\": 0.6}'",
    )
    if of_images(stage):
        _add_images(command)
    if isinstance(stage, ItemStage):
        command.add_argument("--shard", metavar="I/N", help="compute only part I (from 0) of N equal parts of the items")
        command.add_argument("--processes", type=int, help="processes that share the items on this machine (default: cores)")
    if stage.decodes_ahead:
        command.add_argument(
            "--workers", type=int, help="worker processes that decode images ahead (default: 0 on a CPU, else up to 12)"
        )
    if stage.name == "data":
        data_command.add_arguments(command)
    command.set_defaults(command=_run_data if stage.name == "data" else _run_stage, stage=stage)


def _add_settings(command: argparse.ArgumentParser) -> None:
    known = ", ".join(preset_names())
    command.add_argument("--preset", default=DEFAULT_PRESET, help=f"one of {known} (default: {DEFAULT_PRESET})")
    _add_changes(command)


def _add_changes(command: argparse.ArgumentParser) -> None:
    """Adds the options that change a preset, and the folder of the results."""
    command.add_argument(
        "--data-root", "--root", type=options_of.path, help="folder of the data (for VOC, the one with JPEGImages in it)"
    )
    command.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="set a setting, such as rib.tau=0.5")
    command.add_argument("--results", type=options_of.path, help="folder of the results (default: results/ of the project)")


def _add_images(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--images", metavar="SELECTION", help="such as split=val,limit=2,masked=true (default: split=train, all images)"
    )


def _add_search(commands: argparse._SubParsersAction) -> None:
    search = commands.add_parser("settings", help="find settings by a word: value, source, range, and the stages they reach")
    search.add_argument("word", help="a part of a setting's name or description, such as tau or threshold")
    _add_settings(search)
    search.set_defaults(command=lambda options: settings_command.show(options.preset, _overrides(options), options.word))


def _add_evaluate(commands: argparse._SubParsersAction) -> None:
    evaluate = commands.add_parser("evaluate", help="score maps, masks or predictions on the images that have a true mask")
    evaluate_command.add_arguments(evaluate)
    _add_settings(evaluate)
    _add_images(evaluate)
    evaluate.set_defaults(command=_evaluate)


def _add_preflight(commands: argparse._SubParsersAction, stages: list[str]) -> None:
    preflight = commands.add_parser("preflight", help="show what a run or a batch requires, and what of it is missing")
    preflight_command.add_arguments(preflight, stages)
    preflight.add_argument("--preset", help=f"name or path of a preset (default: {DEFAULT_PRESET}, or the preset of the batch)")
    _add_changes(preflight)
    _add_images(preflight)
    preflight.set_defaults(command=_preflight)


def _add_publish(commands: argparse._SubParsersAction) -> None:
    publish = commands.add_parser("publish", help="write the results that the book shows into published/")
    study_commands.add_presets(publish)
    _add_changes(publish)
    options_of.add_config(publish)
    publish_command.add_publish_arguments(publish)
    publish.set_defaults(command=publish_command.publish)
    verify = commands.add_parser("verify", help="compute some published items of each stage again, and compare them")
    study_commands.add_presets(verify)
    _add_changes(verify)
    publish_command.add_verify_arguments(verify)
    verify.set_defaults(command=lambda options: publish_command.verify(options, options_of.settings(options.set)))


def _add_submit(commands: argparse._SubParsersAction) -> None:
    submit = commands.add_parser("submit", help="write the archive of predictions for VOC's evaluation server")
    submit.add_argument("data_set", choices=["voc12"], metavar="voc12")
    _add_settings(submit)
    submit.add_argument("--split", choices=["test", "val"], default="test", help="images to predict (default: test)")
    submit.add_argument(
        "--out", type=options_of.path, help="archive to write (default: voc12-<split>.tar.gz in the folder of results)"
    )
    submit.set_defaults(command=_submit, preset="voc12")


def _run(options: argparse.Namespace, overrides: dict[str, Any] | None = None):
    from ribstudy.stages import Run
    from ribstudy.store import Store

    overrides = dict(overrides or {})
    if "images" in overrides and not hasattr(options, "images"):
        raise ValueError(f"--each: the stage {options.stage.name} has no images to select; leave images out")
    images = overrides.pop("images", getattr(options, "images", None))
    settings = load_settings(options.preset, {**_overrides(options), **overrides})
    workers = getattr(options, "workers", None)
    if workers is not None and workers < 0:
        raise ValueError(f"--workers {workers}: 0 or more is needed")
    return Run(settings, store=Store(options.results), given_workers=workers).with_images(_selection(images))


def _selection(images: Any) -> ImageSelection | None:
    """The selection that a text describes, such as "split=val,limit=2"; None without one."""
    if images is not None and not isinstance(images, str):
        raise ValueError(f"images = {images!r}: expected a text, such as split=val,limit=2")
    return None if images is None else ImageSelection.parse(images)


def _overrides(options: argparse.Namespace) -> dict[str, Any]:
    given = options_of.settings(options.set)
    if options.data_root is None:
        return given
    if "data.root" in given:
        raise ValueError("--data-root and --set data.root are both given; remove one of them")
    return {**given, "data.root": str(options.data_root)}


def _run_stage(options: argparse.Namespace) -> int:
    from ribstudy.stages import ItemsFailed, execute
    from ribstudy.stages.preflight import require, unfinished

    # All runs are checked before the first one starts. If images fail in one run, the other runs still take place.
    runs = [_run(options, overrides) for overrides in _each(options)]
    if len(runs) > 1:
        require([work for run in runs for work in unfinished(options.stage, run)])
    failed = []
    for run in runs:
        try:
            print(execute(options.stage, run, shard=_shard(options), processes=_processes(options)).folder)
        except ItemsFailed as error:
            failed.append(error)
    if failed:
        kind = OutOfMemory if any(error.out_of_memory for error in failed) else ValueError
        raise kind("\n".join(map(str, failed)))
    return 0


def _each(options: argparse.Namespace) -> list[dict[str, Any]]:
    """The settings of every run: one for each `--each`; without that option, one run without further settings."""
    return [options_of.settings_of_run(text) for text in options.each] or [{}]


def _shard(options: argparse.Namespace):
    """The shard in the options; None means all items, or the shard of this rank if there are several ranks."""
    from ribstudy.stages import ItemStage, Shard

    if not isinstance(options.stage, ItemStage):
        return None
    if Shard.of_this_rank() is not None and (options.shard is not None or options.processes is not None):
        raise ValueError("use neither --shard nor --processes with several ranks (torchrun, accelerate launch)")
    return Shard.parse(options.shard) if options.shard is not None else None


def _processes(options: argparse.Namespace) -> int | None:
    processes = getattr(options, "processes", None)
    if processes is not None and processes < 1:
        raise ValueError(f"--processes {processes}: at least 1 is needed")
    return processes


def _run_data(options: argparse.Namespace) -> int:
    if options.action == "fetch":
        return data_command.fetch(options)
    if options.action == "synthesize":
        return data_command.synthesize(options)
    if options.action == "check":
        return data_command.check(options, load_settings(options.data_set or options.preset, _overrides(options)).data)
    if options.action == "list":
        return data_command.write_list(options, load_settings(options.preset, _overrides(options)).data)
    if options.decode:
        raise ValueError("--decode is an option of data check: python -m ribstudy data check --decode")
    return _run_stage(options)


def _evaluate(options: argparse.Namespace) -> int:
    run, processes = _run(options), _processes(options)
    table = evaluate_command.evaluate(options.scored, run, threshold=options.threshold, processes=processes)
    print(evaluate_command.describe(table, classes=options.classes, best=options.threshold is None))
    if options.out is not None:
        table.to_csv(options.out, index=False)
    return 0


def _preflight(options: argparse.Namespace) -> int:
    from ribstudy.stages import STAGES

    if options.batch is not None:
        return preflight_command.show(preflight_command.of_batch(options))
    options.preset = options.preset or DEFAULT_PRESET
    return preflight_command.show(preflight_command.of_stage(STAGES[options.stage], _run(options)))


def _submit(options: argparse.Namespace) -> int:
    from ribstudy import datasets
    from ribstudy.datasets.submission import submit_voc12
    from ribstudy.stages import STAGES, execute

    run = _run(options).with_images(ImageSelection(split=options.split))
    if run.settings.data.name != "voc12":
        raise ValueError(f"submit: the server takes predictions for VOC 2012, not for {run.settings.data.name}")
    dataset = datasets.open_dataset(run.settings.data, options.split)
    predictions = STAGES["predictions"]
    execute(predictions, run, processes=None)
    out = options.out or run.store.root / f"voc12-{options.split}.tar.gz"
    print(submit_voc12(dataset, run.stored(predictions), out))
    return 0


def _show_status(options: argparse.Namespace) -> int:
    from ribstudy.stages import STAGES, status

    if options.results and not options.results.is_dir():
        raise ValueError(f"--results {options.results}: no such folder")
    run = _run(options)
    for row in (status(stage, run) for stage in STAGES.values()):
        print(f"{row['stage']:<22}{row['state']:<24}{row['seconds']:>8.0f} s  {row['folder']}")
    return 0
