"""The stage `data`: draw MiniVOC if it does not exist yet, and check the data."""

from ribstudy import datasets
from ribstudy.runtime import ranks
from ribstudy.runtime.files import file_digest
from ribstudy.stages.requirements import files
from ribstudy.stages.stage import Run, WholeStage
from ribstudy.store import Result


def _prepare(run: Run, result: Result) -> None:
    settings = run.settings.data
    folder = datasets.prepare(settings, processes=ranks.cores())
    problems = datasets.check(settings, processes=ranks.cores())
    if problems:
        raise ValueError(f"{len(problems)} problems in {folder}, the first: {problems[0]} (all: python -m ribstudy data check)")


def data_lists(run: Run) -> dict[str, str]:
    """The digests of the files that list the images and their labels."""
    return {path.name: file_digest(path) for path in datasets.lists(run.settings.data)}


DATA = WholeStage(
    name="data",
    help="draw MiniVOC if it does not exist yet; check every annotation, image and mask",
    reads=("data", "data.masks"),
    only_checks=True,
    on_gpu=False,
    work=_prepare,
    inputs=data_lists,
    requires=lambda run: [files(run)],
    version=2,
)
