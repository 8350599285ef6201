"""One repetition of the simulated experiment with tiny settings."""

import numpy as np
import pytest
import torch

from ribstudy.config import load_settings
from ribstudy.toy import experiment, gradients, information
from ribstudy.toy.data import REGIONS


def test_no_digit_is_in_two_parts_of_the_probes_split():
    split, repeated = experiment.draw_split(80, 3, seed=0)
    sides = [set(repeated[part]) for part in (split.train, split.validation, split.test)]
    assert [len(side) for side in sides] == [30, 10, 40]
    assert len(set.union(*sides)) == 80
    assert sum(map(len, (split.train, split.validation, split.test))) == 240


TINY = {
    "toy.training_steps": 3,
    "toy.rib_steps": 2,
    "toy.num_map_images": 8,
    "toy.depth": 3,
    "toy.width": 1,
    "toy.probe.epochs": 1,
    "toy.probe.placements": 1,
    "toy.probe.grid": 1,
}


@pytest.fixture(scope="module")
def tiny_run():
    return experiment.run_seed(load_settings("study", TINY).toy, 0)


def test_a_seed_gives_the_same_numbers_again_and_does_not_change_the_random_state(tiny_run):
    torch.manual_seed(5)
    state = torch.get_rng_state()
    again = experiment.run_seed(load_settings("study", TINY).toy, 0)
    assert torch.equal(state, torch.get_rng_state())
    assert again.keys() == tiny_run.keys()
    for name, values in tiny_run.items():
        np.testing.assert_array_equal(again[name], values, err_msg=name)


def test_the_arrays_of_a_seed_have_the_documented_shapes(tiny_run):
    layers = len(gradients.layer_names(3))
    num_normalizations, num_thresholds = len(gradients.NORMALIZATIONS), len(gradients.THRESHOLDS)
    last = (len(experiment.NETWORKS), num_normalizations, 3, len(REGIONS))
    assert tiny_run["ratios"].shape == (num_normalizations, layers, len(REGIONS), num_thresholds)
    assert tiny_run["last_ratios"].shape == (*last, num_thresholds)
    assert tiny_run["bits"].shape == (len(experiment.reading_names(3)), len(experiment.LABELS), len(information.PROBES))
    assert tiny_run["accuracy"].shape == tiny_run["blind"].shape == (len(experiment.NETWORKS),)
    assert all(np.isfinite(values).all() for values in tiny_run.values())
    read = experiment.read_seed(tiny_run, load_settings("study", TINY).toy)
    assert read["hgr"].shape == last
    assert read["hgr_by_layer"].shape == (num_normalizations, layers, len(REGIONS))
    assert read["effects"].shape == (len(experiment.NETWORKS), num_normalizations, num_thresholds)
    np.testing.assert_array_equal(tiny_run["last_ratios"][0], tiny_run["ratios"][:, -3:])  # the sigmoid is the first network


def test_only_one_seed_stores_examples(tiny_run):
    other = experiment.run_seed(load_settings("study", TINY).toy, 1)
    assert tiny_run.keys() - other.keys() == {"example_images", "example_maps"}


def test_a_condition_without_a_change_is_the_network_with_a_sigmoid(tiny_run):
    settings = load_settings("study", TINY).toy
    found = experiment.run_condition(settings, 0)
    np.testing.assert_array_equal(found["accuracy"], tiny_run["accuracy"][0])
    np.testing.assert_array_equal(found["ratios"], tiny_run["last_ratios"][0][:, [0, -1], :2])
    read, of_seed = experiment.read_condition(found, settings), experiment.read_seed(tiny_run, settings)
    np.testing.assert_array_equal(read["effects"], of_seed["effects"][0])
    np.testing.assert_array_equal(read["hgr"], of_seed["hgr"][0][:, [0, -1], :2])


@pytest.mark.parametrize("changes", [{"norm_layer": "batch"}, {"weight_decay": 1.0}, {"marker_rate": 1.0}, {"depth": 2}])
def test_a_condition_changes_the_numbers(tiny_run, changes):
    found = experiment.run_condition(load_settings("study", TINY).toy.changed(changes), 0)
    assert np.isfinite(found["ratios"]).all()
    assert not np.array_equal(found["ratios"], tiny_run["last_ratios"][0][:, [0, -1], :2])


def test_the_threshold_is_chosen_when_a_seed_is_read(tiny_run):
    other = {**TINY, "toy.hgr_threshold": 0.5}
    trained = experiment.run_seed(load_settings("study", other).toy, 0)
    for name, values in tiny_run.items():
        np.testing.assert_array_equal(trained[name], values, err_msg=name)
    read, read_at_half = (experiment.read_seed(tiny_run, load_settings("study", values).toy) for values in (TINY, other))
    for at, threshold in ((read, 0.3), (read_at_half, 0.5)):
        place = gradients.threshold_index(threshold)
        np.testing.assert_array_equal(at["hgr"], tiny_run["last_ratios"][..., place])
        np.testing.assert_array_equal(at["hgr_by_layer"], tiny_run["ratios"][..., place])
    np.testing.assert_array_equal(read["effects"], read_at_half["effects"])  # they have all thresholds
    assert (read["hgr"] > read_at_half["hgr"]).any()
    for name in tiny_run.keys() - {"ratios", "last_ratios"}:
        np.testing.assert_array_equal(read[name], tiny_run[name], err_msg=name)
