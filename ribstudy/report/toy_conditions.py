"""The paper's effect under other conditions: what each setting changes, the map of two settings, and the largest effect.

`extra_fall` is the effect, as in `report.toy`. By default each map is divided by its own maximum, and the High Gradient Ratio
has the threshold of the settings. Shapes: S seeds, C conditions, K values of a setting.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ribstudy.evaluation.statistics import Estimate, student_mean
from ribstudy.report.toy import Run, paper_curve, paper_extra_fall, stack
from ribstudy.toy.conditions import DEFAULT, Condition, cells, combined, condition_of, repetitions, sweep
from ribstudy.toy.experiment import NETWORKS, THRESHOLDS
from ribstudy.toy.gradients import NORMALIZATIONS, threshold_index
from ribstudy.toy.settings import ToySettings, Value

OUTPUTS = "outputs"  # one with a sigmoid or two with a softmax: no setting, because the experiment trains both networks
PILOT_SEEDS = 2  # the settings of the map and of the combined condition were chosen after this number of seeds
NUM_SHUFFLES = 2000
NORMALIZATION_NAMES = {"per_map": "each map by its own maximum", "common": "one maximum for all images"}


@dataclass(frozen=True)
class Conditions:
    """The networks of every condition.

    Args:
        settings: the settings of the chapter.
        runs: by condition, one for each seed: accuracy, hgr [2, 2, 2] and effects [2, T] (`experiment.read_condition`).
    """

    settings: ToySettings
    runs: Mapping[Condition, Sequence[Run]]

    @classmethod
    def of(cls, settings: ToySettings, runs: Sequence[Run], items: Mapping[str, Run]) -> "Conditions":
        """The runs of the experiment itself, and the items of the stage `toy-conditions`."""
        found: dict[Condition, list[Run]] = {DEFAULT: [_of_network(run, "sigmoid") for run in runs]}
        found[((OUTPUTS, 2),)] = [_of_network(run, "softmax") for run in runs]
        for name, (condition, _) in repetitions(settings).items():
            found.setdefault(condition, []).append(items[name])
        return cls(settings, found)

    @property
    def num_seeds(self) -> int:
        """The number of seeds that every condition has."""
        return min(map(len, self.runs.values()))

    @property
    def factors(self) -> dict[str, dict[Value, Condition]]:
        """The sweep, by the name of a setting and its values; last the number of outputs."""
        return {**sweep(self.settings), OUTPUTS: {1: DEFAULT, 2: ((OUTPUTS, 2),)}}

    @property
    def combined(self) -> Condition:
        """The condition that changes several settings together."""
        return combined(self.settings)

    @property
    def cells(self) -> dict[tuple[Value, Value], Condition]:
        """The conditions of the map by the values of its two settings."""
        return cells(self.settings)

    def extra_fall(self, condition: Condition, *, normalization: str = "per_map", threshold: float | None = None) -> np.ndarray:
        """The effect for each seed, [S]; threshold: None for the one in the settings."""
        place = threshold_index(self.settings.hgr_threshold if threshold is None else threshold)
        return stack(self.runs[condition], "effects")[:, NORMALIZATIONS.index(normalization), place]

    def accuracy(self, condition: Condition) -> Estimate:
        return student_mean(stack(self.runs[condition], "accuracy"))


def _of_network(run: Run, network: str) -> Run:
    """The arrays of one network of the experiment, as a condition has them."""
    place = NETWORKS.index(network)
    hgr = run["hgr"][place][:, [0, -1], :2]  # the last convolution and the output, digit and marker
    return {"accuracy": run["accuracy"][place], "hgr": hgr, "effects": run["effects"][place]}


def factor_name(name: str) -> str:
    """The name of a setting in words."""
    return {"norm_layer": "normalisation", "training_steps": "training steps"}.get(name, name.replace("_", " "))


def in_words(condition: Condition) -> str:
    """The changed settings and their values, such as "depth 3, width 8"."""
    return ", ".join(f"{factor_name(name)} {value}" for name, value in condition) or "the default settings"


def value_range(groups: Sequence[np.ndarray]) -> float:
    """The largest minus the smallest mean of K groups of values, [S] each."""
    means = [group.mean() for group in groups]
    return float(max(means) - min(means))


def range_by_chance(groups: Sequence[np.ndarray], *, seed: int = 0) -> float:
    """The range that 95 % of shuffles stay below, if it made no difference to which of K groups a value belongs."""
    values, ends = np.concatenate(groups), np.cumsum([len(group) for group in groups])[:-1]
    rng = np.random.default_rng(seed)
    shuffled = [value_range(np.split(rng.permutation(values), ends)) for _ in range(NUM_SHUFFLES)]
    return float(np.quantile(shuffled, 0.95))


def ranges(conditions: Conditions, *, num_seeds: int | None = None) -> dict[str, float]:
    """By the name of a setting, the range of the mean effect over its values; only of the first `num_seeds` if given."""
    return {name: value_range(_groups(conditions, name, num_seeds)) for name in conditions.factors}


def _groups(conditions: Conditions, name: str, num_seeds: int | None = None) -> list[np.ndarray]:
    count = num_seeds or conditions.num_seeds
    return [conditions.extra_fall(condition)[:count] for condition in conditions.factors[name].values()]


def two_largest(conditions: Conditions, *, num_seeds: int | None = None) -> list[str]:
    """The rule for the map: of the settings that are numbers, the two with the largest ranges, the larger first."""
    found = ranges(conditions, num_seeds=num_seeds)
    swept = conditions.settings.conditions.sweep
    numbers = [name for name, values in swept.items() if not any(isinstance(value, str) for value in values)]
    return sorted(numbers, key=lambda name: -found[name])[:2]


def map_choice(conditions: Conditions) -> str:
    """Whether the settings of the map are those that the rule chooses: from the pilot's seeds, and from all seeds."""
    chosen = conditions.settings.conditions.map
    if not chosen:
        return "not run"
    first, last = (set(two_largest(conditions, num_seeds=count)) for count in (PILOT_SEEDS, None))
    names = " and ".join(map(factor_name, chosen))
    pilot = "as" if first == set(chosen) else "not as"
    now = "the same two" if last == set(chosen) else "others: " + " and ".join(map(factor_name, sorted(last)))
    return f"{names}, {pilot} the rule chooses from the first {PILOT_SEEDS} seeds; from all seeds it chooses {now}"


def best_of_each(conditions: Conditions, *, num_seeds: int | None = None) -> Condition:
    """The rule for the combined condition: every setting of the sweep has the value with the largest mean effect."""
    best = {}
    for name in conditions.settings.conditions.sweep:
        means = [group.mean() for group in _groups(conditions, name, num_seeds)]
        best[name] = list(conditions.factors[name])[int(np.argmax(means))]
    return condition_of(conditions.settings, best)


def combined_choice(conditions: Conditions) -> str:
    """Whether the combined condition is the one that the rule chooses: from the pilot's seeds, and from all seeds."""
    chosen = conditions.combined
    first, last = (best_of_each(conditions, num_seeds=count) for count in (PILOT_SEEDS, None))
    pilot = "as" if first == chosen else "not as"
    now = "the same" if last == chosen else in_words(last)
    return f"{in_words(chosen)}, {pilot} the rule chooses from the first {PILOT_SEEDS} seeds; from all seeds it chooses {now}"


def range_table(conditions: Conditions) -> pd.DataFrame:
    """A row for each setting, the largest range first: where the mean effect is smallest and largest, and its range."""
    found, pilot = ranges(conditions), ranges(conditions, num_seeds=PILOT_SEEDS)
    rows = {}
    for name in sorted(found, key=lambda name: -found[name]):
        groups = dict(zip(conditions.factors[name], _groups(conditions, name), strict=True))
        low, high = (pick(groups, key=lambda value: groups[value].mean()) for pick in (min, max))
        ends = [f"{groups[value].mean():+.2f} ({value})" for value in (low, high)]
        numbers = (found[name], range_by_chance(list(groups.values())), pilot[name])
        rows[factor_name(name)] = [", ".join(map(str, groups)), *ends, *(f"{number:.2f}" for number in numbers)]
    columns = [
        "values",
        "smallest effect (at)",
        "largest effect (at)",
        "range",
        "by chance (95 %)",
        f"range, {PILOT_SEEDS} seeds",
    ]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


@dataclass(frozen=True)
class Largest:
    """The condition with the largest mean effect.

    Args:
        condition: the condition.
        effect: its effect. Of many conditions, the one with the largest effect is partly chosen for its luck.
        without_luck: for each seed after the pilot, the effect of the condition with the largest mean over all other seeds.
    """

    condition: Condition
    effect: Estimate
    without_luck: Estimate


def largest(conditions: Conditions, **reading) -> Largest:
    """The condition with the largest mean effect; reading: the normalisation and the threshold, as of `extra_fall`."""
    names, count = list(conditions.runs), conditions.num_seeds
    effects = np.stack([conditions.extra_fall(name, **reading)[:count] for name in names])  # [C, S]
    best = effects.mean(axis=1).argmax()
    chosen = (effects.sum(axis=1, keepdims=True) - effects).argmax(axis=0)
    return Largest(names[best], student_mean(effects[best]), _after_pilot(effects[chosen, np.arange(count)]))


def _after_pilot(values: np.ndarray) -> Estimate:
    """The mean over the seeds that chose no condition; nan if there are none."""
    fresh = values[PILOT_SEEDS:]
    return student_mean(fresh) if len(fresh) else Estimate(float("nan"), n=0)


def reading_table(conditions: Conditions) -> pd.DataFrame:
    """For each reading of the High Gradient Ratio the effect of the default settings and the largest effect."""
    rows = {}
    for normalization, name in NORMALIZATION_NAMES.items():
        for threshold in THRESHOLDS:
            reading = {"normalization": normalization, "threshold": threshold}
            found = largest(conditions, **reading)
            default = student_mean(conditions.extra_fall(DEFAULT, **reading))
            rows[name, f"{threshold:g}"] = [default.text(2), found.effect.text(2), in_words(found.condition)]
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["default settings", "largest effect", "condition"])
    table.index = pd.MultiIndex.from_tuples(rows, names=["normalisation", "threshold"])
    return table


def level_table(conditions: Conditions) -> pd.DataFrame:
    """The High Gradient Ratios before and after the last step, for the default settings, the largest effect and the paper."""
    named = {"default settings": DEFAULT, "combined": conditions.combined, "largest effect": largest(conditions).condition}
    rows = {}
    for name, found in named.items():
        before, after = stack(conditions.runs[found], "hgr")[:, NORMALIZATIONS.index("per_map")].mean(axis=0)
        accuracy = student_mean(stack(conditions.runs[found], "accuracy"))
        levels = [f"{a:.2f} → {b:.2f}" for a, b in zip(before, after, strict=True)]
        rows[name] = [in_words(found), *levels, student_mean(conditions.extra_fall(found)).text(2), f"{accuracy.value:.4f}"]
    levels = [f"{a:.2f} → {b:.2f}" for a, b in paper_curve()[["G5", "G6"]].to_numpy()[:2]]
    rows["paper's figure"] = ["", *levels, f"{paper_extra_fall():+.2f}", ""]
    return pd.DataFrame.from_dict(rows, orient="index", columns=["settings", "digit", "marker", "effect", "accuracy"])


def share_above_zero(conditions: Conditions) -> Estimate:
    """The share of all conditions, the default settings included, with an interval above zero."""
    above = [student_mean(conditions.extra_fall(name)).low or 0 for name in conditions.runs]
    return Estimate(float(np.mean(np.array(above) > 0)), n=len(above))


def headline(conditions: Conditions) -> dict[str, Estimate]:
    """The numbers in the text of the chapter, by name."""
    found = largest(conditions)
    return {
        "largest_effect": found.effect,
        "largest_effect_without_luck": found.without_luck,
        "combined_effect": _after_pilot(conditions.extra_fall(conditions.combined)),
        "conditions_above_zero": share_above_zero(conditions),
        "conditions": Estimate(len(conditions.runs)),
        "condition_seeds": Estimate(conditions.num_seeds),
    }
