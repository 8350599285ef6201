"""The adaptation against a slow version, its stops, and the state of the network afterwards."""

import copy
import itertools
import shutil

import pytest
import torch
from helpers.adaptation import LABELS, QUIET, inputs
from helpers.networks import negative_net, randomize_statistics, tiny_net
from helpers.slow_adaptation import slow_adapt

from ribstudy.method.maps import aggregate
from ribstudy.method.rib import RibResult, adapt, adapt_features
from ribstudy.method.settings import RibSettings
from ribstudy.models.backbones import build_backbone
from ribstudy.models.batch_norm import batch_norms
from ribstudy.models.cam_net import CamNet, build_cam_net


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"margin": 1.0},
        {"spread_ratio": 0.05, "spread_threshold": 0.6},
        {"momentum": 0.9},
        {"denominator": "region"},
        {"mode": "paper", "margin": 0.2},
        {"iterations": 1},
        {"scales": (1.0, 0.5), "loss_scales": (1.0,)},
        {"spread_ratio": 0.05, "spread_threshold": 0.6, "spread_scales": "all"},
        {"gndrp_classes": 1},
        {"pooling": "gap"},
        {"aggregation": "normalized"},
        {"aggregation": "last"},
        {"aggregation": "last", "include_last": True},
        {"objective": "bce"},
        {"objective": "bce", "pooling": "gap", "margin_mode": "clamp", "margin": 0.1},
        {"trained": "last_stage"},
        {"trained": "classifier", "momentum": 0.9},
        {"batch_norm": "frozen"},
        {"batch_norm": "batch"},
        {"batch_norm": "batch", "trained": "last_stage"},
        {"empty_region": "pool"},
        {"auxiliary": False},
        {"anchor": 3.0},
        {"direction": "gap"},
        {"direction": "bce", "trained": "last_stage"},
        {"stop_at_peak": True, "learning_rate": 0.6},
    ],
    ids=str,
)
def test_equals_a_slow_obvious_implementation(changes):
    settings = RibSettings(**{**QUIET, "iterations": 4, **changes})
    views, aux = inputs(settings)
    expected, steps, stopped_by = slow_adapt(tiny_net(), views, LABELS, aux, settings)
    result = adapt(tiny_net(), views, LABELS, aux, settings)
    assert (result.steps, result.stopped_by) == (steps, stopped_by)
    for ours, theirs in zip(result.maps, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_after_a_spread_stop_scale_1_has_one_map_more():
    settings = RibSettings(**{**QUIET, "spread_ratio": 0.0, "spread_threshold": 0.0})
    views, aux = inputs(settings)
    result = adapt(tiny_net(), views, LABELS, aux, settings)
    assert result.stopped_by == "spread"
    assert [len(iterates) for iterates in result.iterates] == [2, 1, 1, 1]


@pytest.mark.parametrize("empty_region", ["skip", "pool"])
def test_a_map_that_is_negative_everywhere(empty_region):
    settings = RibSettings(**{**QUIET, "iterations": 3, "empty_region": empty_region, "scales": (1.0,), "loss_scales": (1.0,)})
    labels = torch.tensor([1.0, 0.0, 0.0])
    views, aux = inputs(settings, num_aux=0)
    result = adapt(negative_net(), views, labels, aux, settings)
    expected, _, _ = slow_adapt(negative_net(), views, labels, aux, settings)
    torch.testing.assert_close(result.maps[0], expected[0], rtol=1e-4, atol=1e-6)
    assert (result.scores[0] == 0) == (empty_region == "skip")  # if skipped, there is no logit that could raise the map
    assert (result.scores[-1] > result.scores[0]) == (empty_region == "pool")


def test_features_instead_of_images_give_the_same_result():
    settings = RibSettings(**QUIET)
    views, aux = inputs(settings)
    net = tiny_net()
    features = [net.features(view) for view in views]
    aux_features = [(net.features(images), labels) for images, labels in aux]
    ours = adapt_features(net, features, LABELS, aux_features, settings)
    for a, b in zip(ours.maps, adapt(net, views, LABELS, aux, settings).maps, strict=True):
        assert torch.equal(a, b)


def test_bf16_is_close_and_uses_the_weights_of_its_step():
    """Autocast caches copies of the weights while it is open; with a copy from before an update, the maps would not change."""
    settings = RibSettings(**{**QUIET, "iterations": 3, "learning_rate": 0.02})
    views, aux = inputs(settings)
    exact = adapt(tiny_net(), views, LABELS, aux, settings)
    near = adapt(tiny_net().compute_with(precision="bf16"), views, LABELS, aux, settings)
    for a, b in zip(exact.maps, near.maps, strict=True):
        assert b.dtype == torch.float32
        assert (a - b).abs().max() < 0.03 * a.max()
    moved = (exact.iterates[0][-1] - exact.iterates[0][0]).abs().max()
    assert (near.iterates[0][-1] - near.iterates[0][0]).abs().max() > 0.5 * moved


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on a CPU")
def test_a_compiled_network_gives_the_same_maps_at_all_sizes():
    two_sizes = {"scales": (1.0, 0.5), "loss_scales": (1.0, 0.5)}  # each size is compiled on its own, for seconds
    settings = RibSettings(**{**QUIET, "iterations": 3, **two_sizes})
    views, aux = inputs(settings)
    exact = adapt(tiny_net(), views, LABELS, aux, settings)
    compiled = adapt(tiny_net().compute_with(compile=True), views, LABELS, aux, settings)
    for ours, theirs in zip(compiled.maps, exact.maps, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_adaptation_raises_the_score_and_the_first_map_is_the_cam():
    settings = RibSettings(**{**QUIET, "iterations": 5, "learning_rate": 0.002})
    views, aux = inputs(settings)
    net = tiny_net()
    result = adapt(net, views, LABELS, aux, settings)
    assert result.scores == sorted(result.scores)
    plain, mirrored = net(views[0]).detach().relu()
    torch.testing.assert_close(result.iterates[0][0], plain + mirrored.flip(-1))


ADAPTED = [{}, {"trained": "classifier"}, {"trained": "last_stage", "batch_norm": "batch"}, {"batch_norm": "frozen"}]


def with_gradients(net):
    for parameter in net.parameters():
        parameter.grad = torch.full_like(parameter, 2.0)
    return net


def with_batch_norm_in_training(net):
    net.trained[1].train()
    return net


def with_mixed_modes(net):
    net.train().trained[0].eval()
    net.classifier.eval()
    return net


def without_tracking(net):
    net.trained[1].train().track_running_stats = False
    return net


STATES = {
    "just built": lambda net: net,
    "train": lambda net: net.train(),
    "eval": lambda net: net.eval(),
    "mixed modes": with_mixed_modes,
    "batch norm in training mode": with_batch_norm_in_training,
    "statistics not tracked": without_tracking,
    "no parameter requires a gradient": lambda net: net.requires_grad_(False),
    "every parameter requires a gradient": lambda net: net.requires_grad_(True),
    "gradients from before": with_gradients,
}


def state_of(net):
    """Everything that an adaptation may change: tensors, and modes and flags by name."""
    gradients = {f"gradient of {name}": p.grad for name, p in net.named_parameters() if p.grad is not None}
    modes = {name: (module.training, getattr(module, "track_running_stats", None)) for name, module in net.named_modules()}
    requires_grad = {name: p.requires_grad for name, p in net.named_parameters()}
    return copy.deepcopy({**net.state_dict(), **gradients}), modes, requires_grad


def assert_same_state(net, before):
    tensors, *flags = state_of(net)
    assert tensors.keys() == before[0].keys()
    assert all(torch.equal(value, before[0][name]) for name, value in tensors.items())
    assert flags == list(before[1:])


def with_labels(made):
    views, aux = made
    return views, LABELS, aux


@pytest.mark.parametrize("changes", ADAPTED, ids=str)
@pytest.mark.parametrize("state", STATES)
def test_the_network_is_used_as_in_evaluation_and_left_as_it_was(state, changes):
    settings = RibSettings(**{**QUIET, "iterations": 4, **changes})
    views, aux = inputs(settings)
    expected = adapt(tiny_net().eval(), views, LABELS, aux, settings)
    net = STATES[state](tiny_net())
    before = state_of(net)
    result = adapt(net, views, LABELS, aux, settings)
    assert_same_state(net, before)
    assert all(torch.equal(a, b) for a, b in zip(result.maps, expected.maps, strict=True))
    assert not torch.equal(result.iterates[0][0], result.iterates[0][-1])


def test_a_caller_in_inference_mode_gets_the_same_maps():
    settings = RibSettings(**QUIET)
    expected = adapt(tiny_net(), *with_labels(inputs(settings)), settings)
    net = tiny_net()
    before = state_of(net)
    with torch.inference_mode():
        result = adapt(net, *with_labels(inputs(settings)), settings)
    assert_same_state(net, before)
    assert all(torch.equal(a, b) for a, b in zip(result.maps, expected.maps, strict=True))


def test_any_value_but_zero_is_a_label():
    settings = RibSettings(**QUIET)
    views, aux = inputs(settings)
    expected = adapt(tiny_net(), views, LABELS, aux, settings)
    counts = [(images, 3 * labels) for images, labels in aux]
    result = adapt(tiny_net(), views, 2 * LABELS, counts, settings)
    assert all(torch.equal(a, b) for a, b in zip(result.maps, expected.maps, strict=True))


@pytest.mark.parametrize("changes", ADAPTED, ids=str)
@pytest.mark.parametrize("state", STATES)
def test_the_network_is_restored_when_an_exception_passes_through(state, changes):
    settings = RibSettings(**{**QUIET, **changes})
    views, aux = inputs(settings)
    net = STATES[state](tiny_net())
    before = state_of(net)

    def broken_batches():
        yield from aux[:2]
        raise OSError("disk gone")

    with pytest.raises(OSError, match="disk gone"):
        adapt(net, views, LABELS, broken_batches(), settings)
    assert_same_state(net, before)
    net.classifier.register_forward_hook(lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        adapt(net, views, LABELS, aux, settings)
    assert_same_state(net, before)


@pytest.mark.parametrize("state", ["just built", "batch norm in training mode"])
def test_the_frozen_part_uses_its_running_statistics_too(state):
    settings = RibSettings(**{**QUIET, "iterations": 2, "learning_rate": 1e-4, "scales": (1.0,), "loss_scales": (1.0,)})
    views, aux = inputs(settings)
    net = build_cam_net("tf_efficientnet_lite0", num_classes=3)
    randomize_statistics(net)
    expected = adapt(copy.deepcopy(net).eval(), views, LABELS, aux, settings)
    for norm in batch_norms(net):
        norm.train(state != "just built")
    before = state_of(net)
    result = adapt(net, views, LABELS, aux, settings)
    assert_same_state(net, before)
    assert torch.equal(result.maps[0], expected.maps[0])


def test_gradients_are_computed_under_no_grad_too():
    settings = RibSettings(**QUIET)
    views, aux = inputs(settings)
    expected = adapt(tiny_net(), views, LABELS, aux, settings)
    with torch.no_grad():
        result = adapt(tiny_net(), views, LABELS, aux, settings)
        assert not torch.is_grad_enabled()
    assert all(torch.equal(a, b) for a, b in zip(result.maps, expected.maps, strict=True))


@pytest.mark.parametrize("name", ["resnet50", "tf_efficientnet_lite0"])
def test_the_last_stage_is_a_part_of_the_trained_part(name):
    """Its modules are in the state dict only once."""
    backbone = build_backbone(name, None)
    all_weights = {id(p) for p in backbone.trained.parameters()}
    last = {id(p) for module in backbone.last_stage for p in module.parameters()}
    assert last < all_weights
    assert not any("last_stage" in key for key in CamNet(backbone, 3).state_dict())


def test_without_auxiliary_images():
    settings = RibSettings(**{**QUIET, "iterations": 3})
    views, aux = inputs(settings, num_aux=0)
    expected, _, _ = slow_adapt(tiny_net(), views, LABELS, inputs(settings, num_aux=0)[1], settings)
    torch.testing.assert_close(adapt(tiny_net(), views, LABELS, aux, settings).maps[0], expected[0])


def test_a_diverged_adaptation_is_an_error():
    settings = RibSettings(**{**QUIET, "learning_rate": 1e12})
    views, aux = inputs(settings)
    with pytest.raises(FloatingPointError, match="diverged at learning rate 1000000000000"):
        adapt(tiny_net(), views, LABELS, aux, settings)


def test_the_modes_are_the_documented_differences():
    code, paper = RibSettings(), RibSettings(mode="paper")
    different = {name for name, value in code.model_dump().items() if value != getattr(paper, name)}
    assert different == {"denominator", "margin_mode", "spread_ratio", "include_last"}
    assert RibSettings(mode="paper", denominator="map").denominator == "map"


def test_bad_input_is_named():
    settings = RibSettings(**QUIET)
    views, aux = inputs(settings)
    net = tiny_net()
    with pytest.raises(ValueError, match="3 views for 4 scales"):
        adapt(net, views[:3], LABELS, aux, settings)
    with pytest.raises(ValueError, match="no label"):
        adapt(net, views, torch.zeros(3), aux, settings)
    with pytest.raises(ValueError, match="labels have shape"):
        adapt(net, views, torch.ones(4), aux, settings)
    with pytest.raises(ValueError, match="ended after 2 of 9"):
        adapt(net, views, LABELS, itertools.islice(aux, 2), settings)
    with torch.inference_mode():
        net = tiny_net()
    with pytest.raises(ValueError, match=r"the network was built in torch\.inference_mode"):
        adapt(net, views, LABELS, aux, settings)


def test_no_more_auxiliary_batches_are_drawn_than_updates():
    settings = RibSettings(**{**QUIET, "iterations": 4})
    views, aux = inputs(settings)
    batches = iter(aux)
    adapt(tiny_net(), views, LABELS, batches, settings)
    assert len(list(batches)) == 1


def test_the_cam_is_the_first_map_of_every_scale():
    settings = RibSettings(**QUIET)
    views, aux = inputs(settings)
    cam = adapt(tiny_net(), views, LABELS, aux, settings).cam
    single = adapt(tiny_net(), views, LABELS, aux, RibSettings(**{**QUIET, "iterations": 1})).maps
    assert all(torch.equal(a, b) for a, b in zip(cam, single, strict=True))


def test_an_unknown_aggregation_is_refused():
    maps = torch.ones(2, 1, 3, 3)
    with pytest.raises(ValueError, match="aggregation 'mean' is unknown; known: raw, normalized, last"):
        aggregate(maps, "mean")
    with pytest.raises(ValueError, match="aggregation 'mean' is unknown"):
        RibResult(iterates=[list(maps)], aggregation="mean").maps  # noqa: B018
