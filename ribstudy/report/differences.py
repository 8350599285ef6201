"""How chapters show methods and their differences by the protocol (`evaluation.protocol`): notes, texts and tables."""

from collections.abc import Mapping

import pandas as pd

from ribstudy.evaluation.protocol import BEST, FROM_VAL, RULES, WITHOUT_MASKS
from ribstudy.evaluation.statistics import Comparison, Estimate
from ribstudy.evaluation.verdicts import Verdict, verdict
from ribstudy.report.chapter import Chapter

SUFFIXES = {FROM_VAL: "", BEST: "_best", WITHOUT_MASKS: "_unmasked"}  # of the names of notes
MISSING = "–"  # in place of a rule that a row does not have: masks after the CRF have only the first

ByRule = Mapping[str, Comparison]


def verdict_of(found: ByRule) -> Verdict:
    """The verdict on whether the second method has the larger mIoU.

    Args:
        found: by rule, a result of `protocol.compare`.
    """
    return verdict({rule: comparison.difference for rule, comparison in found.items()})


def note_by_rule(chapter: Chapter, name: str, estimates: Mapping[str, Estimate]) -> None:
    """Notes an estimate by each rule as <name>, <name>_best and <name>_unmasked."""
    for rule, estimate in estimates.items():
        chapter.note_estimate(name + SUFFIXES[rule], estimate)


def note_differences(chapter: Chapter, name: str, found: ByRule) -> Verdict:
    """Notes the difference by each rule (`note_by_rule`) and makes two texts available to the page.

    The texts are <name>_answer, such as "cannot tell", and <name>_sentence, with the differences by all rules and before them
    a warning if the comparison cannot tell much (`Verdict.answer`, `Verdict.sentence`).

    Args:
        found: by rule, a result of `protocol.compare`.
    """
    judged = verdict_of(found)
    note_by_rule(chapter, name, judged.differences)
    chapter.say(f"{name}_answer", judged.answer())
    chapter.say(f"{name}_sentence", judged.sentence())
    return judged


def noted_differences(record: Mapping[str, Estimate], name: str) -> dict[str, Estimate]:
    """The noted differences by rule, as `verdict` takes them, from the record of a chapter; {} if it has none."""
    return {rule: record[name + suffix] for rule, suffix in SUFFIXES.items() if name + suffix in record}


def rules_table(rows: Mapping[str, ByRule], *, trainings: int) -> pd.DataFrame:
    """The answer of each comparison, its differences in mIoU by every rule, and what they rest on.

    A and B are the mIoUs by the rule of the headline. "could tell" is the smallest difference that the headline tells from
    zero (`Estimate.detectable`).

    Args:
        rows: results of `protocol.compare` by a label that names the second method first, such as "RIB − CAM".
        trainings: the number of trainings over which all values are means.
    """
    lines = {label: _line(found, trainings) for label, found in rows.items()}
    return pd.DataFrame.from_dict(lines, orient="index").rename_axis("A − B")


def _line(found: ByRule, trainings: int) -> dict[str, str | int]:
    judged, compared = verdict_of(found), next(iter(found.values()))
    images, told = judged.headline.n, judged.headline.detectable
    return {
        "A larger?": judged.word + (f" (the {judged.depends} depends on the rule)" if judged.depends else ""),
        "A": f"{compared.second.value:.3f}",
        "B": f"{compared.first.value:.3f}",
        **{f"{rule} (95 %)": judged.differences[rule].text() if rule in found else MISSING for rule in RULES},
        "could tell": MISSING if told is None else f"{told:.3f}",
        "trainings": trainings,
        "images": MISSING if images is None else f"{images:,}",
    }


def scores_table(found: Mapping[str, Mapping[str, Mapping[str, Estimate]]]) -> pd.DataFrame:
    """mIoU with its interval, precision, recall, over- and under-activation; a row for each method and rule.

    Args:
        found: by method, results of `protocol.values`.
    """
    rows = {
        (method, rule): {
            "mIoU (95 %)": scores["miou"].text(signed=False),
            "precision": scores["precision"].value,
            "recall": scores["recall"].value,
            "over-activation": scores["over"].value,
            "under-activation": scores["under"].value,
        }
        for method, by_rule in found.items()
        for rule, scores in by_rule.items()
    }
    index = pd.MultiIndex.from_tuples(rows, names=["method", "threshold"])
    return pd.DataFrame(list(rows.values()), index=index)
