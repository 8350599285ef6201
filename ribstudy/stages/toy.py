"""The stage `toy`: the simulated experiment, seed by seed."""

from collections.abc import Sequence

from ribstudy.config import Settings
from ribstudy.items import Item
from ribstudy.runtime.files import file_digest
from ribstudy.runtime.paths import MNIST
from ribstudy.stages.stage import ItemStage, ItemWorker, Run


def _seeds(run: Run) -> list[str]:
    return [f"seed-{seed}" for seed in range(run.settings.toy.seeds)]


def _worker(run: Run, names: Sequence[str]) -> ItemWorker:
    from ribstudy.toy.experiment import run_seed

    return lambda name: run_seed(run.settings.toy, int(name.removeprefix("seed-")))


def _read(item: Item, settings: Settings) -> Item:
    from ribstudy.toy.experiment import read_seed

    return read_seed(item, settings.toy)


TOY = ItemStage(
    name="toy",
    help="the simulated experiment of the paper's Section 3, seed by seed",
    reads=("toy",),
    reading=("toy.hgr_threshold", "toy.seeds"),
    read=_read,
    items=_seeds,
    worker=_worker,
    of_images=False,
    asked="toy.seeds",
    on_gpu=False,
    inputs=lambda run: {MNIST.name: file_digest(MNIST)},
    version=2,
)
