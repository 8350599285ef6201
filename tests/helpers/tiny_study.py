"""A study of a few small images with random weights, whose every stage runs in seconds."""

import os
import shutil
import socket
import subprocess
import sys

from ribstudy.config import load_settings
from ribstudy.stages import Run
from ribstudy.store import Store

TINY = {
    "data.minivoc": {"num_train": 4, "num_train_aug": 12, "num_val": 3, "image_size": 64, "seed": 1},
    "classifier.weights": None,
    "classifier.epochs": 2,
    "classifier.batch_size": 4,
    "classifier.crop_size": 64,
    "classifier.long_side": [64, 80],
    "auxiliary.batch_size": 2,
    "auxiliary.crop_size": 64,
    "auxiliary.long_side": [64, 64],
    "rib.iterations": 2,
}


def settings_of(data_root, **overrides):
    return load_settings("mini", {**TINY, "data.root": str(data_root), **overrides})


def copy_as_described(data_root, copy) -> None:
    """Copies MiniVOC without the digests of its files, so that files can be spoiled without a change of its identity."""
    shutil.copytree(data_root, copy, ignore=shutil.ignore_patterns("drawn.json"))


def run_in(root, data_root, trained=None, images=None, **overrides) -> Run:
    """A run in the folder `root`, which starts with what is in the folder `trained`."""
    if trained is not None:
        shutil.copytree(trained, root, dirs_exist_ok=True)
    return Run(settings_of(data_root, **overrides), store=Store(root)).with_images(images)


def files(result) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(result.folder.glob("items/*"))}


def launch(number, *arguments, **environment):
    """Runs the command line in `number` ranks, as torchrun starts them; exit codes and outputs."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    ranks = []
    for rank in range(number):
        given = {"RANK": rank, "WORLD_SIZE": number, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": number, "MASTER_PORT": port}
        variables = {**os.environ, "MASTER_ADDR": "127.0.0.1", "OMP_NUM_THREADS": "1", **environment}
        variables |= {name: str(value) for name, value in given.items()}
        command = [sys.executable, "-m", "ribstudy", *arguments]
        ranks.append(subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))
    outputs = [rank.communicate()[0] for rank in ranks]
    return [rank.returncode for rank in ranks], outputs


def options_of(data_root, results):
    options = ["--preset", "mini", "--results", str(results), "--data-root", str(data_root)]
    for name, value in TINY.items():
        options += ["--set", f"{name}={value if value is not None else 'null'}"]
    return options
