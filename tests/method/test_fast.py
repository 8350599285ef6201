"""The fast mode and the other ways to save steps, each against its slow version."""

import copy

import pytest
import torch
from helpers.adaptation import LABELS, QUIET, inputs
from helpers.networks import tiny_net
from helpers.slow_adaptation import slow_adapt

from ribstudy.bench.operations import Workload, count_flop, count_step, study_flop
from ribstudy.method.line import maps_and_change
from ribstudy.method.maps import merge_mirrored
from ribstudy.method.rib import adapt, in_plain_steps, num_updates
from ribstudy.method.settings import RibSettings, rate_factors
from ribstudy.models.cam_net import build_cam_net

RATE = 0.05
FAST = {"mode": "fast", "learning_rate": RATE, "margin": 1e9}


def test_one_step_is_as_long_as_all_together():
    """K = 3 has two updates, at the whole rate and at two thirds of it."""
    settings = RibSettings(mode="fast", iterations=3, poly_power=1.0)
    assert rate_factors(settings) == pytest.approx([1, 2 / 3])
    assert in_plain_steps(settings).learning_rate == pytest.approx(5 / 3 * settings.learning_rate)
    assert num_updates(settings) == 1
    assert in_plain_steps(RibSettings(iterations=3)) == RibSettings(iterations=3)


@pytest.mark.parametrize(
    "changes", [{}, {"direction": "gap"}, {"direction": "bce"}, {"objective": "bce"}, {"trained": "last_stage"}]
)
def test_the_fast_mode_equals_plain_settings_and_their_slow_version(changes):
    """One update at 5.2 times the rate, both maps summed, no auxiliary image, scale 1 in the loss."""
    fast = RibSettings(**FAST, **changes)
    length = sum((1 - k / 10) ** 0.9 for k in range(9))
    plain = RibSettings(
        **{"iterations": 1, "include_last": True, "learning_rate": length * RATE, "loss_scales": (1.0,), "spread_ratio": 1.0},
        **{"margin": 1e9, "margin_mode": "clamp", **changes},
    )
    views, aux = inputs(fast)
    found = adapt(tiny_net(), views, LABELS, [], fast)
    same = adapt(tiny_net(), views, LABELS, inputs(plain, num_aux=0)[1], plain)
    assert all(torch.equal(a, b) for a, b in zip(found.maps, same.maps, strict=True))
    expected, steps, stopped_by = slow_adapt(tiny_net(), views, LABELS, aux, plain.model_copy(update={"auxiliary": False}))
    assert (found.steps, found.stopped_by) == (steps, stopped_by) == (2, "iterations")
    for ours, theirs in zip(found.maps, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_the_fast_mode_costs_at_most_three_plain_cams_and_a_fifteenth_of_the_exact_mode():
    """ResNet-50 at four scales; the exact mode at the paper's settings, with 20 auxiliary images in each of its steps."""
    work = Workload(64, 80, 20, 96)
    net, settings = build_cam_net("resnet50", num_classes=20).eval(), RibSettings(mode="fast", spread_ratio=1.0)
    views, labels = [torch.rand(2, 3, *size) for size in work.view_sizes(settings.scales)], torch.eye(20)[3]
    cam, _ = count_flop(lambda: [net(view) for view in views])
    fast, _ = count_flop(lambda: adapt(net, views, labels, [], settings))
    assert fast <= 3 * cam
    step = count_step(Workload(375, 500, 20, 512))
    of_cam = step.own_frozen + step.own_trained
    assert study_flop(step, 10) >= 15 * (fast / cam) * of_cam


@pytest.mark.parametrize("objective", ["rib", "bce"])
def test_if_only_the_classifier_adapts_its_input_is_computed_once(objective):
    settings = RibSettings(**{**QUIET, "trained": "classifier", "iterations": 4, "objective": objective})
    views, aux = inputs(settings)
    net, calls = tiny_net(), []
    net.trained.register_forward_hook(lambda *_: calls.append(1))
    adapt(net, views, LABELS, aux, settings)
    assert len(calls) == len(views) + 3  # and the auxiliary images of each update
    expected, _, _ = slow_adapt(tiny_net(), views, LABELS, aux, settings)
    for ours, theirs in zip(adapt(tiny_net(), views, LABELS, aux, settings).maps, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_a_random_step_is_as_long_as_the_gradient_in_every_tensor_and_repeatable():
    moved = {}
    for direction in ("gradient", "random"):
        settings = RibSettings(**FAST, direction=direction, weight_decay=0.0)
        net, views = tiny_net(), inputs(RibSettings(**FAST))[0]
        seen = []
        net.trained[0].register_forward_hook(lambda *_, seen=seen, net=net: seen.append(copy.deepcopy(net.state_dict())))
        result = adapt(net, views, LABELS, [], settings)
        again = adapt(tiny_net(), views, LABELS, [], settings)
        assert torch.equal(result.maps[0], again.maps[0])
        names = dict(net.trained.named_parameters(prefix="trained"))
        moved[direction] = {name: seen[-1][name] - seen[0][name] for name in names}
    for name, own in moved["gradient"].items():
        assert moved["random"][name].norm().item() == pytest.approx(own.norm().item(), rel=1e-4)
        assert not torch.allclose(moved["random"][name], own, rtol=0.1)


def test_maps_along_a_line_are_those_of_tiny_steps():
    """For a path so short that the network is linear in it, every map equals the map at the weights moved by hand."""
    settings = RibSettings(**{**FAST, "path": "line", "learning_rate": 1e-5, "iterations": 4, "weight_decay": 0.0})
    views, _ = inputs(settings)
    net = tiny_net()
    before = copy.deepcopy(net.state_dict())
    found = adapt(net, views, LABELS, [], settings)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert [len(maps) for maps in found.iterates] == [4] * 4
    shares = torch.tensor([0.0, *rate_factors(settings)]).cumsum(0)
    first = merge_mirrored(net(views[0]).detach())
    for share, ours in zip(shares.tolist(), found.iterates[0], strict=True):
        if share == 0:
            torch.testing.assert_close(ours, first)
            continue
        step = RibSettings(**{**FAST, "learning_rate": 1e-5 * share, "iterations": 2, "weight_decay": 0.0})
        theirs = adapt(net, views, LABELS, [], step).iterates[0][1]
        moved = (theirs - first).abs().max().item()
        torch.testing.assert_close(ours - first, theirs - first, rtol=0, atol=0.1 * moved)


def test_the_change_of_maps_is_their_derivative_also_with_fast_convolutions():
    torch.manual_seed(0)
    net = build_cam_net("tf_efficientnet_lite0", num_classes=3).eval().compute_with().double()
    features = net.features(torch.rand(1, 3, 64, 64, dtype=torch.float64))
    path = {name: torch.randn_like(p) * p.abs().mean() for name, p in net.trained.named_parameters(prefix="trained")}
    signed, change = maps_and_change(net, features, path)
    torch.testing.assert_close(signed, net.maps(features).detach())
    sides = []
    for sign in (-1e-6, 1e-6):  # so small that hardly a ReLU changes its side
        moved = copy.deepcopy(net)
        moved.load_state_dict({**net.state_dict(), **{name: net.get_parameter(name) + sign * d for name, d in path.items()}})
        sides.append(moved.maps(features).detach())
    largest = change.abs().max().item()
    torch.testing.assert_close(change, (sides[1] - sides[0]) / 2e-6, rtol=0, atol=0.02 * largest)  # maps are float32
