"""A small batch that a test runs on a Slurm or on this machine: eight images, one training, two jobs that share the images."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import nbformat
import yaml

ROOT = Path(__file__).resolve().parents[2]
ONE_THREAD = "threads=1"  # the rounding of a training depends on the number of threads
STORE = (ROOT / "ribstudy" / "store.py").read_text()
WRITES = "with atomic(self.item_path(name)) as temporary:"  # an item
SNAKEMAKE = Path(sys.executable).with_name("snakemake")
PRESET = {
    "base": str(ROOT / "tests" / "smallest.yml"),
    "data": {"minivoc": {"num_train": 8, "num_train_aug": 8, "num_val": 4, "image_size": 64}},
    "classifier": {"weights": None, "crop_size": 64, "long_side": [64, 80]},
}


class Project:
    """A copy of the project with one short notebook.

    Args:
        folder: its folder, which is made.
        results: the folder of the results; None: inside `folder`.
        data: the folder of the drawn data, which several projects share.
    """

    def __init__(self, folder: Path, data: Path, results: Path | None = None):
        self.folder, self.data, self.results = folder, data, results or folder / "results"
        self._calls: list[subprocess.Popen] = []
        (folder / "book" / "_static").mkdir(parents=True)
        for name in ("Snakefile", "ribstudy", "batches", "profiles"):
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, folder / name)
        (folder / "book" / "_toc.yml").write_text("root: index\nchapters: [{file: 03_cam}]\n")
        (folder / "book" / "index.md").write_text("# Index\n")
        tagged = {"tags": ["parameters"]}
        cells = [nbformat.v4.new_code_cell('# Parameters\npreset = "study"  # p\noverrides = {}  # o', metadata=tagged)]
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        book = nbformat.v4.new_notebook(cells=[*cells, nbformat.v4.new_code_cell("preset")], metadata={"kernelspec": kernel})
        nbformat.write(book, folder / "book" / "03_cam.ipynb")
        (folder / "preset.yml").write_text(yaml.safe_dump(PRESET))
        self.batch("own")

    def batch(self, name: str, **settings) -> None:
        """Writes a batch of the chapter on CAM with some settings."""
        values = {"about": "a test", "preset": str(self.folder / "preset.yml"), "notebooks": ["03_cam"], "shards": 2}
        (self.folder / f"{name}.yml").write_text(yaml.safe_dump({**values, "settings": {"seeds": 1, **settings}}))

    def before_each_item(self, statement: str) -> None:
        """Puts a statement before the writing of an item, so that a fault hits a job in the middle of its work."""
        assert WRITES in STORE
        self._set_store(STORE.replace(WRITES, f"{statement}\n        {WRITES}"))

    def as_shipped(self) -> None:
        """Removes that statement."""
        self._set_store(STORE)

    def _set_store(self, text: str) -> None:
        (self.folder / "ribstudy" / "store.py").write_text(text)

    def start(self, name: str = "own", *options: str, target: str = "batch", gpus: int = 1) -> subprocess.Popen:
        """Starts a batch on the Slurm with the shipped profile; its output goes to the file NAME.out."""
        profile = ["--profile", str(self.folder / "profiles" / "slurm")]
        quick = ["--slurm-init-seconds-before-status-checks", "5", "--latency-wait", "10"]
        config = ["--config", f"batch={name}.yml", f"gpus={gpus}", ONE_THREAD]
        return self._start(name, [*profile, *quick, target, *options, *config])

    def here(self, name: str = "own", target: str = "batch") -> int:
        """Runs a batch on this machine; the exit code."""
        return self._start(name, ["--cores", "1", target, "--config", f"batch={name}.yml", "shards=1", ONE_THREAD]).wait()

    def _start(self, name: str, options: list[str]) -> subprocess.Popen:
        command = [SNAKEMAKE, "--snakefile", self.folder / "Snakefile", *options]
        places = {"RESULTS": self.results, "DATA": self.data, "PUBLISHED": self.folder / "published"}
        variables = {f"RIBSTUDY_{key}": str(path) for key, path in places.items()}
        environment = {**os.environ, **variables, "PYTHONPATH": str(self.folder), "PYTHONSAFEPATH": "1", "OMP_NUM_THREADS": "1"}
        with (self.folder / f"{name}.out").open("a") as out:
            process = subprocess.Popen(
                command, cwd=self.folder, env=environment, stdout=out, stderr=out, start_new_session=True
            )
        self._calls.append(process)
        return process

    def end(self) -> None:
        """Kills the calls of Snakemake that have not ended."""
        for process in self._calls:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)

    def said(self, name: str = "own") -> str:
        """Everything that a batch has written so far."""
        return (self.folder / f"{name}.out").read_text()

    def files(self) -> dict[str, bytes]:
        """The items of all results, and the weights and the history of the training."""
        paths = [*self.results.glob("runs/*/items/[!.]*"), *self.results.glob("runs/classifier-*/[hw]*.*")]
        return {str(path.relative_to(self.results)): path.read_bytes() for path in paths}

    def written(self) -> dict[Path, int]:
        """The items so far, each with the time at which it was written."""
        return {path: path.stat().st_mtime_ns for path in self.results.glob("runs/*/items/[!.]*")}

    def computed(self) -> int:
        """How many items the processes have computed that were not ended in the middle of their work."""
        lines = [line for path in self.results.glob("runs/*/sessions.jsonl") for line in path.read_text().splitlines()]
        return sum(json.loads(line).get("items", 0) for line in lines)

    def submitted(self, name: str = "own") -> list[str]:
        """The numbers of the jobs that a batch has submitted, in all its calls."""
        return re.findall(r"has been submitted with SLURM jobid (\d+)", self.said(name))

    def processes(self) -> list[int]:
        """The numbers of the running processes that compute items of this project."""
        command = ["pgrep", "-f", f"^python -m ribstudy .*{re.escape(str(self.folder))}/preset.yml"]
        return [int(line) for line in subprocess.run(command, capture_output=True, text=True).stdout.split()]
