"""What every test needs before anything else."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers.tiny_study import TINY as TINY_STUDY
from helpers.tiny_study import settings_of

from ribstudy import datasets
from ribstudy.config import load_settings
from ribstudy.runtime import torchvision_operators  # noqa: F401  (before a test imports torchvision)
from ribstudy.stages import Run, execute
from ribstudy.store import Store

# Tests run on small tensors, where threads cost more than they bring; the shards of a run have one thread each too.
torch.set_num_threads(1)

ROOT = Path(__file__).resolve().parent.parent
TINY = ROOT / "tests" / "tiny.yml"


class TinyBook:
    """The whole of `make book` with the preset tests/tiny.yml, in a folder of its own."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.results = folder / "results"
        self.html = folder / "_build" / "html"
        process = self.run("--keep-going", "book")
        self.returncode = process.returncode
        self.output = process.stdout + process.stderr

    def run(self, *arguments: str) -> subprocess.CompletedProcess:
        command = [Path(sys.executable).with_name("snakemake"), "--snakefile", ROOT / "Snakefile", "--config", f"preset={TINY}"]
        command += ["--rerun-triggers", "mtime", "input", "--cores", "2", *arguments]
        places = {"RIBSTUDY_RESULTS": str(self.results), "RIBSTUDY_DATA": str(self.folder / "data")}
        return subprocess.run(command, cwd=self.folder, env={**os.environ, **places}, capture_output=True, text=True)


def pytest_itemcollected(item: pytest.Item) -> None:
    """One of the processes that run tests side by side makes the small book, for all tests that look at it.

    Here and not when all items are there: pytest-xdist reads the groups before a conftest is asked then.
    """
    if "tiny_book" in getattr(item, "fixturenames", ()):
        item.add_marker(pytest.mark.xdist_group("tiny_book"))


@pytest.fixture(scope="session")
def tiny_book(tmp_path_factory) -> TinyBook:
    return TinyBook(tmp_path_factory.mktemp("book"))


@pytest.fixture(scope="session")
def data_root(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "minivoc"
    datasets.prepare(load_settings("mini", {**TINY_STUDY, "data.root": str(root)}).data)
    return root


@pytest.fixture(scope="session")
def trained(data_root, tmp_path_factory):
    """A store with a finished classifier, to be copied."""
    store = Store(tmp_path_factory.mktemp("trained"))
    execute("classifier", Run(settings_of(data_root), store))
    return store.root
