"""The texts of the chapter on ablations. They follow from the variants that were run and from their estimates.

`found` is `ablation.differences`: comparisons with the default by rule and by variant. `adjusted` is `ablation.adjusted` of the
first rule.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from ribstudy.evaluation.ablation import telling
from ribstudy.evaluation.chance import Chance
from ribstudy.evaluation.map_scores import MapScores
from ribstudy.evaluation.protocol import BEST, Scored, compare, resample
from ribstudy.evaluation.statistics import NOT_RUN, Comparison, Estimate
from ribstudy.evaluation.sweeps import Sweep, sweep_scores
from ribstudy.evaluation.verdicts import NO, NO_SIZE, TO_TELL, Verdict, verdict
from ribstudy.workflow.variants import GROUPS, Variant

LEVEL = 0.05  # of p-values that are adjusted for the number of variants
Found = Mapping[str, Mapping[str, Comparison]]


def group_texts(
    chosen: Sequence[Variant], found: Found, adjusted: Mapping[str, float], ended: Mapping[str, Estimate]
) -> dict[str, str]:
    """By group, a list in Markdown of its variants that were run, each with its change and its effect; or that none was run.

    Args:
        chosen: the variants that were run.
        ended: the share of adaptations that a variant's stopping rule ended, by name of the variant.
    """
    texts = {}
    for group in GROUPS:
        lines = [f"- {_sentence(variant, found, adjusted, ended)}" for variant in chosen if variant.group == group]
        texts[group] = "\n".join(lines) or f"{NOT_RUN.capitalize()} on these data."
    return texts


def _sentence(variant: Variant, found: Found, adjusted: Mapping[str, float], ended: Mapping[str, Estimate]) -> str:
    name = variant.name
    judged = _judged(name, found)
    share = f" It ended {ended[name].value:.0%} of the adaptations." if name in ended else ""
    label = variant.label.replace("\n", ", ")
    return f"*{label}* ({variant.change}): {judged.headline.text()}, {_effect(judged, adjusted[name])}.{share}"


def _judged(name: str, found: Found) -> Verdict:
    """The verdict on whether a variant's mIoU is larger than the default's, by all rules."""
    return verdict({rule: of_rule[name].difference for rule, of_rule in found.items()})


def _effect(judged: Verdict, adjusted: float) -> str:
    difference = judged.headline
    depends = f"; {judged.limit}" if judged.limit else ""
    if adjusted < LEVEL:
        size = f", by less than {NO_SIZE}" if max(abs(difference.low), abs(difference.high)) < NO_SIZE else ""
        return f"{'better' if difference.value > 0 else 'worse'} than the default{size}{depends}"
    if difference.excludes_zero:
        return f"not more than chance can do with this many variants{depends}"
    return f"{'no difference of 0.01 or more' if judged.word == NO else 'not distinguishable from the default'}{depends}"


def power_text(bars: Mapping[str, Comparison]) -> str:
    """The smallest differences from the default that these images and trainings could have told, as sentences."""
    told = {name: bar.difference.detectable for name, bar in bars.items()}
    known = [value for value in told.values() if value is not None]
    if not known:
        return "It is not known which differences these images and classifiers could tell from none."
    text = (
        "With a power of 80 %, these images and classifiers tell a difference from none if it is at least "
        f"{min(known):.3f} to {max(known):.3f}, depending on the variant (median {np.median(known):.3f})."
    )
    weak = [name for name, value in told.items() if value is None or value > TO_TELL]
    return text + (f" For {', '.join(weak)} they cannot tell a difference of {TO_TELL:.2f}." if weak else "")


def chance_text(bars: Mapping[str, Comparison], adjusted: Mapping[str, float], chance: Chance) -> str:
    """How many bars exclude zero, how many would by chance, and which variants remain, as a list in Markdown."""
    sides = dict(zip(("better", "worse"), telling(bars), strict=True))
    remaining = {side: [name for name in names if adjusted[name] < LEVEL] for side, names in sides.items()}
    kept = "; ".join(f"{side}: {', '.join(names)}" for side, names in remaining.items() if names) or "none"
    better, worse = map(len, sides.values())
    lines = [
        f"{better + worse} of {len(bars)} bars exclude zero: {better} variants are better than the default, and {worse} are "
        f"worse. If no variant made a difference, {chance.expected:.1f} bars would exclude zero on average, and no more than "
        f"{chance.most} with a probability of 95 %.",
        f"Variants whose difference remains after the adjustment for their number: {kept}.",
    ]
    return "\n".join(f"- {line}" for line in lines)


def removed_text(found: Found, adjusted: Mapping[str, float]) -> str:
    """The variants that remove one of the three parts that RIB adds to plain fine-tuning, as a list in Markdown."""
    parts = {
        "bce": "fine-tuning with the sigmoid kept, minus RIB",
        "gap": "RIB with average pooling in place of GNDRP, minus RIB",
        "alone": "RIB without auxiliary images, minus RIB",
    }
    bars = next(iter(found.values()))
    lines = []
    for name, words in parts.items():
        result = NOT_RUN
        if name in bars:
            result = f"{bars[name].difference.text()}, {_effect(_judged(name, found), adjusted[name])}"
        lines.append(f"- {words}: {result}.")
    return "\n".join(lines)


def steps_table(default: Sequence[Sweep], scores: Sequence[Mapping[str, MapScores]]) -> pd.DataFrame:
    """mIoU of the maps summed over the first 2, 3, ... steps of a run minus the mIoU of the default.

    Columns: `steps`, `value`, `low`, `high`. Both sides have their best thresholds on these images. One summed map would be the
    plain CAM, with which the chapter on RIB compares, on more images.

    Args:
        default: of each training, the sweep of the default.
        scores: of each training, the scores of the run by image name.
    """
    held = [dict(of_training) for of_training in scores]
    most = max(of_image.num_steps for of_training in held for of_image in of_training.values())
    reference, rows = resample([Scored(sweep) for sweep in default]), []
    for steps in range(2, most + 1):
        summed = resample([Scored(sweep_scores(of_training, steps=steps)) for of_training in held])
        found = compare(reference, summed)[BEST].difference
        rows.append({"steps": steps, "value": found.value, "low": found.low, "high": found.high})
    return pd.DataFrame(rows, columns=["steps", "value", "low", "high"])
