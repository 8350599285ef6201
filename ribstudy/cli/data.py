"""The command `python -m ribstudy data`: checks a data set, downloads VOC 2012, writes synthetic data, or a list of images."""

import argparse
import sys

SIZES = {"voc12": ("train", "train_aug", "val"), "coco14": ("train", "val")}  # splits whose sizes `synthesize` needs


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Adds the actions of the command `data` and their options."""
    command.add_argument(
        "action",
        nargs="?",
        choices=["check", "fetch", "synthesize", "list"],
        help="check: print all problems, write nothing; fetch: download; synthesize: write synthetic data of any size; "
        "list: write names, labels and fingerprints of all images into the package",
    )
    command.add_argument(
        "data_set",
        nargs="?",
        metavar="DATASET",
        help="fetch: voc12; synthesize: voc12 or coco14; check: a preset, instead of --preset; list: the name of the list",
    )
    command.add_argument(
        "--about", metavar="TEXT", help="list: what the images are, such as 'a public third of PASCAL VOC 2012'"
    )
    command.add_argument("--decode", action="store_true", help="check: also decode every image in full (slower)")
    command.add_argument("--processes", type=int, help="check and synthesize: number of processes (default: all cores)")
    command.add_argument("--mirror-voc", metavar="URL", help="fetch: another address of VOC's archive, or a local file")
    command.add_argument("--mirror-sbd", metavar="URL", help="fetch: another address of SBD's archive, or a local file")
    command.add_argument("--seed", type=int, default=0, help="synthesize: seed of the images (default: 0)")
    for split in SIZES["voc12"]:
        option = f"--{split.replace('_', '-')}"
        command.add_argument(option, dest=split, type=int, metavar="N", help=f"synthesize: number of images in {split}")
    command.add_argument(
        "--test", type=int, metavar="N", default=0, help="synthesize voc12: number of images in test (default: 0)"
    )


def check(options: argparse.Namespace, data_settings) -> int:
    """Prints all problems of the data. Returns the exit code, which is 1 if there are any."""
    from ribstudy import datasets

    folder = datasets.data_folder(data_settings)
    problems = datasets.check(data_settings, decode=options.decode, processes=_processes(options))
    for problem in problems:
        print(problem)
    print(f"{folder}: {len(problems)} problems" if problems else f"{folder}: no problems", file=sys.stderr)
    return 1 if problems else 0


def fetch(options: argparse.Namespace) -> int:
    """Downloads a data set and prints its folder."""
    from ribstudy.datasets.fetch import fetch_voc12

    if options.data_set != "voc12":
        raise ValueError(
            "data fetch: only voc12 can be downloaded (data fetch voc12 --root DIR); for COCO 2014 see data/README.md"
        )
    folder = fetch_voc12(_root(options), mirror_voc=options.mirror_voc, mirror_sbd=options.mirror_sbd)
    print(folder)
    return 0


def write_list(options: argparse.Namespace, data_settings) -> int:
    """Writes the list of the images of a data set (`datasets/listed.py`) and prints its file."""
    from ribstudy import datasets

    if options.data_set is None or options.about is None:
        raise ValueError(
            "data list: pass a name and a description, such as data list voc12-third --about 'a third of VOC 2012'"
        )
    print(datasets.write_list(data_settings, options.data_set, about=options.about))
    return 0


def synthesize(options: argparse.Namespace) -> int:
    """Writes a synthetic data set and prints its folder."""
    from ribstudy.datasets import synthetic

    if options.data_set not in SIZES:
        raise ValueError(f"data synthesize {options.data_set or ''}: pass a format: {' or '.join(SIZES)}")
    numbers = {f"num_{split}": getattr(options, split) for split in SIZES[options.data_set]}
    for name, number in numbers.items():
        if number is None:
            raise ValueError(f"data synthesize {options.data_set}: pass --{name.removeprefix('num_').replace('_', '-')} N")
    if options.data_set == "voc12":
        numbers["num_test"] = options.test
    elif options.test:
        raise ValueError(
            f"data synthesize {options.data_set} --test {options.test}: only voc12 has a split test, remove the option"
        )
    write = synthetic.write_voc if options.data_set == "voc12" else synthetic.write_coco
    write(_root(options), **numbers, seed=options.seed, processes=_processes(options))
    print(_root(options))
    return 0


def _root(options: argparse.Namespace):
    if options.data_root is None:
        raise ValueError(f"data {options.action} {options.data_set}: pass the folder to write to: --root DIR")
    return options.data_root


def _processes(options: argparse.Namespace) -> int:
    from ribstudy.runtime import ranks

    if options.processes is not None and options.processes < 1:
        raise ValueError(f"--processes {options.processes}: at least 1 is needed")
    return options.processes or ranks.cores()
