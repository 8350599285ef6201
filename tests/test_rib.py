import copy
import itertools

import pytest
import torch
from networks import tiny_net

from ribstudy.rib import RibSettings, adapt

# Learning rates that move a network of a few weights, and stops that stay out of the way.
QUIET = {"learning_rate": 0.05, "margin": 1e9, "spread_ratio": 1.0}
LABELS = torch.tensor([1.0, 0.0, 1.0])


def inputs(settings: RibSettings, seed: int = 0, num_aux: int = 2):
    generator = torch.Generator().manual_seed(seed)
    views = []
    for scale in settings.scales:
        plain = torch.randn(3, round(24 * scale), round(20 * scale), generator=generator)
        views.append(torch.stack([plain, plain.flip(-1)]))
    aux = [
        (torch.randn(num_aux, 3, 16, 16, generator=generator), torch.tensor([[0.0, 1.0, 0.0]] * num_aux))
        for _ in range(settings.iterations)
    ]
    return views, aux


def slow_gndrp(maps, labels, tau, denominator):
    rows = []
    for image, label in zip(maps, labels, strict=True):
        row = []
        for class_map, present in zip(image, label, strict=True):
            kept = torch.ones_like(class_map) if not present else ((class_map / class_map.max()) < tau).float().detach()
            divisor = class_map.numel() if denominator == "map" else max(kept.sum().item(), 1)
            row.append((class_map * kept).sum() / divisor)
        rows.append(torch.stack(row))
    return torch.stack(rows) if rows else labels


def slow_adapt(net, views, labels, aux, s: RibSettings):
    """The loop as the reference code has it: nothing cached, every scale with a graph, the useless last update done."""
    net = copy.deepcopy(net)
    sums = [0 for _ in views]
    velocity = {}
    for k in range(s.iterations):
        logits = []
        for i, (scale, view) in enumerate(zip(s.scales, views, strict=True)):
            maps = net(view)
            merged = (maps[0].relu() + maps[1].relu().flip(-1)).detach()
            sums[i] = sums[i] + merged
            if i == 0 and k > 0:
                present = [m / (m.max() + 1e-5) > s.spread_threshold for m, y in zip(merged, labels, strict=True) if y]
                if torch.stack(present).any(0).float().mean() > s.spread_ratio:
                    return sums, k + 1, "spread"
            if scale in s.loss_scales:
                logits.append(slow_gndrp(maps, labels.expand(2, -1), s.tau, s.denominator))
        own = sum((y * labels).sum() for y in logits)
        images, aux_labels = aux[k]
        aux_logits = slow_gndrp(net(images), aux_labels, s.tau, s.denominator)
        if s.margin_mode == "clamp":
            loss = -sum((y.clamp(max=s.margin) * labels).sum() for y in logits)
            loss = loss - (aux_logits.clamp(max=s.margin) * aux_labels).sum()
        else:
            loss = -own - (aux_logits * aux_labels).sum()
        net.zero_grad()
        loss.backward()
        factor = (1 - k / s.iterations) ** s.poly_power
        for name, parameter in net.named_parameters():
            if name.startswith("frozen"):
                continue
            rate = s.learning_rate * factor * (s.head_lr_factor if name.startswith("classifier") else 1)
            gradient = parameter.grad + s.weight_decay * parameter.detach()
            velocity[name] = gradient if name not in velocity else s.momentum * velocity[name] + gradient
            parameter.data -= rate * velocity[name]
        if s.margin_mode == "stop" and abs(own.item()) > s.margin:
            return sums, k + 1, "margin"
    if s.include_last:
        for i, view in enumerate(views):
            maps = net(view).detach()
            sums[i] = sums[i] + maps[0].relu() + maps[1].relu().flip(-1)
    return sums, s.iterations + s.include_last, "iterations"


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


def test_the_spread_stop_leaves_scale_one_a_map_ahead():
    settings = RibSettings(**{**QUIET, "spread_ratio": 0.0, "spread_threshold": 0.0})
    views, aux = inputs(settings)
    result = adapt(tiny_net(), views, LABELS, aux, settings)
    assert result.stopped_by == "spread"
    assert [len(iterates) for iterates in result.iterates] == [2, 1, 1, 1]


def test_adaptation_raises_the_score_and_the_first_map_is_the_cam():
    settings = RibSettings(**{**QUIET, "iterations": 5, "learning_rate": 0.002})
    views, aux = inputs(settings)
    net = tiny_net()
    result = adapt(net, views, LABELS, aux, settings)
    assert result.scores == sorted(result.scores)
    plain, mirrored = net(views[0]).detach().relu()
    torch.testing.assert_close(result.iterates[0][0], plain + mirrored.flip(-1))


def same_weights(net, before):
    return all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_weights_mode_and_gradients_are_restored():
    settings = RibSettings(**QUIET)
    views, aux = inputs(settings)
    net = tiny_net().train()
    before = copy.deepcopy(net.state_dict())
    first = adapt(net, views, LABELS, aux, settings)
    assert same_weights(net, before)
    assert net.training
    assert all(p.grad is None for p in net.parameters())
    second = adapt(net, views, LABELS, aux, settings)
    assert all(torch.equal(a, b) for a, b in zip(first.maps, second.maps, strict=True))


def test_weights_are_restored_when_an_exception_passes_through():
    settings = RibSettings(**QUIET)
    views, aux = inputs(settings)
    net = tiny_net()
    before = copy.deepcopy(net.state_dict())

    def broken_batches():
        yield from aux[:2]
        raise OSError("disk gone")

    with pytest.raises(OSError, match="disk gone"):
        adapt(net, views, LABELS, broken_batches(), settings)
    assert same_weights(net, before)


def test_without_auxiliary_images():
    settings = RibSettings(**{**QUIET, "iterations": 3})
    views, aux = inputs(settings, num_aux=0)
    expected, _, _ = slow_adapt(tiny_net(), views, LABELS, inputs(settings, num_aux=0)[1], settings)
    torch.testing.assert_close(adapt(tiny_net(), views, LABELS, aux, settings).maps[0], expected[0])


def test_a_diverged_adaptation_is_no_result():
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
