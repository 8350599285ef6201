"""The sweep and the map of the simulated experiment, from effects that are made up."""

import numpy as np
import pytest

from ribstudy.config import load_settings
from ribstudy.report import toy_conditions as report
from ribstudy.report.figures import toy_conditions as figures
from ribstudy.toy import conditions, experiment, gradients

SWEEP = {"depth": [3, 4], "width": [8], "norm_layer": ["batch"]}
DEPTH_3, DEPTH_4, WIDE = (("depth", 3),), (("depth", 4),), (("width", 8),)


def settings_of(**changed):
    given = {"sweep": SWEEP, "map": ["depth", "width"], "seeds": 3, "combined": {"depth": 3, "width": 8}}
    return load_settings("study", {**{f"toy.conditions.{name}": value for name, value in given.items()}, **changed}).toy


def network(effect):
    """A network with this effect at every threshold if each map has its own maximum, and without an effect otherwise."""
    effects = np.zeros((len(gradients.NORMALIZATIONS), len(gradients.THRESHOLDS)))
    effects[0] = effect
    return {"accuracy": np.array(0.9), "hgr": np.zeros((2, 2, 2)), "effects": effects}


def run_of(effect):
    """A run of the experiment in which all networks have the same effect."""
    num_networks = len(experiment.NETWORKS)
    return {
        "accuracy": np.full(num_networks, 0.9),
        "hgr": np.zeros((num_networks, 2, 3, 3)),
        "effects": np.stack([network(effect)["effects"]] * num_networks),
    }


def made_up(effects, *, default=(0.1, 0.1, 0.1, 0.1), **changed):
    """Conditions with the given effects by condition and seed; all others have the effect 0.1."""
    settings = settings_of(**changed)
    items = {
        name: network(effects.get(condition, (0.1,) * 8)[seed])
        for name, (condition, seed) in conditions.repetitions(settings).items()
    }
    return report.Conditions.of(settings, [run_of(effect) for effect in default], items)


def test_the_experiment_itself_is_the_default_and_gives_the_network_with_two_outputs():
    found = made_up({DEPTH_3: (0.2, 0.3, 0.4)})
    assert found.extra_fall(conditions.DEFAULT).tolist() == [0.1] * 4
    assert found.extra_fall(((report.OUTPUTS, 2),)).tolist() == [0.1] * 4
    assert found.extra_fall(DEPTH_3).tolist() == [0.2, 0.3, 0.4]
    assert found.extra_fall(DEPTH_3, normalization="common").tolist() == [0.0] * 3
    assert found.num_seeds == 3
    assert list(found.factors) == ["depth", "width", "norm_layer", "outputs"]
    assert len(found.cells) == 6


def test_a_range_is_the_largest_minus_the_smallest_mean():
    found = made_up({DEPTH_3: (0.2, 0.3, 0.4), DEPTH_4: (0.0, 0.0, 0.03), WIDE: (0.0, 0.4, 0.5)})
    ranges = report.ranges(found)
    assert ranges["depth"] == pytest.approx(0.3 - 0.01)
    assert ranges["width"] == pytest.approx(0.3 - 0.1)
    assert ranges["norm_layer"] == ranges["outputs"] == pytest.approx(0)
    assert report.two_largest(found) == ["depth", "width"]
    assert report.ranges(found, num_seeds=2)["width"] == pytest.approx(0.2 - 0.1)


def test_the_range_by_chance_is_zero_for_equal_values_and_exceeded_by_a_clear_difference():
    assert report.range_by_chance([np.ones(3), np.ones(3)]) == 0
    rng = np.random.default_rng(0)
    apart = [rng.normal(mean, 0.1, 8) for mean in (0, 2)]
    alike = [rng.normal(0, 0.1, 8) for _ in range(2)]
    assert report.value_range(apart) > report.range_by_chance(apart)
    assert report.value_range(alike) < 3 * report.range_by_chance(alike)
    for groups in (apart, alike):  # as many values of each group, in another order
        assert report.range_by_chance([group[::-1] for group in groups]) == pytest.approx(
            report.range_by_chance(groups), rel=0.1
        )


def test_the_settings_of_the_map_are_compared_with_the_rule():
    agreeing = made_up({DEPTH_3: (0.5, 0.5, 0.5), WIDE: (0.4, 0.4, 0.4)})
    assert report.map_choice(agreeing) == (
        "depth and width, as the rule chooses from the first 2 seeds; from all seeds it chooses the same two"
    )
    batch = (("norm_layer", "batch"),)
    larger = (("marker_size", 7),)
    changing = made_up(
        {DEPTH_3: (0.5, 0.5, 0.5), WIDE: (0.2, 0.2, 0.2), larger: (0.1, 0.1, 0.9), batch: (0.9, 0.9, 0.9)},
        **{"toy.conditions.sweep": {**SWEEP, "marker_size": [7]}},
    )
    assert report.map_choice(changing).endswith("from all seeds it chooses others: depth and marker size")
    assert report.map_choice(made_up({}, **{"toy.conditions.map": []})) == "not run"


def test_the_combined_condition_is_compared_with_the_best_value_of_each_setting():
    found = made_up({DEPTH_3: (0.5, 0.5, 0.5), DEPTH_4: (0.4, 0.4, 0.9), WIDE: (0.2, 0.2, 0.2)})
    assert report.best_of_each(found, num_seeds=2) == (("depth", 3), ("width", 8))
    assert report.best_of_each(found) == (("depth", 4), ("width", 8))
    assert report.combined_choice(found) == (
        "depth 3, width 8, as the rule chooses from the first 2 seeds; from all seeds it chooses depth 4, width 8"
    )
    none_better = made_up({}, default=(0.2, 0.2, 0.2), **{"toy.conditions.combined": {}})
    assert report.combined_choice(none_better).startswith("the default settings, as the rule")


def test_levels_are_shown_with_the_papers():
    table = report.level_table(made_up({DEPTH_3: (0.5, 0.5, 0.5)}))
    assert list(table.index) == ["default settings", "combined", "largest effect", "paper's figure"]
    assert table.loc["largest effect", "settings"] == "depth 3"
    assert table.loc["paper's figure", "marker"] == "0.88 → 0.09"


FOUR = {"toy.conditions.seeds": 4}  # two of them after the pilot


def test_the_largest_effect_is_also_measured_on_seeds_that_did_not_choose_it():
    found = report.largest(made_up({DEPTH_3: (0.0, 0.0, 0.9, 0.0), DEPTH_4: (0.2,) * 4}, **FOUR))
    assert found.condition == DEPTH_3
    assert found.effect.value == pytest.approx(0.225)
    # Without seed 2, depth 4 has the largest mean, with 0.2 in that seed; without seed 3, depth 3 has it, with 0 in that seed.
    assert found.without_luck.value == pytest.approx((0.2 + 0) / 2)
    assert found.without_luck.n == 2


def test_an_effect_that_all_seeds_agree_on_owes_nothing_to_luck():
    agreeing = made_up({WIDE: (0.5, 0.6, 0.7, 0.8)}, **FOUR)
    found = report.largest(agreeing)
    assert found.condition == WIDE
    assert found.without_luck.value == pytest.approx((0.7 + 0.8) / 2)
    assert report.largest(agreeing, normalization="common").effect.value == 0


def test_the_combined_effect_has_no_seed_that_chose_the_condition():
    combined = (("depth", 3), ("width", 8))
    numbers = report.headline(made_up({combined: (0.9, 0.9, 0.3, 0.4)}, **FOUR))
    assert numbers["combined_effect"].value == pytest.approx(0.35)
    assert np.isnan(report.headline(made_up({}, **{"toy.conditions.seeds": 2}))["combined_effect"].value)


def test_headline_counts_the_conditions():
    numbers = report.headline(made_up({WIDE: (0.5, 0.6, 0.7), DEPTH_3: (-0.5, 0.6, 0.1)}))
    total = 1 + 4 + 2 + 1  # the default, the sweep, the rest of the map, two outputs
    assert numbers["conditions"].value == total
    assert numbers["conditions_above_zero"].value == (total - 1) / total
    assert numbers["condition_seeds"].value == 3


def test_one_seed_has_no_intervals():
    numbers = report.headline(made_up({}, default=(0.1,), **{"toy.conditions.seeds": 1}))
    assert numbers["largest_effect"].low is None
    assert np.isnan(numbers["largest_effect_without_luck"].value)
    assert numbers["conditions_above_zero"].value == 0


def test_tables_and_figures_show_every_setting_and_reading():
    found = made_up({DEPTH_3: (0.5, 0.6, 0.7)})
    table = report.range_table(found)
    assert table.index[0] == "depth"
    assert table.loc["depth", "largest effect (at)"] == "+0.60 (3)"
    readings = report.reading_table(found)
    assert len(readings) == len(gradients.NORMALIZATIONS) * len(experiment.THRESHOLDS)
    assert readings.iloc[0]["condition"] == "depth 3"
    assert [panel.get_title() for panel in figures.sweep(found).axes] == ["depth", "width", "normalisation", "outputs"]
    texts = [text.get_text() for text in figures.map_of_two(found).axes[0].texts]
    assert len(texts) == 6
    assert texts[0] == "+0.60\n± 0.25"  # the interval of three seeds 0.1 apart


def test_settings_without_a_map_have_no_figure():
    assert figures.map_of_two(made_up({}, **{"toy.conditions.map": []})) is None
