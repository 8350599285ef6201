"""The stages of the simulated experiment, seed by seed: `toy`, and `toy-conditions`, which changes its settings."""

from collections.abc import Sequence

from ribstudy.config import Settings
from ribstudy.items import Item
from ribstudy.runtime.files import file_digest
from ribstudy.runtime.paths import MNIST
from ribstudy.stages.memory import BASE
from ribstudy.stages.requirements import digits
from ribstudy.stages.stage import ItemStage, ItemWorker, Run
from ribstudy.toy.conditions import repetitions


def _inputs(run: Run) -> dict[str, str]:
    return {MNIST.name: file_digest(MNIST)}


def _seeds(run: Run) -> list[str]:
    return [f"seed-{seed}" for seed in range(run.settings.toy.seeds)]


def _worker(run: Run, names: Sequence[str]) -> ItemWorker:
    from ribstudy.toy.experiment import run_seed

    return lambda name: run_seed(run.settings.toy, int(name.removeprefix("seed-")))


def _read(item: Item, settings: Settings) -> Item:
    from ribstudy.toy.experiment import read_seed

    return read_seed(item, settings.toy)


def _repetitions(run: Run) -> list[str]:
    return list(repetitions(run.settings.toy))


def _worker_of_conditions(run: Run, names: Sequence[str]) -> ItemWorker:
    from ribstudy.toy.experiment import run_condition

    known = repetitions(run.settings.toy)

    def work(name: str) -> Item:
        condition, seed = known[name]
        return run_condition(run.settings.toy.changed(dict(condition)), seed)

    return work


def _read_condition(item: Item, settings: Settings) -> Item:
    from ribstudy.toy.experiment import read_condition

    return read_condition(item, settings.toy)


TOY = ItemStage(
    name="toy",
    help="the simulated experiment of the paper's Section 3, seed by seed",
    reads=("toy",),
    reading=("toy.hgr_threshold", "toy.seeds", "toy.conditions"),
    read=_read,
    items=_seeds,
    worker=_worker,
    of_images=False,
    asked="toy.seeds",
    memory=lambda run: BASE,
    on_gpu=False,
    inputs=_inputs,
    requires=lambda run: [digits()],
    version=3,
)

TOY_CONDITIONS = ItemStage(
    name="toy-conditions",
    help="the effect of the simulated experiment under other conditions, one network for each condition and seed",
    reads=("toy",),
    reading=(*TOY.reading, "toy.probe", "toy.rib_steps", "toy.rib_learning_rate", "toy.rib_margin"),  # only `toy` has those
    read=_read_condition,
    items=_repetitions,
    worker=_worker_of_conditions,
    of_images=False,
    asked="toy.conditions",
    memory=lambda run: BASE,
    on_gpu=False,
    inputs=_inputs,
    requires=lambda run: [digits()],
)
