"""The simulated experiment: the stage `toy`."""

from collections.abc import Sequence

from ribstudy.runtime.paths import MNIST
from ribstudy.stages.execution import Run, Stage, UnitWorker
from ribstudy.toy.experiment import run_seed


def _toy_seeds(run: Run) -> list[str]:
    return [f"seed-{seed}" for seed in range(run.settings.toy.seeds)]


def _toy_worker(run: Run, names: Sequence[str]) -> UnitWorker:
    return lambda name: run_seed(run.settings.toy, int(name.removeprefix("seed-")))


STAGES = {
    "toy": Stage(
        help="the simulated experiment of the paper's Section 3, seed by seed",
        reads=("toy",),
        units=_toy_seeds,
        inputs=lambda run: [MNIST],
        worker=_toy_worker,
    ),
}
