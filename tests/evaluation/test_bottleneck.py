"""What the chapter on the bottleneck measures: hand-computed cases, and that measuring changes nothing."""

from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.networks import tiny_net

from ribstudy import datasets
from ribstudy.config import load_settings
from ribstudy.evaluation import bottleneck
from ribstudy.evaluation.bottleneck import HGR_THRESHOLDS, OUTPUTS
from ribstudy.method.rib import adapt_features, rib_unit
from ribstudy.method.settings import RibSettings
from ribstudy.models.cam_net import build_cam_net
from ribstudy.stages import Run, execute
from ribstudy.stages.bottleneck import BOTTLENECK
from ribstudy.stages.maps import RIB
from ribstudy.store import Store

SETTINGS = RibSettings(iterations=3, learning_rate=0.05, scales=(1.0,), loss_scales=(1.0,), spread_ratio=1.0)


@pytest.fixture
def case():
    """A small network, an image with two of three classes, and what its adaptation needs."""
    net, generator = tiny_net(), torch.Generator().manual_seed(0)
    plain = torch.randn(3, 24, 32, generator=generator)
    view = torch.stack([plain, plain.flip(-1)])
    truth = np.zeros((24, 32), np.uint8)
    truth[4:12, 4:20], truth[14:20, 10:30], truth[0] = 1, 3, 255
    aux = [(net.features(torch.randn(2, 3, 16, 16, generator=generator)), torch.eye(3)[[1, 1]]) for _ in range(2)]
    return net, view, [net.features(view)], np.array([1, 0, 1], bool), truth, aux


@pytest.mark.parametrize(
    ("backbone", "stages"),
    [
        ("resnet50", ["stem", *(f"stage {number}" for number in range(1, 5))]),
        ("tf_efficientnet_lite0", ["stem", *(f"stage {number}" for number in range(7)), "head"]),
    ],
)
def test_every_stage_of_a_backbone_is_a_depth_and_together_they_are_the_network(backbone, stages):
    net = build_cam_net(backbone, num_classes=2).eval()
    assert bottleneck.depth_names(net) == [*stages, *OUTPUTS]
    image = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    values = image
    with torch.no_grad():
        for modules in bottleneck._stages(net).values():
            for module in modules:
                values = module(values)
        assert torch.equal(net.classifier(values), net(image))
    gradients = bottleneck.depth_gradients(net, image, torch.tensor([1.0, 0.0]))
    assert gradients.shape == (len(stages) + len(OUTPUTS), 64, 64)
    assert (gradients.max(axis=(1, 2)) > 0).all()


def test_gradients_are_slopes(case):
    """The logits' map is the slope of the pooled class map: moving the image along one pixel's gradient shows it."""
    net, view, _, label, *_ = case
    net = net.double()
    image, labels = view[:1].double(), torch.as_tensor(label, dtype=torch.float64)
    gradients = bottleneck.depth_gradients(net, image, labels)
    step, slopes = 1e-5, []
    for colour in range(3):
        moved = [image.clone(), image.clone()]
        moved[0][0, colour, 9, 13] += step
        moved[1][0, colour, 9, 13] -= step
        up, down = (net.classifier(net.trained(net.frozen(m))).mean(dim=(2, 3))[0, [0, 2]].sum().item() for m in moved)
        slopes.append((up - down) / (2 * step))
    at = bottleneck.depth_names(net).index("logits")
    assert gradients[at, 9, 13] == pytest.approx(np.linalg.norm(slopes), rel=1e-4)


def test_a_sigmoid_of_one_logit_changes_no_ratio(case):
    net, view, *_ = case
    gradients = bottleneck.depth_gradients(net, view[:1], torch.tensor([0.0, 1.0, 0.0]))
    regions = np.ones((3, 24, 32), bool)
    counts = bottleneck.high_counts(gradients, regions)
    assert np.array_equal(counts[-1], counts[-2])
    assert not np.allclose(gradients[-1], gradients[-2])


def test_regions_by_hand():
    truth = np.array([[0, 1, 1, 255], [0, 3, 3, 2]], np.uint8)
    maps = np.array([[[0.9, 0.9, 0.1, 0.9], [0.9] * 4], [[0.9] * 4, [0.9, 0.3, 0.31, 0.9]]])  # of classes 0 and 2
    inside, rest, background = bottleneck.region_masks(truth, np.array([0, 2]), maps, 0.3)
    assert inside.tolist() == [[False, True, False, False], [False, False, True, False]]
    assert rest.tolist() == [[False, False, True, False], [False, True, False, False]]
    assert background.tolist() == [[True, False, False, False], [True, False, False, False]]


def test_high_counts_by_hand():
    gradients = np.array([[[10.0, 4.0], [3.0, 1.0]], [[0.0, 0.0], [0.0, 0.0]]])
    regions = np.array([[[1, 1], [0, 0]], [[0, 0], [1, 1]], [[0, 0], [0, 0]]], bool)
    counts = bottleneck.high_counts(gradients, regions, (0.3, 0.4))
    assert counts.tolist() == [[[2, 1], [0, 0], [0, 0]], [[0, 0]] * 3]  # 0.3 and 0.4 do not exceed themselves
    assert np.array_equal(bottleneck.high_counts(1000 * gradients, regions, (0.3, 0.4)), counts)


def test_ratio_of_a_region_that_is_not_there_is_nan():
    high = np.zeros((2, 1, 3, 1), np.int64)
    high[1, 0, 0] = 3
    found = bottleneck.hgr([{"pixels": np.array([4, 2, 0]), "high": high}])
    assert found[0, 1, 0, 0, 0] == 0.75
    assert found[0, 0, 0, 1, 0] == 0
    assert np.isnan(found[0, :, :, 2]).all()


def test_last_fall_by_hand():
    ratios = np.array([[[0.9, 0.8, 0.5], [0.7, 0.3, 0.1]]])  # the inside loses 0.2, the rest 0.5
    assert bottleneck.last_fall(ratios, first="head", second="logits", depths=["head", "logits"]) == pytest.approx([0.3])


def test_measuring_leaves_the_network_and_the_adaptation_as_they_are(case):
    net, view, features, label, truth, aux = case
    before = {name: value.clone() for name, value in net.state_dict().items()}
    unit = bottleneck.bottleneck_unit(net, view, features, label, truth, iter(aux), SETTINGS)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(parameter.grad is None for parameter in net.parameters())

    labels = torch.as_tensor(label, dtype=torch.float32)
    plain = rib_unit(adapt_features(net, features, labels, iter(aux), SETTINGS), label, truth.shape)
    # A score of RIB sums the logits of the image's classes over both views; here is their mean.
    assert 2 * unit["gndrp"][:, label].sum(axis=1) == pytest.approx(plain["scores"], rel=1e-5)
    assert unit["gap"].shape == unit["gndrp"].shape == (3, 3)
    assert np.array_equal(unit["gap"][:, ~label], unit["gndrp"][:, ~label])


def test_after_is_the_last_state_whose_map_counts(case):
    net, view, features, label, truth, aux = case
    unit = bottleneck.bottleneck_unit(net, view, features, label, truth, iter(aux), SETTINGS)
    first = bottleneck.bottleneck_unit(
        net, view, features, label, truth, iter(aux), SETTINGS.model_copy(update={"iterations": 1})
    )
    assert np.array_equal(first["high"][0], first["high"][1])
    assert np.array_equal(first["high"][0], unit["high"][0])
    assert not np.array_equal(unit["high"][0], unit["high"][1])
    assert (unit["high"] <= unit["pixels"][:, None]).all()
    assert unit["pixels"][0] + unit["pixels"][1] == ((truth > 0) & (truth < 255)).sum()


def test_an_image_without_a_class_has_its_label_alone(case):
    net, view, features, label, truth, aux = case
    assert list(bottleneck.bottleneck_unit(net, view, features, 0 * label, truth, iter(aux), SETTINGS)) == ["label"]


def test_logit_courses_by_hand():
    short = {"label": np.array([1, 0, 0]), "gap": np.array([[1.0, 0, 2]]), "gndrp": np.array([[0.5, 0, 2]])}
    long = {"label": np.array([1, 1, 0]), "gap": np.array([[1.0, 3, -1], [2, 6, 5]]), "gndrp": np.zeros((2, 3))}
    courses = bottleneck.logit_courses([short, long])
    assert courses["present"].tolist() == [[1, 1], [2, 4]]
    assert courses["present, GNDRP"].tolist() == [[0.5, 0.5], [0, 0]]
    assert courses["absent"].tolist() == [[1, 1], [-1, 5]]
    assert courses["highest absent"].tolist() == [[2, 2], [-1, 5]]


def test_logits_of_an_image_with_every_class_have_no_absent_ones():
    unit = {"label": np.ones(2), "gap": np.zeros((1, 2)), "gndrp": np.zeros((1, 2))}
    assert np.isnan(bottleneck.logit_courses([unit])["absent"]).all()


def test_painted_share_by_hand():
    truth = np.array([[0, 0, 0, 0, 2, 255]], np.uint8)
    assert bottleneck.painted_share(np.array([[2, 2, 1, 0, 2, 2]]), truth, 1) == 0.5
    assert np.isnan(bottleneck.painted_share(truth, np.full_like(truth, 2), 1))


class OneImage:
    def mask(self, name):
        return np.array([[1] + [0] * 15] * 16, np.uint8)


def test_leak_over_the_maps():
    """One position at stride 16: the map is the same everywhere, so all of it is painted where it passes the threshold."""
    unit = {"keys": np.array([0]), "size": np.array([16, 16]), "iterates_0": np.ones((2, 1, 1, 1), np.float32)}
    longer = {**unit, "iterates_0": np.ones((3, 1, 1, 1), np.float32)}
    found = bottleneck.leak(OneImage(), {"a": unit, "b": longer}, ["a", "b"], 0, cam=1.0, rib=0.5)
    assert found.cam.tolist() == [0, 0]
    assert found.rib.tolist() == [[1, 1, 1]] * 2
    assert found.extra.tolist() == [1, 1]
    assert found.growth.tolist() == [0, 0]
    only_short = bottleneck.leak(OneImage(), {"a": unit, "b": longer}, ["a"], 0, cam=1.0, rib=0.5)
    assert only_short.rib.tolist() == [[1, 1, 1]]  # as long as the others of its data set


def test_object_gains_by_hand():
    truth = np.array([[1, 1, 0, 255, 3]], np.uint8)
    first, second = np.array([[1, 0, 0, 1, 3]]), np.array([[1, 1, 1, 1, 0]])
    of_bird, of_car = bottleneck.object_gains(truth, np.array([0, 2]), first, second)
    assert of_bird == {"class": 0, "size": 0.4, "num_classes": 2, "first": 0.5, "second": pytest.approx(2 / 3)}
    assert (of_car["size"], of_car["first"], of_car["second"]) == (0.2, 1, 0)


def test_a_class_without_a_pixel_is_no_object():
    empty = np.zeros((2, 2), np.uint8)
    assert bottleneck.object_gains(empty, np.array([0]), empty, empty) == []


def test_rank_correlation_of_a_monotone_relation_is_one():
    table = pd.DataFrame({"image": list("aabbccdd"), "size": range(8), "gain": np.arange(8) ** 3})
    found = bottleneck.rank_correlation(table, "size", "gain")
    assert asdict(found) == pytest.approx({"value": 1, "low": 1, "high": 1, "n": 4})


def test_rank_correlation_of_one_value_has_none():
    table = pd.DataFrame({"image": list("abc"), "size": [1, 2, 3], "gain": [0.0, 0, 0]})
    found = bottleneck.rank_correlation(table, "size", "gain")
    assert np.isnan(found.value)
    assert found.low is None


def test_bootstrap_interval_is_that_of_the_normal_law_for_many_values():
    values = np.random.default_rng(1).normal(size=400)
    found = bottleneck.mean_estimate(np.append(values, np.nan))
    half = 1.96 * values.std() / 20
    assert found.value == pytest.approx(values.mean())
    assert (found.low, found.high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.01)
    assert found.n == 400


def test_bins_by_number_and_by_size():
    table = pd.DataFrame({"image": range(8), "size": np.arange(8) / 8, "number": [1, 2] * 4, "gain": [0.0, 1] * 4})
    by_number = bottleneck.binned_means(table, "number", "gain")
    assert by_number[["x", "mean", "n"]].to_numpy().tolist() == [[1, 0, 4], [2, 1, 4]]
    assert bottleneck.binned_means(table, "size", "gain", num_bins=2)["mean"].tolist() == [0.5, 0.5]


STAGE = {
    "data.minivoc": {"num_train": 3, "num_train_aug": 12, "num_val": 2, "image_size": 64, "seed": 1},
    "classifier.weights": None,
    "classifier.epochs": 1,
    "classifier.batch_size": 4,
    "classifier.crop_size": 64,
    "classifier.long_side": [64, 64],
    "auxiliary": {"batch_size": 2, "long_side": [64, 64], "crop_size": 64},
    "rib.iterations": 3,
    "infer": {"split": "train", "masked": True},
}


def test_the_stage_adapts_as_the_stage_rib_does(tmp_path):
    settings = load_settings("mini", {**STAGE, "data.root": str(tmp_path / "data")})
    run = Run(settings, Store(tmp_path / "results"), device="cpu")
    found, plain = execute(BOTTLENECK, run), execute(RIB, run)
    for name in run.items(RIB):
        unit, adapted = found.read_item(name), plain.read_item(name)
        shown = unit["label"] > 0
        assert np.flatnonzero(shown).tolist() == adapted["keys"].tolist()
        assert 2 * unit["gndrp"][: len(adapted["scores"]), shown].sum(axis=1) == pytest.approx(adapted["scores"], rel=1e-4)
        assert len(unit["gap"]) == len(adapted["iterates_0"])
        assert unit["high"].shape == (2, len(unit["depths"]), 3, len(HGR_THRESHOLDS))

    shown = datasets.open_dataset(settings.data, "train").class_names[int(plain.read_item(name)["keys"][0])]
    of_class = Run(settings.model_copy(update={"infer": settings.infer.model_copy(update={"class_name": shown})}), run.store)
    assert name in of_class.items(RIB)
    assert all(shown in np.array(datasets.class_names(settings.data))[plain.read_item(n)["keys"]] for n in of_class.items(RIB))
    with pytest.raises(ValueError, match="'boat' is no class of the data"):
        Run(settings.model_copy(update={"infer": settings.infer.model_copy(update={"class_name": "boat"})})).items(RIB)
