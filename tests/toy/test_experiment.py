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
    by_region = (len(gradients.NORMALIZATIONS), layers, len(REGIONS))
    assert tiny_run["ratios"].shape == (len(experiment.NETWORKS), *by_region, len(gradients.THRESHOLDS))
    assert tiny_run["bits"].shape == (len(experiment.reading_names(3)), len(experiment.LABELS), len(information.PROBES))
    assert tiny_run["accuracy"].shape == tiny_run["blind"].shape == (len(experiment.NETWORKS),)
    assert all(np.isfinite(values).all() for values in tiny_run.values())
    read = experiment.read_seed(tiny_run, load_settings("study", TINY).toy)
    assert read["hgr"].shape == (len(experiment.NETWORKS), *by_region)
    assert read["hgr_by_threshold"].shape == (len(experiment.THRESHOLDS), *by_region)


def test_the_threshold_is_chosen_when_a_seed_is_read(tiny_run):
    other = {**TINY, "toy.hgr_threshold": 0.5}
    trained = experiment.run_seed(load_settings("study", other).toy, 0)
    for name, values in tiny_run.items():
        np.testing.assert_array_equal(trained[name], values, err_msg=name)
    read, read_at_half = (experiment.read_seed(tiny_run, load_settings("study", values).toy) for values in (TINY, other))
    sigmoid = experiment.NETWORKS.index("sigmoid")
    np.testing.assert_array_equal(read["hgr"][sigmoid], read["hgr_by_threshold"][experiment.THRESHOLDS.index(0.3)])
    np.testing.assert_array_equal(read_at_half["hgr"][sigmoid], read["hgr_by_threshold"][experiment.THRESHOLDS.index(0.5)])
    assert (read["hgr"] > read_at_half["hgr"]).any()
    for name in tiny_run.keys() - {"ratios"}:
        np.testing.assert_array_equal(read[name], tiny_run[name], err_msg=name)
