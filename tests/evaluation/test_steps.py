import pytest
from helpers.scored_maps import ManyMasks, Masks, halves

from ribstudy.evaluation.metrics import DEFAULT_THRESHOLDS
from ribstudy.evaluation.steps import endings, steps_table
from ribstudy.evaluation.sweeps import summary, sweep_maps


def test_steps_at_one_threshold_by_hand():
    assert steps_table(Masks(), {"first": halves(1.0, 0.0)}, threshold=50)["miou"].tolist() == pytest.approx([1, 0.25])


def test_an_adaptation_that_ended_early_keeps_its_sum():
    data = ManyMasks(20)
    table = steps_table(data, data.stored())
    for steps in (1, 2):
        sweep = sweep_maps(data, data.stored(), steps=steps)
        assert table.iloc[steps - 1].to_dict() == pytest.approx(
            {"steps": steps, "threshold": DEFAULT_THRESHOLDS[sweep.best()], **summary(sweep, sweep.best())}
        )


def test_endings_are_of_the_images_with_a_class_in_order():
    data = ManyMasks(220)
    table = endings(data.stored())
    assert table.index.tolist() == [name for name in data.masked_names if int(name) % 10]
    assert table["first_score"].tolist() == [int(name) for name in table.index]
    assert set(table["stopped_by"]) == {"margin"}
