"""The conditions of the sweep and of the map, and the names of their repetitions."""

import itertools

import pytest

from ribstudy.config import load_settings
from ribstudy.toy import conditions

SWEEP = {"depth": [4, 3], "norm_layer": ["layer", "batch"], "width": [4, 8]}


def settings_of(**changed):
    """The study's settings (depth 5, width 4, no normalisation) with a small sweep."""
    given = {"sweep": SWEEP, "map": ["depth", "width"], "seeds": 2, "combined": {}}
    return load_settings("study", {**{f"toy.conditions.{name}": value for name, value in given.items()}, **changed}).toy


def test_the_own_value_is_part_of_an_axis_and_no_condition():
    settings = settings_of()
    assert conditions.axis(settings, "depth") == [3, 4, 5]
    assert conditions.axis(settings, "norm_layer") == ["none", "layer", "batch"]
    assert conditions.axis(settings, "width") == [4, 8]
    found = conditions.sweep(settings)
    assert found["depth"] == {3: (("depth", 3),), 4: (("depth", 4),), 5: conditions.DEFAULT}
    assert found["width"][4] == conditions.DEFAULT


def test_the_map_combines_two_axes_and_shares_its_margins_with_the_sweep():
    settings = settings_of()
    cells = conditions.cells(settings)
    assert len(cells) == 3 * 2
    assert cells[5, 4] == conditions.DEFAULT
    assert cells[3, 4] == conditions.sweep(settings)["depth"][3]
    assert cells[3, 8] == (("depth", 3), ("width", 8))
    sweep_alone = conditions.conditions(settings_of(**{"toy.conditions.map": []}))
    assert len(sweep_alone) == 2 + 2 + 1
    both = conditions.conditions(settings)
    assert both[: len(sweep_alone)] == sweep_alone
    assert set(both[len(sweep_alone) :]) == {(("depth", 3), ("width", 8)), (("depth", 4), ("width", 8))}


def test_the_combined_condition_is_one_more():
    settings = settings_of(**{"toy.conditions.combined": {"width": 8, "depth": 5, "marker_size": 7}})
    assert conditions.combined(settings) == (("marker_size", 7), ("width", 8))  # 5 is the depth of the settings
    assert conditions.conditions(settings)[-1] == conditions.combined(settings)
    assert len(conditions.conditions(settings)) == 8
    assert len(conditions.conditions(settings_of())) == 7


def test_other_settings_give_other_conditions_around_them():
    assert conditions.sweep(settings_of(**{"toy.depth": 4}))["depth"] == {3: (("depth", 3),), 4: ()}


def test_a_condition_does_not_depend_on_the_order_of_its_changes():
    orders = itertools.permutations([("width", 8), ("depth", 3)])
    found = [conditions.condition_of(settings_of(), dict(changes)) for changes in orders]
    assert found == [(("depth", 3), ("width", 8))] * 2


def test_every_repetition_has_a_name_of_its_own():
    found = conditions.repetitions(settings_of())
    assert len(found) == 7 * 2
    assert found["depth=3,width=8,seed=1"] == ((("depth", 3), ("width", 8)), 1)


def test_changed_settings_have_no_conditions_and_keep_the_rest():
    settings = settings_of()
    changed = settings.changed({"depth": 3})
    assert (changed.depth, changed.width, changed.probe) == (3, settings.width, settings.probe)
    assert conditions.conditions(changed) == []


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"toy.conditions.sweep": {"dpth": [3]}}, "dpth is unknown, did you mean depth"),
        ({"toy.conditions.sweep": {"depth": [3, 99]}}, "depth = 99"),
        ({"toy.conditions.sweep": {"depth": []}}, r"toy\.conditions\.sweep\.depth"),
        ({"toy.conditions.map": ["depth"]}, "expected two settings of the sweep: depth, norm_layer, width"),
        ({"toy.conditions.map": ["depth", "canvas"]}, "expected two settings of the sweep"),
        ({"toy.conditions.combined": {"depth": 99}}, "depth = 99"),
        ({"toy.depth": 99}, r"^preset study: toy\.depth = 99: Input should be less than or equal to 8$"),
    ],
)
def test_a_wrong_condition_is_an_error_that_names_it(changed, message):
    with pytest.raises(ValueError, match=message):
        settings_of(**{"toy.conditions.map": [], **changed})
