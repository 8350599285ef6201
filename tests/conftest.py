"""Fixtures and settings of all tests."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from helpers.shown_study import ShownStudy
from helpers.tiny_study import TINY as TINY_STUDY
from helpers.tiny_study import settings_of

import ribstudy  # noqa: F401  (before a test imports torchvision, see runtime/torchvision_operators.py)
from ribstudy import datasets
from ribstudy.config import load_settings
from ribstudy.datasets import content
from ribstudy.stages import Run, execute
from ribstudy.stages.classifier import CLASSIFIER
from ribstudy.store import Store

# On small tensors, several threads are slower than one. The shards of a run also use one thread each.
torch.set_num_threads(1)

ROOT = Path(__file__).resolve().parent.parent
TINY = ROOT / "tests" / "smallest.yml"


class TinyBook:
    """All of `make book` with the preset tests/smallest.yml, in a separate folder."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.results = folder / "my results"  # a space in a path breaks nothing
        self.html = folder / "_build" / "html"
        jobs = self.run("--keep-going", "results")
        self.after_jobs = self.work()
        book = self.run("--keep-going", "book")
        self.returncode = jobs.returncode or book.returncode
        self.output = jobs.stdout + jobs.stderr + book.stdout + book.stderr

    def work(self) -> dict[str, str]:
        """The log of the processes that worked on each result, by the name of the result's folder."""
        return {path.parent.name: path.read_text() for path in self.results.glob("runs/*/sessions.jsonl")}

    def run(self, *arguments: str) -> subprocess.CompletedProcess:
        command = [Path(sys.executable).with_name("snakemake"), "--snakefile", ROOT / "Snakefile", "--config", f"preset={TINY}"]
        command += ["--cores", "2", *arguments]
        places = {"RESULTS": self.results, "DATA": self.folder / "my data", "PUBLISHED": self.folder / "published"}
        given = {f"RIBSTUDY_{name}": str(path) for name, path in places.items()}
        return subprocess.run(command, cwd=self.folder, env={**os.environ, **given}, capture_output=True, text=True)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Runs all tests that use `tiny_book` in the same process, so that the book is made only once.

    The later hook `pytest_collection_modifyitems` would be too late, because pytest-xdist has read the groups by then.
    """
    if "tiny_book" in getattr(item, "fixturenames", ()):
        item.add_marker(pytest.mark.xdist_group("tiny_book"))


@pytest.fixture(scope="session")
def tiny_book(tmp_path_factory) -> TinyBook:
    return TinyBook(tmp_path_factory.mktemp("book"))


@pytest.fixture(scope="session", autouse=True)
def saved_values(tmp_path_factory) -> Iterator[None]:
    """Saves the digests of the tests' files in a temporary folder, and not in the folder of the project's data."""
    folder, saved_values = tmp_path_factory.mktemp("saved"), content.saved_values
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(content, "saved_values", lambda root: folder / saved_values(root).name)
        yield


@pytest.fixture(scope="session")
def data_root(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "minivoc"
    datasets.prepare(load_settings("mini", {**TINY_STUDY, "data.root": str(root)}).data)
    return root


@pytest.fixture(scope="session")
def trained(data_root, tmp_path_factory):
    """The folder of a store with a finished classifier, which tests copy."""
    store = Store(tmp_path_factory.mktemp("trained"))
    execute(CLASSIFIER, Run(settings_of(data_root), store=store))
    return store.root


@pytest.fixture(scope="session")
def shown_folder(data_root, tmp_path_factory):
    """The folder of a `ShownStudy` whose chapter was run and whose results are published; tests copy it."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        study = ShownStudy(tmp_path_factory.mktemp("shown"), data_root, monkeypatch)
        study.show()
        study.publish()
    return study.folder


@pytest.fixture
def study(shown_folder, tmp_path, data_root, monkeypatch):
    """A copy of the published study."""
    shutil.copytree(shown_folder, tmp_path / "study")
    return ShownStudy(tmp_path / "study", data_root, monkeypatch)
