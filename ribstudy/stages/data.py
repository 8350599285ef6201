"""The stage `data`: draw MiniVOC if it does not exist yet, and check the data."""

from pathlib import Path

from ribstudy import datasets
from ribstudy.runtime import ranks
from ribstudy.stages.stage import Run, WholeStage
from ribstudy.store import Result


def _prepare(run: Run, result: Result) -> None:
    settings = run.settings.data
    folder = datasets.prepare(settings, processes=ranks.cores())
    problems = datasets.check(settings, processes=ranks.cores())
    if problems:
        raise ValueError(f"{len(problems)} problems in {folder}, the first: {problems[0]} (all: python -m ribstudy data check)")


def data_lists(run: Run) -> list[Path]:
    """The files that list the images and their labels."""
    return datasets.lists(run.settings.data)


DATA = WholeStage(
    name="data",
    help="draw MiniVOC if it does not exist yet; check every annotation and image header",
    reads=("data", "data.root"),
    only_checks=True,
    on_gpu=False,
    work=_prepare,
    inputs=data_lists,
)
