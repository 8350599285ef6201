"""The watch that stops a training after many steps without a predicted object."""

import pytest

from ribstudy.training.collapse import Collapsed, CollapseWatch


def watch_all(watch, shares, start=1):
    for step, (foreground, labelled) in enumerate(shares, start):
        watch(step, {"loss": 1.0, "foreground": foreground, "labelled_foreground": labelled})


def test_a_network_that_predicts_only_background_is_stopped():
    watch = CollapseWatch(patience=3)
    watch_all(watch, [(0.2, 0.3), (0.0, 0.3), (0.0, 0.1)])
    with pytest.raises(Collapsed, match=r"step 4: .* nothing but background since step 2.*balanced") as raised:
        watch_all(watch, [(0.0, 0.2)], start=4)
    assert isinstance(raised.value, ArithmeticError)


def test_a_predicted_object_ends_the_wait_and_steps_without_objects_do_not_count():
    watch = CollapseWatch(patience=3)
    watch_all(watch, [(0.0, 0.3), (0.0, 0.3), (1e-6, 0.3), (0.0, 0.3), (0.0, 0.0), (0.0, 0.0), (0.0, 0.3)] + 20 * [(0.0, 0.0)])
    with pytest.raises(Collapsed, match=r"step 28: .* since step 4,"):
        watch_all(watch, [(0.0, 0.3)], start=28)
    watch_all(CollapseWatch(), 499 * [(0.0, 0.3)])
