"""The stage `toy`: the simulated experiment, seed by seed."""

from collections.abc import Sequence

from ribstudy.runtime.files import file_digest
from ribstudy.runtime.paths import MNIST
from ribstudy.stages.stage import ItemStage, ItemWorker, Run
from ribstudy.toy.experiment import read_seed, run_seed


def _seeds(run: Run) -> list[str]:
    return [f"seed-{seed}" for seed in range(run.settings.toy.seeds)]


def _worker(run: Run, names: Sequence[str]) -> ItemWorker:
    return lambda name: run_seed(run.settings.toy, int(name.removeprefix("seed-")))


TOY = ItemStage(
    name="toy",
    help="the simulated experiment of the paper's Section 3, seed by seed",
    reads=("toy",),
    reading=("toy.hgr_threshold", "toy.seeds"),
    read=lambda item, settings: read_seed(item, settings.toy),
    items=_seeds,
    worker=_worker,
    of_images=False,
    asked="toy.seeds",
    on_gpu=False,
    inputs=lambda run: {MNIST.name: file_digest(MNIST)},
    version=2,
)
