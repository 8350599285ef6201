import numpy as np
import pytest
from helpers.scored_maps import ManyMasks, Masks, halves, scored

from ribstudy.evaluation.metrics import DEFAULT_THRESHOLDS
from ribstudy.evaluation.steps import endings, steps_table
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
