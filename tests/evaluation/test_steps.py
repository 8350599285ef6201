from dataclasses import replace

import numpy as np
import pytest
from helpers.scored_maps import ManyMasks, Masks, halves, scored

from ribstudy.evaluation.metrics import DEFAULT_THRESHOLDS
from ribstudy.evaluation.protocol import BEST, FROM_VAL, Scored, compare, resample
from ribstudy.evaluation.steps import endings, gain_curve, steps_table
from ribstudy.evaluation.sweeps import summary, sweep_scores


def test_steps_at_one_threshold_by_hand():
    scores = scored(Masks(), {"first": halves(1.0, 0.0)})
    assert steps_table(scores, threshold=50)["miou"].tolist() == pytest.approx([1, 0.25])


@pytest.mark.parametrize("threshold", [None, 40])
def test_an_adaptation_that_ended_early_keeps_its_sum(threshold):
    scores = ManyMasks(20).scores()
    table = steps_table(scores, threshold=threshold)
    assert len(table) == 2
    for steps in (1, 2):
        sweep = sweep_scores(scores, steps=steps)
        index = sweep.best() if threshold is None else threshold
        expected = {"steps": steps, "threshold": DEFAULT_THRESHOLDS[index], **summary(sweep, index)}
        assert table.iloc[steps - 1].to_dict() == expected


def test_endings_are_of_the_images_with_a_class_in_order():
    data = ManyMasks(220)
    table = endings(data.scores())
    assert table.index.tolist() == [name for name in data.names if int(name) % 10]
    assert table["first_score"].tolist() == [int(name) for name in table.index]
    assert np.unique(table["last_score"]).tolist() == [-1]
    assert set(table["stopped_by"]) == {"margin"}


def test_the_curve_starts_at_the_cam_and_is_a_mean_over_trainings():
    """The first map finds the object; the second spoils it with one training and, being the same again, not with the other."""
    spoiled = halves(1.0, 0.0)
    kept = replace(spoiled, steps=(spoiled.steps[0][[0, 0]],))
    spoiled, kept = (scored(Masks(), {"first": maps, "second": maps}) for maps in (spoiled, kept))
    table = gain_curve([spoiled, kept])
    assert table["rule"].tolist() == [BEST, BEST]
    assert table["steps"].tolist() == [1, 2]
    assert table.loc[0, ["value", "low", "high"]].tolist() == [0, 0, 0]
    alone = gain_curve([spoiled])
    assert alone.loc[1, "value"] < -0.1
    assert table.loc[1, "value"] == pytest.approx(alone.loc[1, "value"] / 2)
    assert table.loc[1, "high"] > -1e-9 > table.loc[1, "low"]


def test_the_curve_follows_thresholds_from_val():
    reported, choices = ManyMasks(9).scores(), ManyMasks(4).scores()
    table = gain_curve([reported], [choices]).set_index(["steps", "rule"])
    assert list(table.index) == [(1, FROM_VAL), (1, BEST), (2, FROM_VAL), (2, BEST)]
    cam, rib = (resample([Scored(*(sweep_scores(images, steps=steps) for images in (reported, choices)))]) for steps in (1, 2))
    for rule, found in compare(cam, rib).items():
        expected = (found.difference.value, found.difference.low, found.difference.high)
        assert tuple(table.loc[2, rule]) == expected
