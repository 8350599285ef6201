"""How chapters show comparisons by the protocol (`evaluation.protocol`): tables of all rules, and notes."""

from collections.abc import Mapping

import pandas as pd
from myst_nb import glue

from ribstudy.evaluation.protocol import BEST, FROM_VAL, RULES, WITHOUT_MASKS
from ribstudy.evaluation.statistics import Comparison, Estimate
from ribstudy.evaluation.verdicts import Verdict, power_sentence, verdict
from ribstudy.report.chapter import Chapter

SUFFIXES = {FROM_VAL: "", BEST: "_best", WITHOUT_MASKS: "_without_masks"}  # of the names of notes
MISSING = "–"  # in place of a rule that does not exist for a row, such as all but one for masks after the CRF

ByRule = Mapping[str, Comparison]


def verdict_of(found: ByRule) -> Verdict:
    """The verdict on the difference of a comparison (`protocol.compare`)."""
    return verdict({rule: comparison.difference for rule, comparison in found.items()})


def note_comparison(chapter: Chapter, name: str, found: ByRule) -> Verdict:
    """Notes the difference by each rule as <name>, <name>_best and <name>_without_masks, and makes texts available to the page.

    The texts are <name>_answer (`Verdict.answer`), <name>_sentence (`Verdict.sentence`) and <name>_power (`power_sentence`).
    """
    for rule, comparison in found.items():
        chapter.note_estimate(name + SUFFIXES[rule], comparison.difference)
    judged = verdict_of(found)
    texts = {"answer": judged.answer(), "sentence": judged.sentence(), "power": power_sentence(judged.headline)}
    for suffix, text in texts.items():
        glue(f"{name}_{suffix}", text, display=False)
    return judged


def noted(record: Mapping[str, Estimate], name: str) -> dict[str, Estimate]:
    """The differences of a comparison by rule, for `verdict`, from the record of a chapter; {} if it has no such notes."""
    return {rule: record[name + suffix] for rule, suffix in SUFFIXES.items() if name + suffix in record}


def rules_table(found: Mapping[str, ByRule], *, index: str, first: str, second: str) -> pd.DataFrame:
    """Two mIoUs, their difference by every rule, the difference that could be told, and the verdict; a row for each comparison.

    The mIoUs are of the headline.

    Args:
        found: results of `protocol.compare`.
        index: what the rows are.
        first, second: what is compared.
    """
    rows = {}
    for name, by_rule in found.items():
        headline = next(iter(by_rule.values()))
        differences = {
            f"difference, {rule} (95 %)": by_rule[rule].difference.text() if rule in by_rule else MISSING for rule in RULES
        }
        told = headline.difference.detectable
        rows[name] = {
            first: f"{headline.first.value:.3f}",
            second: f"{headline.second.value:.3f}",
            **differences,
            "could be told": MISSING if told is None else f"{told:.3f}",
            "larger?": verdict_of(by_rule).answer(),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(index)


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
