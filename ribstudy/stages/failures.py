"""Items that failed, while the others of their stage were computed."""

from dataclasses import dataclass
from pathlib import Path

from ribstudy.runtime.limits import OutOfMemory


@dataclass(frozen=True)
class ItemFailure:
    """Why an item failed: the error's message, and whether memory ran out, so that more of it may help."""

    message: str
    out_of_memory: bool

    @classmethod
    def of(cls, error: Exception) -> "ItemFailure":
        return cls(str(error), isinstance(error, OutOfMemory))


class ItemsFailed(ValueError):
    """Some items of a stage failed; all other items are kept.

    Args:
        stage: name of the stage.
        failures: the failed items by name.
        folder: the folder of the result.
    """

    def __init__(self, stage: str, failures: dict[str, ItemFailure], folder: Path):
        names_of: dict[str, list[str]] = {}
        for name, failure in failures.items():
            names_of.setdefault(failure.message, []).append(name)
        shown = [f"\n  {', '.join(names)}: {message}" for message, names in names_of.items()]
        super().__init__(f"{stage}: {len(failures)} items failed; all others are kept in {folder}" + "".join(shown))
        self.failures = failures

    @property
    def out_of_memory(self) -> bool:
        return any(failure.out_of_memory for failure in self.failures.values())
