"""The texts of the chapter on ablations, for whatever was run and was found."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.scored_maps import Masks, halves, scored

from ribstudy.config import load_settings
from ribstudy.evaluation.chance import Chance
from ribstudy.evaluation.protocol import BEST, WITHOUT_MASKS
from ribstudy.evaluation.statistics import Comparison, Estimate
from ribstudy.evaluation.sweeps import sweep_scores
from ribstudy.report.ablations import chance_text, group_texts, power_text, removed_text, steps_table
from ribstudy.workflow.variants import GROUPS, variants


def comparison(value, error=0.002):
    one = Estimate(0.5, 0.4, 0.6, 4)
    return Comparison(one, one, Estimate(value, value - 2 * error, value + 2 * error, 4, error))


BARS = {
    "bce": comparison(-0.05),
    "gap": comparison(0.005),
    "tau_low": comparison(0.001),
    "spread": comparison(0.004, error=0.02),
}
FOUND = {BEST: BARS, WITHOUT_MASKS: {**BARS, "bce": comparison(0.02)}}
ADJUSTED = {"bce": 0.001, "gap": 0.2, "tau_low": 1.0, "spread": 1.0}
CHOSEN = tuple(variant for variant in variants(load_settings("mini")) if variant.name in BARS)


def test_each_group_says_what_its_variants_do_or_that_none_was_run():
    texts = group_texts(CHOSEN, FOUND, ADJUSTED, {"spread": Estimate(0.5, n=4)})
    assert list(texts) == list(GROUPS)
    assert texts["views"] == "Not run on these data."
    sign = "the answer depends on the rule for thresholds"
    assert texts["objective"].endswith(f"-0.050 (-0.054 to -0.046), worse than the default; {sign}.")
    low, without = texts["region"].splitlines()
    assert low.startswith("- *tau 0.2* (a smaller region is pooled): +0.001")
    assert low.endswith("no difference of 0.01 or more.")
    assert without.endswith("not more than chance can do with this many variants.")
    assert texts["stop"].endswith("not distinguishable from the default. It ended 50% of the adaptations.")


def test_an_effect_without_size_is_named():
    found = {rule: {"gap": comparison(0.005)} for rule in FOUND}
    (chosen,) = [variant for variant in CHOSEN if variant.name == "gap"]
    text = group_texts([chosen], found, {"gap": 0.001}, {})["region"]
    assert text.endswith("+0.005 (+0.001 to +0.009), better than the default, by less than 0.01.")


def test_a_result_is_preceded_by_the_differences_that_could_be_told():
    text = power_text(BARS)
    assert "at least 0.006 to 0.056" in text
    assert text.endswith("For spread they cannot tell a difference of 0.02.")
    assert "cannot tell" not in power_text({"bce": comparison(-0.05)})
    unknown = {"bce": Comparison(*3 * [Estimate(0.1)])}
    assert power_text(unknown).startswith("It is not known")


def test_the_bars_are_counted_next_to_those_by_chance():
    first, second = chance_text(BARS, ADJUSTED, Chance(1.2, 3)).splitlines()
    assert first.startswith("- 2 of 4 bars exclude zero: 1 variants are better than the default, and 1 are worse.")
    assert "1.2 bars would exclude zero on average, and no more than 3 with a probability of 95 %" in first
    assert second.endswith("for their number: worse: bce.")
    assert chance_text({"gap": BARS["gap"]}, ADJUSTED, Chance(0, 0)).endswith("for their number: none.")


def test_a_part_that_was_not_removed_was_not_run():
    lines = removed_text(FOUND, ADJUSTED).splitlines()
    assert [line.endswith(": not run.") for line in lines] == [False, False, True]


def test_the_curve_over_the_steps_begins_with_two_maps_and_is_relative_to_the_default():
    maps = halves(1.0, 0.0, logits=np.array([1.0, 2.0]))
    scores = scored(Masks(), {"first": maps, "second": maps})
    table = steps_table([sweep_scores(scores)], [scores])
    assert table["steps"].tolist() == list(range(2, maps.num_steps + 1))
    assert table.iloc[-1][["value", "low", "high"]].tolist() == pytest.approx([0, 0, 0])
    one_step = scored(Masks(), {"first": _first(maps), "second": _first(maps)})
    assert steps_table([sweep_scores(one_step)], [one_step]).empty


def _first(maps):
    """The maps of the first step alone."""
    return replace(maps, steps=tuple(scale[:1] for scale in maps.steps), logits=maps.logits[:1])
