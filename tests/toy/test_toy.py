"""The simulated experiment: data, gradient maps, High Gradient Ratio, probes, and the whole with tiny settings."""

import numpy as np
import pytest
import torch
from scipy.ndimage import binary_dilation

from ribstudy.config import load_settings
from ribstudy.report import paper
from ribstudy.report import toy as summary
from ribstudy.toy import experiment, gradients, information, network
from ribstudy.toy.data import REGIONS, choose_marked, compose, load_digits, marker_shape
from ribstudy.toy.settings import ProbeSettings


@pytest.fixture(scope="module")
def settings():
    return load_settings("mini").toy


@pytest.fixture(scope="module")
def digits():
    return load_digits("test").take(np.arange(300))


@pytest.fixture(scope="module")
def scenes(settings, digits):
    return compose(digits, settings, marked=np.ones(len(digits), dtype=bool), seed=0)


def test_digits_are_complete_and_labelled():
    train, test = load_digits("train"), load_digits("test")
    assert (len(train), len(test)) == (11809, 2006)
    assert set(np.unique(train.labels)) == {0, 1}
    with pytest.raises(ValueError, match="known: train, test"):
        load_digits("validation")


def test_marker_shapes():
    assert marker_shape(1, size=5).all()
    assert marker_shape(0, size=5).sum(axis=1).tolist() == [1, 3, 5, 3, 1]


def test_marker_is_that_of_the_class_and_never_touches_the_digit(settings, digits, scenes):
    plain = compose(digits, settings, marked=np.zeros(len(digits), dtype=bool), seed=0)
    for image, marker, label in zip(plain.images, scenes.marker, scenes.labels, strict=True):
        rows, columns = np.nonzero(marker)
        box = marker[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        np.testing.assert_array_equal(box, marker_shape(label, size=settings.marker_size))
        around = binary_dilation(marker, np.ones((3, 3)))
        assert not (image[around] > 0).any()


def test_marker_is_all_that_differs_from_the_unmarked_image(settings, digits, scenes):
    plain = compose(digits, settings, marked=np.zeros(len(digits), dtype=bool), seed=0)
    np.testing.assert_array_equal(plain.images[~scenes.marker], scenes.images[~scenes.marker])
    assert (scenes.images[scenes.marker] == 1).all()
    other = compose(digits, settings, marked=scenes.marked, seed=0, marker_labels=1 - digits.labels)
    assert not (other.marker == scenes.marker).all(axis=(1, 2)).any()


def test_no_part_of_a_digit_is_cut_off(digits, scenes):
    np.testing.assert_array_equal(
        (scenes.images * ~scenes.marker * 255).round().sum(axis=(1, 2)), digits.images.sum(axis=(1, 2))
    )


def test_regions_are_disjoint_and_complete(scenes):
    assert tuple(scenes.regions) == REGIONS
    np.testing.assert_array_equal(np.sum([mask.astype(int) for mask in scenes.regions.values()], axis=0), 1)


def test_marker_rate_holds_in_each_class():
    labels = np.array([0] * 200 + [1] * 100)
    marked = choose_marked(labels, rate=0.1, seed=3)
    assert (marked[:200].sum(), marked[200:].sum()) == (20, 10)
    np.testing.assert_array_equal(marked, choose_marked(labels, rate=0.1, seed=3))
    assert (marked != choose_marked(labels, rate=0.1, seed=4)).any()


def test_data_depends_on_the_seed_alone(settings, digits, scenes):
    np.random.seed(7)  # noqa: NPY002  the global state must not matter
    again = compose(digits, settings, marked=scenes.marked, seed=0)
    np.testing.assert_array_equal(again.images, scenes.images)
    assert (compose(digits, settings, marked=scenes.marked, seed=1).images != scenes.images).any()


def test_too_small_a_canvas_is_refused():
    with pytest.raises(ValueError, match=r"toy\.canvas"):
        load_settings("mini", {"toy.canvas": 20})


@pytest.mark.parametrize("depth", [2, 5])
def test_first_gradient_map_is_uniform_up_to_the_border(settings, scenes, depth):
    net = network.build_net(settings.model_copy(update={"depth": depth}), num_outputs=1, seed=0)
    images, _ = experiment.as_tensors(scenes)
    maps = gradients.gradient_maps(net, images[:3], activation=network.ACTIVATIONS["sigmoid"])
    assert maps.shape == (depth + 2, 3, settings.canvas, settings.canvas)
    assert len(gradients.layer_names(depth)) == len(maps)
    np.testing.assert_allclose(maps[0], maps[0, 0, 0, 0], rtol=1e-4)
    assert maps[1].std() > 0


@pytest.mark.parametrize("name", ["sigmoid", "softmax", "tanh", "softplus"])
def test_last_activation_leaves_the_map_normalised_by_its_maximum(settings, scenes, name):
    activation = network.ACTIVATIONS[name]
    net = network.build_net(settings, num_outputs=activation.num_outputs, seed=0)
    images, _ = experiment.as_tensors(scenes)
    before, after = gradients.gradient_maps(net, images[:4], activation=activation)[-2:]
    assert not np.allclose(before, after)
    normalized = [gradients.normalize(maps, normalization="per_map") for maps in (before, after)]
    np.testing.assert_allclose(*normalized, atol=1e-5)
    common = [gradients.normalize(maps, normalization="common") for maps in (before, after)]
    assert not np.allclose(*common, atol=1e-3)


def test_softmax_probability_is_the_sigmoid_of_the_difference():
    activation = network.ACTIVATIONS["softmax"]
    outputs = torch.tensor([[1.0, 3.0], [0.5, -2.0]])
    torch.testing.assert_close(activation.squash(activation.evidence(outputs)), outputs.softmax(dim=1)[:, 1])


def test_rib_loss_pulls_each_class_its_own_way_up_to_the_margin():
    outputs = torch.tensor([[3.0], [-2.0], [9.0]])
    loss = network.rib_loss(outputs, torch.tensor([1, 0, 1]), margin=5.0)
    assert loss.item() == pytest.approx(-(3.0 + 2.0 + 5.0) / 3)


def test_high_gradient_ratio_by_hand():
    maps = np.array([[[1.0, 0.4], [0.2, 0.0]], [[4.0, 2.0], [1.0, 0.0]]])
    left = np.array([[[True, False], [True, False]]] * 2)

    def ratio(normalization):
        return gradients.high_gradient_ratio(maps, left, threshold=0.3, normalization=normalization)

    # per map: 1.0, 0.2 and 1.0, 0.25 in the left column; common (by 4): 0.25, 0.05 and 1.0, 0.25
    assert ratio("per_map").tolist() == [0.5, 0.5]
    assert ratio("common").tolist() == [0.0, 0.5]
    assert gradients.high_gradient_ratio(maps, ~left, threshold=0.3, normalization="per_map").tolist() == [0.5, 0.5]
    zero = gradients.high_gradient_ratio(np.zeros_like(maps), left, threshold=0.3, normalization="per_map")
    assert zero.tolist() == [0.0, 0.0]
    with pytest.raises(ValueError, match="per_map, common"):
        ratio("none")


def test_mean_ratios_are_ordered_by_normalisation_layer_and_region():
    maps = np.zeros((2, 1, 2, 2))
    maps[0, 0, 0, 0] = 1.0  # layer 0 sees the digit alone, layer 1 everything
    maps[1] = 1.0
    digit = np.array([[[True, False], [False, False]]])
    marker = np.array([[[False, True], [False, False]]])
    regions = dict(zip(REGIONS, (digit, marker, ~(digit | marker)), strict=True))
    ratios = gradients.mean_ratios(maps, regions, threshold=0.3)
    assert ratios.tolist() == [[[1, 0, 0], [1, 1, 1]]] * 2


def test_probes_find_a_copied_label_and_nothing_in_noise():
    rng = np.random.default_rng(0)
    labels = rng.integers(2, size=(1500, 2)).astype(np.float32)
    noise = rng.normal(size=(1500, 6)).astype(np.float32)
    features = torch.from_numpy(np.concatenate([noise, 3 * labels[:, :1]], axis=1))
    split = information.Split(*np.split(np.arange(1500), [600, 900]))
    probe = ProbeSettings(grid=1, placements=1, hidden=8, epochs=30, batch_size=64, learning_rate=0.3, weight_decay=0.0)
    bits = information.information_bits(features, labels, split=split, settings=probe, seed=0)
    assert (bits[0] > 0.95).all()
    assert (bits[1] < 0.03).all()


def test_entropy_and_pooling_by_hand():
    labels = np.array([[1, 1], [0, 1], [0, 1], [0, 1]])
    np.testing.assert_allclose(information.entropy_bits(labels), [0.811278, 0.0], atol=1e-6)
    values = torch.arange(16.0).reshape(1, 1, 4, 4)
    assert information.pooled(values, grid=2).tolist() == [[2.5, 4.5, 10.5, 12.5, 5.0, 7.0, 13.0, 15.0]]


def test_no_digit_is_on_both_sides_of_the_probes_split():
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
    return experiment.run_seed(load_settings("mini", TINY).toy, 0)


def test_a_seed_gives_the_same_numbers_again_and_leaves_the_random_state_alone(tiny_run):
    torch.manual_seed(5)
    state = torch.get_rng_state()
    again = experiment.run_seed(load_settings("mini", TINY).toy, 0)
    assert torch.equal(state, torch.get_rng_state())
    assert again.keys() == tiny_run.keys()
    for name, values in tiny_run.items():
        np.testing.assert_array_equal(again[name], values, err_msg=name)


def test_a_seeds_arrays_have_the_shapes_that_are_promised(tiny_run):
    layers = len(gradients.layer_names(3))
    assert tiny_run["hgr"].shape == (len(experiment.NETWORKS), len(gradients.NORMALIZATIONS), layers, len(REGIONS))
    assert tiny_run["hgr_by_threshold"].shape == (
        len(experiment.THRESHOLDS),
        len(gradients.NORMALIZATIONS),
        layers,
        len(REGIONS),
    )
    assert tiny_run["bits"].shape == (len(experiment.reading_names(3)), len(experiment.LABELS), len(information.PROBES))
    assert tiny_run["accuracy"].shape == tiny_run["blind"].shape == (len(experiment.NETWORKS),)
    assert all(np.isfinite(values).all() for values in tiny_run.values())


def test_intervals_over_seeds_by_hand():
    # t(0.975, 2 degrees) = 4.302653; standard error of 1, 2, 3 is 1 / sqrt(3)
    estimate = summary.estimate(np.array([1.0, 2.0, 3.0]))
    half = 4.302653 / np.sqrt(3)
    assert (estimate.value, estimate.low, estimate.high, estimate.n) == pytest.approx((2.0, 2.0 - half, 2.0 + half, 3))
    assert summary.estimate(np.array([1.0])).low is None


def test_extra_fall_is_the_markers_fall_less_the_digits():
    hgr = np.zeros((len(experiment.NETWORKS), len(gradients.NORMALIZATIONS), 4, len(REGIONS)))
    hgr[0, 0, -3] = [0.6, 0.9, 0.1]  # the last convolution
    hgr[0, 0, -2] = [0.5, 0.7, 0.1]  # before the activation
    hgr[0, 0, -1] = [0.4, 0.1, 0.1]  # after it
    runs = [{"hgr": hgr}]
    assert summary.extra_fall(runs) == pytest.approx([0.8 - 0.2])
    assert summary.extra_fall(runs, reading="sigmoid, read before it") == pytest.approx([0.2 - 0.1])
    assert summary.hgr_curves(runs)[0, :, 1].tolist() == [0.0, 0.9, 0.1]


def test_paper_values_of_the_toy_experiment():
    rows = paper.values("toy_hgr")
    assert len(rows) == 18
    assert summary.paper_curve().loc["non_discriminative", "G5"] == 0.88
    with pytest.raises(ValueError, match="toy_hgr"):
        paper.values("toy_hrg")
