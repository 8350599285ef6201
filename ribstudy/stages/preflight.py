"""Checks everything that a run or a plan requires before its first stage starts, so that nothing is found out after hours."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ribstudy import datasets
from ribstudy.runtime import ranks
from ribstudy.runtime.files import digest
from ribstudy.stages.requirements import Requirement, is_prepared, num_selected, selection, space
from ribstudy.stages.stage import ItemStage, Run, Stage, of_images, only_checks, reads_data

Work = tuple[Stage, Run]  # a stage that is not finished, and the run that computes it


@dataclass(frozen=True)
class Finding:
    """The state of a requirement.

    Args:
        stage: the name of the first stage that has it; "" for one of all stages together.
        requirement: the requirement.
        cause: why it is not met, and a remedy; "" if it is met.
    """

    stage: str
    requirement: Requirement
    cause: str

    @property
    def problem(self) -> str:
        """The cause in a line that begins with the setting; "" if there is none."""
        return f"{self.requirement.setting}: {self.cause}" if self.cause else ""


def unfinished(stage: Stage, run: Run) -> Iterator[Work]:
    """All stages that a stage needs, and then the stage itself, as far as they are not finished, each with its run."""
    if ranks.agreed(run.is_finished(stage)):  # agreed, because all ranks have to run the same checks
        return
    for need in stage.needs(run.settings):
        yield from unfinished(need.stage, run.of(need))
    yield stage, run


def findings(work: Iterable[Work], *, fetch: bool = False) -> list[Finding]:
    """The requirements of all stages in `work`, each once, in the order of the stages.

    Of several problems of the data with the same cause, such as images that cannot be selected or have no mask, the last one is
    kept: the problem of the stage whose setting asks for them.

    fetch: whether to download missing files.
    """
    found: dict[tuple, Finding] = {}
    required = [(stage.name, run, requirement) for stage, run in work for requirement in _requirements(stage, run)]
    for stage, run, requirement in required:
        place = (requirement.setting, requirement.need, digest(run.settings.data.model_dump(mode="json")))
        if place not in found:
            found[place] = Finding(stage, requirement, requirement.cause(fetch=fetch))
    last = {_fault(finding): finding for finding in found.values()}
    is_kept = {id(finding) for finding in last.values()}
    return [each for each in found.values() if not each.cause or each.requirement.kind != "data" or id(each) in is_kept]


def _fault(finding: Finding) -> str:
    """The cause without the purpose that it prevents."""
    return finding.cause.partition(", which ")[0]


def _requirements(stage: Stage, run: Run) -> list[Requirement]:
    pictures = [_pictures(run)] if reads_data(stage, run.settings) else []
    images = [selection(run, "images", run.images, "images of the stage")] if of_images(stage) else []
    return [*pictures, *images, *stage.requires(run)]


def _pictures(run: Run) -> Requirement:
    """The data themselves. Whether they are in order is found out by the stage `data`, which comes first."""
    data = run.settings.data

    def check() -> str:
        datasets.require_pictures(data)
        if is_prepared(data):
            datasets.open_dataset(data, "train")
        return ""

    return Requirement("data", "data.root" if data.root is None else f"data.root = {data.root}", datasets.title(data), check)


def room(work: Sequence[Work]) -> list[Finding]:
    """The space on the disks to which the stages in `work` write."""
    sizes: dict = {}
    for stage, run in work:
        root = run.store.root
        sizes[root] = sizes.get(root, 0) + _bytes_to_write(stage, run)
    required = [space(root, size, "--results or RIBSTUDY_RESULTS") for root, size in sizes.items()]
    return [Finding("", requirement, requirement.cause(fetch=False)) for requirement in required]


def _bytes_to_write(stage: Stage, run: Run) -> int:
    """About how many bytes the missing items of a stage take, or the files of a whole one; 0 if they are not known."""
    if not (size := stage.item_bytes(run)) or not isinstance(stage, ItemStage):
        return size
    try:
        number = num_selected(run.settings.data, run.images) or 0 if run.only is None else len(run.only)
        return max(0, number - len(run.result(stage).item_names())) * size
    except (ValueError, OSError):  # a finding of another requirement
        return 0


def require_room(work: Sequence[Work]) -> None:
    """Raises ValueError if the results of the stages in `work` cannot be written. On several ranks, all raise it."""
    _raise_first(message(room(work)) if ranks.is_first() else "")


def require(work: Sequence[Work], *, fetch: bool = True) -> None:
    """Raises ValueError that names everything that the stages in `work` require and lack. On several ranks, all raise it.

    fetch: whether to download missing files.
    """
    pending = [(stage, run) for stage, run in work if not only_checks(stage)]
    found = [*findings(pending, fetch=fetch), *room(pending)] if pending and ranks.is_first() else []
    _raise_first(message(found))


def _raise_first(text: str) -> None:
    """Raises ValueError with the text of the first rank, unless it is empty."""
    if problems := ranks.agreed(text):
        raise ValueError(problems)


def message(found: Iterable[Finding]) -> str:
    """The problems as the text of an error; "" if there are none."""
    problems = [each.problem + (f" (stage {each.stage})" if each.stage else "") for each in found if each.problem]
    if len(problems) <= 1:
        return "".join(problems)
    return "\n  ".join([f"{len(problems)} problems were found before any work:", *problems])
