"""Whether segmentation networks are good enough to rank the masks that they learned from, and the notes of their comparison."""

from collections.abc import Mapping
from math import nan

from ribstudy.evaluation.statistics import Estimate
from ribstudy.evaluation.verdicts import Verdict, cannot_tell_much, power_sentence
from ribstudy.report.answers import NOT_COMPARED
from ribstudy.report.chapter import Chapter
from ribstudy.report.differences import ByRule, note_differences

# The mIoU that the network with true masks has to reach before training masks are compared, by data set; chosen before the
# networks were trained. True masks of drawn objects contain no error, so a network that stays below was trained too briefly,
# and this hides differences between masks. None is set for photographs: how far a small network gets with few of them is not
# known beforehand.
LEVELS = {"minivoc": 0.65}


def can_rank(data: str, truth: Estimate) -> bool:
    """Whether networks on a data set can rank their training masks.

    Args:
        data: name of the data set in the settings.
        truth: mIoU of the network with true masks.
    """
    return data not in LEVELS or truth.value >= LEVELS[data]


def level_sentence(data: str, truth: Estimate) -> str:
    """Whether the training masks are compared, and why; arguments as of `can_rank`."""
    reached = f"The network with true masks reaches an mIoU of {truth.text(signed=False)}."
    if data not in LEVELS:
        return f"{reached} No level is set for these images, so the training masks are compared at any mIoU."
    if can_rank(data, truth):
        return f"{reached} This is at least {LEVELS[data]:.2f}, so its training suffices to compare training masks."
    return (
        f"{reached} This is below {LEVELS[data]:.2f}, so it was trained too briefly to show differences between training "
        "masks, and these are not compared yet."
    )


def note_teachers(chapter: Chapter, found: Mapping[str, ByRule], *, ranked: bool) -> None:
    """Notes the differences between training masks with their texts (`note_differences`), and the text <name>_told.

    Args:
        found: by the name of the note, a result of `protocol.compare`.
        ranked: whether training masks can be ranked; otherwise the notes are nan and the texts say that nothing is compared.
    """
    for name, by_rule in found.items():
        if ranked:
            chapter.say(f"{name}_told", told_sentence(note_differences(chapter, name, by_rule)))
        else:
            chapter.note(name, nan)
            chapter.say(f"{name}_answer", NOT_COMPARED)
            chapter.say(f"{name}_told", f"{NOT_COMPARED.capitalize()}.")


def told_sentence(judged: Verdict) -> str:
    """The smallest difference that a comparison could have told, and then its result."""
    has_warning = cannot_tell_much(judged.headline)  # which names this difference
    return judged.sentence() if has_warning else f"{power_sentence(judged.headline)} {judged.sentence()}"
