from dataclasses import replace

import numpy as np
import pytest
from helpers.scored_maps import ManyMasks, Masks, halves, scored

from ribstudy.evaluation.metrics import DEFAULT_THRESHOLDS
from ribstudy.evaluation.protocol import FROM_VAL, Scored, compare, resample
from ribstudy.evaluation.steps import CHANGES, NUM_SAMPLES, changes_by_step, endings, steps_table
from ribstudy.evaluation.sweeps import summary, sweep_scores


def test_an_adaptation_that_ended_early_keeps_its_sum():
    scores = ManyMasks(20).scores()
    table = steps_table(scores)
    assert len(table) == 2
    for steps in (1, 2):
        sweep = sweep_scores(scores, steps=steps)
        index = sweep.best()
        expected = {"steps": steps, "threshold": DEFAULT_THRESHOLDS[index], **summary(sweep, index)}
        assert table.iloc[steps - 1].to_dict() == expected


def test_scores_of_the_steps_by_hand():
    """The first map finds the object; with the second, the map is the same everywhere."""
    scores = scored(Masks(), {"first": halves(1.0, 0.0)})
    assert steps_table(scores)["miou"].tolist() == pytest.approx([1, 0.25])


def test_endings_are_of_the_images_with_a_class_in_order():
    data = ManyMasks(220)
    table = endings(data.scores())
    assert table.index.tolist() == [name for name in data.names if int(name) % 10]
    assert table["first_score"].tolist() == [int(name) for name in table.index]
    assert np.unique(table["last_score"]).tolist() == [-1]
    assert set(table["stopped_by"]) == {"margin"}


def test_changes_by_step_start_at_the_cam_and_are_means_over_trainings():
    """The first map finds the object; the second spoils it with one training and, being the same again, not with the other."""
    spoiled = halves(1.0, 0.0)
    kept = replace(spoiled, steps=(spoiled.steps[0][[0, 0]],))
    spoiled, kept = (scored(Masks(), {"first": maps, "second": maps}) for maps in (spoiled, kept))
    table = changes_by_step([spoiled, kept], [kept, kept]).set_index(["measure", "steps"])
    assert list(table.index) == [(measure, steps) for measure in CHANGES for steps in (1, 2)]
    for measure in CHANGES:
        assert table.loc[(measure, 1)].tolist() == [0, 0, 0]
    alone = changes_by_step([spoiled], [kept]).set_index(["measure", "steps"])
    assert alone.loc[("miou", 2), "value"] < -0.1
    assert table.loc[("miou", 2), "value"] == pytest.approx(alone.loc[("miou", 2), "value"] / 2)


def test_changes_by_step_have_thresholds_from_val():
    reported, choices = ManyMasks(9).scores(), ManyMasks(4).scores()
    table = changes_by_step([reported], [choices]).set_index(["measure", "steps"])
    cam, rib = (
        resample([Scored(*(sweep_scores(images, steps=steps) for images in (reported, choices)))], num_samples=NUM_SAMPLES)
        for steps in (1, 2)
    )
    for measure in CHANGES:
        expected = compare(cam, rib, measure=measure)[FROM_VAL].difference
        assert table.loc[(measure, 2)].tolist() == [expected.value, expected.low, expected.high]
