from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest
from helpers.scored_maps import Masks, unit

from ribstudy.config import load_settings
from ribstudy.evaluation.ablation import (
    DEFAULT,
    Reread,
    curve,
    differences,
    false_alarms,
    gain_of_default,
    stopped,
    summary_table,
    telling,
    units_by_variant,
)
from ribstudy.evaluation.metrics import Comparison, Estimate
from ribstudy.evaluation.scores import compare, sweep_units
from ribstudy.method.cam import stored_seed_maps
from ribstudy.report.figures.ablations import curve_figure, group_figure
from ribstudy.workflow import jobs as study
from ribstudy.workflow.variants import GROUPS, every_variant, variants

DATA = Masks()


def both(left, right, **fields):
    made = {**unit(left, right), **{name: np.array(value) for name, value in fields.items()}}
    return {name: {**made, "scores": np.array([1.0, 2.0]), "stopped_by": np.array("margin")} for name in ("first", "second")}


def test_differences_are_those_of_single_comparisons():
    """The default paints the left half, which is the object of one image; the variant the whole image."""
    first, second = both(1.0, 0.0, aggregation="last"), both(1.0, 1.0)
    found = differences(DATA, {DEFAULT: [second, second], "same": [second, second], "other": [first, first]})
    assert list(found) == ["same", "other"]
    assert found["same"].difference.value == found["same"].difference.low == 0
    single = compare(sweep_units(DATA, second), sweep_units(DATA, first))
    assert found["other"].difference.value == pytest.approx(single.difference.value)


def test_reread_units_are_those_of_a_run_with_the_setting():
    stored = both(1.0, 0.2)
    again = Reread(stored, {"aggregation": "last", "normalization": "range"})
    assert list(again) == list(stored)
    assert len(again) == 2
    of_run = both(1.0, 0.2, aggregation="last", normalization="range")
    np.testing.assert_array_equal(stored_seed_maps(again["first"]), stored_seed_maps(of_run["first"]))
    assert not np.array_equal(stored_seed_maps(again["first"]), stored_seed_maps(stored["first"]))
    assert "aggregation" not in stored["first"]


def test_the_curve_starts_at_the_cam_and_is_a_mean_over_seeds():
    """The first map finds the object, the second spoils it with one seed and, being the same again, not with the other."""
    spoiled, kept = both(1.0, 0.0), both(1.0, 0.0)
    kept = {name: {**stored, "iterates_0": stored["iterates_0"][[0, 0]]} for name, stored in kept.items()}
    table = curve(DATA, [spoiled, kept])
    assert table["steps"].tolist() == [1, 2]
    assert table.loc[0, ["value", "low", "high"]].tolist() == [0, 0, 0]
    alone = curve(DATA, [spoiled])
    assert alone.loc[1, "value"] < -0.1
    assert table.loc[1, "value"] == pytest.approx(alone.loc[1, "value"] / 2)
    assert table.loc[1, "high"] > -1e-9 > table.loc[1, "low"]


def test_share_of_stopped_adaptations():
    early, late = both(1.0, 0.0), both(1.0, 0.0)
    late["first"]["stopped_by"] = np.array("iterations")
    assert stopped([early, late], "margin") == Estimate(0.75, n=4)
    assert stopped([early], "spread").value == 0


class Chapter:
    """What the ablations need of a chapter: results by settings, here the overrides themselves."""

    settings = load_settings("mini")

    def variant(self, overrides):
        load_settings("mini", overrides)
        return overrides

    def maps(self, stage, overrides):
        assert stage == "rib"
        return {"overrides": overrides}


def test_the_chapter_asks_for_what_its_jobs_make():
    chapter = Chapter()
    found = units_by_variant(chapter)
    assert list(found) == [DEFAULT, *(variant.name for variant in variants(chapter.settings))]
    made = [overrides for job in study.ablations(chapter.settings) for overrides in job.results()]
    asked = [of_seed["overrides"] for units in found.values() for of_seed in units if isinstance(of_seed, dict)]
    assert len(asked) == len(made)
    assert all(overrides in made for overrides in asked)


def comparison(value, low, high):
    one = Estimate(0.5, 0.4, 0.6, 4)
    return Comparison(one, one, Estimate(value, low, high, 4))


FOUND = {"gap": comparison(-0.02, -0.03, -0.01), "region": comparison(0.01, -0.01, 0.03), "bce": comparison(0.04, 0.02, 0.05)}


def test_the_gain_of_the_default_is_the_cam_turned_round():
    assert gain_of_default({"cam": comparison(-0.02, -0.03, 0.01)}) == Estimate(0.02, -0.01, 0.03, 4)
    assert gain_of_default(FOUND) == Estimate(0, 0, 0)


def test_few_images_raise_more_false_alarms_than_many():
    few, many = false_alarms(3), false_alarms(100)
    assert 0.15 < few < 0.3
    assert 0.03 < many < 0.1
    assert few == false_alarms(3)


def test_what_tells_is_what_leaves_zero_out():
    assert telling(FOUND) == (["bce"], ["gap"])


def test_the_summary_says_what_was_not_run():
    settings = load_settings("mini")
    table = summary_table(every_variant(settings), FOUND, SimpleNamespace(settings=settings))
    assert table.loc["gap", "difference (95 %)"] == "-0.020 (-0.030 to -0.010)"
    assert table.loc["first_20", "difference (95 %)"] == "not run"
    assert table.loc["momentum", ["here", "preset", "paper"]].tolist() == ["0.9", "0.0001", "–"]


def test_figures_show_each_variant_of_a_group_and_the_line_at_zero():
    chosen = variants(load_settings("mini"))
    figure = group_figure("region", chosen, FOUND)
    (axis,) = figure.axes
    assert [label.get_text() for label in axis.get_yticklabels()] == ["denominator region", "pooling gap"]
    assert axis.get_title() == GROUPS["region"]
    assert any(list(line.get_xdata()) == [0, 0] for line in axis.lines)
    filled = [line.get_markerfacecolor() for line in axis.lines if line.get_marker() == "o"]
    assert filled.count("white") == 1  # the interval of `region` holds zero
    plt.close(figure)


def test_the_curve_is_drawn_over_all_steps():
    table = curve(DATA, [both(1.0, 0.0)])
    figure = curve_figure(table, default_steps=1)
    assert any(len(line.get_xdata()) == len(table) for line in figure.axes[0].lines)
    plt.close(figure)
