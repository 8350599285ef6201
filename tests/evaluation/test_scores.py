import pickle

import numpy as np
import pytest
from helpers.scored_maps import Masks, unit

from ribstudy.evaluation import scores as evaluation
from ribstudy.evaluation.metrics import DEFAULT_THRESHOLDS, bootstrap_comparison, miou
from ribstudy.evaluation.scores import (
    StoredUnits,
    average_precision,
    compare,
    compare_over_seeds,
    comparisons,
    coverage,
    endings,
    extremes,
    predicted_mask,
    score_table,
    steps_table,
    summary,
    sweep_units,
)
from ribstudy.masks.settings import CrfSettings
from ribstudy.store import Result

UNITS = {"first": unit(1.0, 0.0)}


def test_a_perfect_map_scores_one_and_its_second_step_spoils_it():
    sweep = sweep_units(Masks(), UNITS, steps=1)
    assert sweep.miou()[50] == pytest.approx(1)
    assert summary(sweep, 50)["precision"] == pytest.approx(1)
    spoiled = sweep_units(Masks(), UNITS)
    assert summary(spoiled, 50) == pytest.approx(
        {"miou": 0.25, "over": 0.25, "under": 0.5, "precision": 0.5, "recall": 0.5}
    )  # all of it class a: IoU 1/2 for the class and 0 for the background, whose pixels are all missed
    table = steps_table(Masks(), UNITS, threshold=50)
    assert table["miou"].tolist() == pytest.approx([1, 0.25])


def test_predicted_mask_by_hand():
    assert np.unique(predicted_mask(UNITS["first"], 0.5, steps=1)).tolist() == [0, 1]
    assert predicted_mask(UNITS["first"], 0.5).min() == 1
    empty = {"keys": np.array([], int), "size": np.array([16, 16])}
    assert predicted_mask(empty, 0.5).sum() == 0


def test_comparison_is_of_the_same_images():
    both = {"first": UNITS["first"], "second": UNITS["first"]}
    sweep = sweep_units(Masks(), both, steps=1)
    assert compare(sweep, sweep, at=(50, 50)).difference.value == 0
    with pytest.raises(ValueError, match="same images"):
        compare(sweep, sweep_units(Masks(), UNITS), at=(50, 50))


def test_coverage_by_hand():
    """The first method finds the object and nothing else, the second paints the whole image, the third nothing."""
    everywhere = {"keys": np.array([0]), "size": np.array([16, 16]), "maps_0": np.ones((1, 16, 16), np.float32)}
    object_alone = {**everywhere, "maps_0": unit(1.0, 0.0)["iterates_0"][0]}
    units = {"CAM": {"first": object_alone}, "all": {"first": everywhere}, "none": {"first": everywhere}}
    covered = coverage(Masks(), units, {"CAM": 0.5, "all": 0.5, "none": 1.0})
    reached = ~np.isnan(covered.objects["CAM"])
    assert reached.any()
    for method, (share_of_objects, share_of_background) in {"CAM": (1, 0), "all": (1, 1), "none": (0, 0)}.items():
        assert (covered.objects[method][reached] == share_of_objects).all()
        assert covered.background[method] == share_of_background


def test_only_images_with_a_mask_are_scored():
    units = {"third": unit(0.0, 1.0), **UNITS}
    sweep = sweep_units(Masks(), units)
    assert sweep.names == ("first",)
    np.testing.assert_array_equal(sweep.counts, sweep_units(Masks(), UNITS).counts)
    with pytest.raises(ValueError, match="train: none of the 1 images that have maps has a mask"):
        sweep_units(Masks(), {"third": unit(0.0, 1.0)})


def test_what_goes_wrong_names_the_image():
    with pytest.raises(ValueError, match="differ in size") as caught:
        sweep_units(Masks(), {"second": {"keys": np.array([], int), "size": np.array([8, 8])}})
    assert caught.value.__notes__ == ["image second"]


def test_average_precision_by_hand():
    labels = np.array([[1, 0], [0, 0], [1, 0]], bool)
    logits = np.array([[3.0, 0], [2.0, 0], [1.0, 0]])
    values = average_precision(labels, logits, ["a", "b"])
    assert values["a"] == pytest.approx((1 + 2 / 3) / 2)
    assert np.isnan(values["b"])


class ManyMasks:
    """Small images of two classes, every tenth without a class, drawn anew from their names."""

    class_names = ("a", "b")
    split = "train"

    def __init__(self, count: int):
        self.masked_names = [f"{number:04d}" for number in range(count)]

    def mask(self, name):
        values = [0] if int(name) % 10 == 0 else [0, 1, 2, 255]
        return np.random.default_rng(int(name)).choice(values, (8, 8)).astype(np.uint8)

    def unit(self, name: str) -> dict:
        """Two steps; images whose number is even end after the first."""
        num_classes, num_steps = (0 if int(name) % 10 == 0 else 1 + int(name) % 2), 1 + int(name) % 2
        maps = np.random.default_rng(int(name) + 1).random((num_steps, num_classes, 2, 2)).astype(np.float32)
        arrays = {"keys": np.arange(num_classes), "size": np.array([8, 8])}
        if not num_classes:
            return arrays
        return {**arrays, "iterates_0": maps, "scores": np.array([int(name), -1.0]), "stopped_by": np.array("margin")}

    def units(self) -> dict:
        return {name: self.unit(name) for name in self.masked_names}

    def counts(self) -> np.ndarray:
        """[N, T, 3, 3], image by image."""
        return np.stack([sweep_units(self, {name: self.unit(name)}).counts[0] for name in self.masked_names])


@pytest.mark.parametrize("count", [3, 130, 999])
def test_up_to_a_thousand_images_are_groups_of_their_own(count):
    data = ManyMasks(count)
    np.testing.assert_array_equal(sweep_units(data, data.units()).counts, data.counts())


def test_memory_does_not_grow_with_the_images():
    data = ManyMasks(2500)
    units, counts = data.units(), data.counts()
    sweep = sweep_units(data, units)
    assert sweep.counts.shape == (1000, 100, 3, 3)
    np.testing.assert_array_equal(sweep.counts.sum(axis=0), counts.sum(axis=0))
    assert np.bincount(sweep.counts[:, 0, 2].sum(axis=1) > 0).tolist() == [0, 1000]
    assert sweep.image_scores.dtype == np.float32
    np.testing.assert_array_equal(sweep.image_scores, miou(counts).astype(np.float32))
    assert sweep.has_class.tolist() == [int(name) % 10 > 0 for name in sweep.names]
    assert compare(sweep, sweep, at=(30, 30)).first.n == 2500


def test_intervals_from_groups_are_those_from_images():
    data = ManyMasks(2500)
    sweep = sweep_units(data, data.units())
    grouped = compare(sweep, sweep, at=(30, 30)).first
    single = bootstrap_comparison(*2 * [data.counts()[:, 30]]).first
    assert grouped.value == single.value
    assert grouped.high - grouped.low == pytest.approx(single.high - single.low, rel=0.1)  # though every tenth has no class


def test_images_without_a_class_can_be_left_out():
    data = ManyMasks(1200)
    units = data.units()
    sweep = sweep_units(data, units)
    labelled = sweep.labelled()
    expected = sweep_units(data, {name: unit for name, unit in units.items() if len(unit["keys"])})
    assert labelled.names == expected.names
    np.testing.assert_array_equal(labelled.counts.sum(axis=0), expected.counts.sum(axis=0))
    np.testing.assert_array_equal(labelled.image_scores, expected.image_scores)
    assert labelled.labelled() is labelled
    assert comparisons(sweep, sweep, at=(3, 3))["labelled"].first.n == 1080
    assert "labelled" not in comparisons(labelled, labelled, at=(3, 3))
    assert score_table(sweep, 3)["miou"].tolist() == pytest.approx(
        [values.miou()[index] for values in (sweep, labelled) for index in (3, values.best())]
    )
    assert len(score_table(labelled, 3)) == 2


def test_groups_of_which_nothing_is_left_are_no_groups():
    data = ManyMasks(30)
    assert len(sweep_units(data, data.units()).labelled().counts) == 27


def test_an_adaptation_that_ended_early_keeps_its_sum():
    data = ManyMasks(20)
    table = steps_table(data, data.units())
    for steps in (1, 2):
        sweep = sweep_units(data, data.units(), steps=steps)
        assert table.iloc[steps - 1].to_dict() == pytest.approx(
            {"steps": steps, "threshold": DEFAULT_THRESHOLDS[sweep.best()], **summary(sweep, sweep.best())}
        )


def test_endings_are_of_the_images_with_a_class_in_order():
    data = ManyMasks(220)
    table = endings(data.units())
    assert table.index.tolist() == [name for name in data.masked_names if int(name) % 10]
    assert table["first_score"].tolist() == [int(name) for name in table.index]
    assert set(table["stopped_by"]) == {"margin"}


def stored(folder, data: ManyMasks) -> StoredUnits:
    result = Result(folder)
    for name, arrays in data.units().items():
        result.write_item(name, arrays)
    return StoredUnits(result, data.masked_names)


def test_a_sweep_does_not_depend_on_the_number_of_processes(tmp_path):
    data = ManyMasks(1030)
    units = stored(tmp_path, data)
    one, two = (sweep_units(data, units, processes=processes) for processes in (1, 2))
    for name, values in vars(one).items():
        np.testing.assert_array_equal(values, getattr(two, name))


def test_every_pass_can_be_handed_to_other_processes(tmp_path, monkeypatch):
    data = ManyMasks(120)
    units, methods, cut = stored(tmp_path, data), ("CAM", "RIB"), {"CAM": 0.3, "RIB": 0.6}

    def results():
        covered = coverage(data, dict.fromkeys(methods, units), cut, processes=2)
        return [steps_table(data, units, processes=2).to_dict(), endings(units, processes=2).to_dict(), covered.background]

    def elsewhere(work, tasks, *, processes):
        assert processes == 2
        return map(pickle.loads(pickle.dumps(work)), tasks)

    here = results()
    monkeypatch.setattr(evaluation, "WORTH_PROCESSES", 1)
    monkeypatch.setattr(evaluation, "map_in_processes", elsewhere)
    assert results() == here


def test_stored_units_are_read_when_asked_for(tmp_path):
    result = Result(tmp_path)
    result.write_item("b", {"keys": np.array([1])})
    units = StoredUnits(result, ["b", "a"])  # the second is not there yet
    assert list(units) == ["b", "a"]
    assert "a" in units
    assert "c" not in units
    copy = pickle.loads(pickle.dumps(units))
    assert copy["b"]["keys"].tolist() == [1]
    with pytest.raises(KeyError):
        units["c"]
    result.write_item("a", {"keys": np.array([2])})
    assert [unit["keys"].tolist() for unit in units.values()] == [[1], [2]]


def test_extremes_by_hand():
    assert extremes(np.array([0.0, 3.0, np.nan, -1.0, 2.0]), 2) == [1, 4, 3, 0]


def test_two_methods_are_compared_after_each_step():
    """Of the classes' hits, predicted and true pixels, the IoU of the second method is 1 after the first step, else 0.5."""
    half = evaluation.MaskScores(("a",), np.array([[[1, 1], [1, 1], [2, 2]]]), np.zeros((2, 2), int))
    full = evaluation.MaskScores(("a",), np.array([[[2, 2], [2, 2], [2, 2]]]), np.zeros((2, 2), int))
    scores = {("CAM", "seeds"): half, ("RIB", "seeds"): full, ("CAM", "walk"): half, ("RIB", "walk"): half}
    gains = evaluation.compare_steps(scores, "CAM", "RIB")
    assert {step: gain.difference.value for step, gain in gains.items()} == {"seeds": 0.5, "walk": 0}
    found = {names: estimate.value for names, estimate in evaluation.both_estimates(gains, "CAM", "RIB").items()}
    assert found == {names: 1 if names == ("RIB", "seeds") else 0.5 for names in scores}


class Pictures(Masks):
    """The left half of every image is red, the right blue."""

    def image(self, name):
        image = np.zeros((16, 16, 3), np.uint8)
        image[:, :8, 0] = image[:, 8:, 2] = 200
        return image


@pytest.mark.parametrize("processes", [1, 2])
def test_rules_find_the_threshold_between_two_levels_without_a_mask(processes):
    first = np.concatenate([np.full((1, 1, 16, 8), 1.0), np.full((1, 1, 16, 8), 0.4)], axis=3).astype(np.float32)
    empty = {"keys": np.array([], int), "size": np.array([16, 16])}
    units = {"first": {"keys": np.array([0]), "size": np.array([16, 16]), "iterates_0": first}, "second": empty}
    table = evaluation.threshold_rules(Pictures(), units, CrfSettings(bilateral_sxy=8.0), processes=processes)
    assert list(table.index) == ["otsu", "yen", "crf"]
    assert table["threshold"].between(0.39, 1).all()
    assert table.loc["crf", "threshold"] == pytest.approx(0.4)  # the lowest that leaves the right half to the background
    assert (table["miou"] == table["best_miou"]).all()
    assert table["lost"].tolist() == [0, 0, 0]


def test_methods_are_compared_over_seeds_at_the_thresholds_of_each():
    """With the second seed the first method paints both halves at 0.5, and at 0.7 what the other method paints."""
    good = sweep_units(Masks(), {"first": UNITS["first"], "second": UNITS["first"]}, steps=1)
    wide = sweep_units(Masks(), {"first": unit(1.0, 0.6), "second": unit(1.0, 0.6)}, steps=1)
    single = compare(wide, good, at=(50, 50)).difference.value
    assert single > 0.1
    over_seeds = compare_over_seeds([good, wide], [good, good], at=[(50, 50), (50, 50)])
    assert over_seeds.difference.value == pytest.approx(single / 2)
    assert compare_over_seeds([good, wide], [good, good], at=[(50, 50), (70, 50)]).difference.value == 0
    assert compare_over_seeds([good, wide], [good, good]).difference.value == pytest.approx(0)
    assert compare_over_seeds([wide], [good], at=[(50, 50)]) == compare(wide, good, at=(50, 50))
    both = evaluation.comparisons_over_seeds([good, wide], [good, good], at=[(50, 50), (50, 50)])
    assert both == {"compared": over_seeds, "best": compare_over_seeds([good, wide], [good, good])}
    with pytest.raises(ValueError, match="not of the same images"):
        compare_over_seeds([good], [sweep_units(Masks(), UNITS)])
