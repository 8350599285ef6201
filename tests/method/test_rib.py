import copy
import itertools
import shutil

import pytest
import torch
from helpers.adaptation import LABELS, QUIET, inputs
from helpers.networks import negative_net, tiny_net

from ribstudy.method.rib import RibSettings, adapt, adapt_features
from ribstudy.models import CamNet
from ribstudy.models.backbones import build_backbone


def slow_gndrp(maps, labels, s: RibSettings):
    rows = []
    for image, label in zip(maps, labels, strict=True):
        row = []
        for index, (class_map, present) in enumerate(zip(image, label, strict=True)):
            by_region = present and s.pooling == "gndrp" and (s.gndrp_classes is None or index < s.gndrp_classes)
            if s.empty_region == "pool" and class_map.max() <= 0:
                by_region = False
            kept = ((class_map / class_map.max()) < s.tau).float().detach() if by_region else torch.ones_like(class_map)
            divisor = class_map.numel() if s.denominator == "map" else max(kept.sum().item(), 1)
            row.append((class_map * kept).sum() / divisor)
        rows.append(torch.stack(row))
    return torch.stack(rows) if rows else labels


def slow_maps(net, images, s: RibSettings):
    """The tiny network layer by layer; with batch statistics its batch norm is written out."""
    convolution, norm, _ = net.trained
    values = convolution(net.frozen(images))
    mean, variance = norm.running_mean, norm.running_var
    if s.batch_norm == "batch" and len(images):
        mean, variance = values.mean(dim=(0, 2, 3)), values.var(dim=(0, 2, 3), unbiased=False)
    shape = (1, -1, 1, 1)
    values = (values - mean.view(shape)) / (variance.view(shape) + norm.eps).sqrt()
    return net.classifier((values * norm.weight.view(shape) + norm.bias.view(shape)).relu())


def log_likelihood(logits, labels):
    probabilities = 1 / (1 + (-logits).exp())
    return (labels * probabilities.log() + (1 - labels) * (1 - probabilities).log()).sum()


def is_adapted(name: str, s: RibSettings) -> bool:
    """By the tiny network's names: its batch norm, trained.1, is its last stage."""
    chosen = {"all": ("trained", "classifier"), "last_stage": ("trained.1", "classifier"), "classifier": ("classifier",)}
    return name.startswith(chosen[s.trained]) and not (s.batch_norm == "frozen" and name.startswith("trained.1"))


def slow_adapt(net, views, labels, aux, s: RibSettings):
    """The loop as the reference code has it: nothing cached, every scale with a graph, the useless last update done."""
    net = copy.deepcopy(net)
    sums = [0 for _ in views]
    velocity = {}
    for k in range(s.iterations):
        logits = []
        for i, (scale, view) in enumerate(zip(s.scales, views, strict=True)):
            maps = slow_maps(net, view, s)
            merged = (maps[0].relu() + maps[1].relu().flip(-1)).detach()
            normalized = torch.stack([m / (m.max() + 1e-5) for m in merged])
            sums[i] = merged if s.aggregation == "last" else sums[i] + (normalized if s.aggregation == "normalized" else merged)
            if i == 0:
                covered = (normalized[labels > 0] > s.spread_threshold).any(0).float().mean()
                has_spread = k > 0 and covered > s.spread_ratio
            if has_spread and ((i == 0 and s.spread_scales == "first") or i == len(views) - 1):
                return sums, k + 1, "spread"
            if scale in s.loss_scales:
                logits.append(slow_gndrp(maps, labels.expand(2, -1), s))
        own = sum((y * labels).sum() for y in logits)
        images, aux_labels = aux[k]
        aux_logits = slow_gndrp(slow_maps(net, images, s), aux_labels, s)
        if s.objective == "bce":
            own_labels = labels.expand(2, -1)
            loss = -sum(log_likelihood(y, own_labels) for y in logits) - log_likelihood(aux_logits, aux_labels)
        elif s.margin_mode == "clamp":
            loss = -sum((y.clamp(max=s.margin) * labels).sum() for y in logits)
            loss = loss - (aux_logits.clamp(max=s.margin) * aux_labels).sum()
        else:
            loss = -own - (aux_logits * aux_labels).sum()
        net.zero_grad()
        loss.backward()
        factor = (1 - k / s.iterations) ** s.poly_power
        for name, parameter in net.named_parameters():
            if not is_adapted(name, s):
                continue
            rate = s.learning_rate * factor * (s.head_lr_factor if name.startswith("classifier") else 1)
            gradient = parameter.grad + s.weight_decay * parameter.detach()
            velocity[name] = gradient if name not in velocity else s.momentum * velocity[name] + gradient
            parameter.data -= rate * velocity[name]
        if s.margin_mode == "stop" and abs(own.item()) > s.margin:
            return sums, k + 1, "margin"
    if s.include_last:
        for i, view in enumerate(views):
            maps = slow_maps(net, view, s).detach()
            sums[i] = (0 if s.aggregation == "last" else sums[i]) + maps[0].relu() + maps[1].relu().flip(-1)
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


@pytest.mark.parametrize("empty_region", ["skip", "pool"])
def test_a_map_that_is_negative_everywhere(empty_region):
    settings = RibSettings(**{**QUIET, "iterations": 3, "empty_region": empty_region, "scales": (1.0,), "loss_scales": (1.0,)})
    labels = torch.tensor([1.0, 0.0, 0.0])
    views, aux = inputs(settings, num_aux=0)
    result = adapt(negative_net(), views, labels, aux, settings)
    expected, _, _ = slow_adapt(negative_net(), views, labels, aux, settings)
    torch.testing.assert_close(result.maps[0], expected[0], rtol=1e-4, atol=1e-6)
    assert (result.scores[0] == 0) == (empty_region == "skip")  # skipped: no logit, and so nothing that moves the map up
    assert (result.scores[-1] > result.scores[0]) == (empty_region == "pool")


def test_features_in_place_of_images_give_the_same_result():
    settings = RibSettings(**QUIET)
    views, aux = inputs(settings)
    net = tiny_net()
    features = [net.features(view) for view in views]
    aux_features = [(net.features(images), labels) for images, labels in aux]
    ours = adapt_features(net, features, LABELS, aux_features, settings)
    for a, b in zip(ours.maps, adapt(net, views, LABELS, aux, settings).maps, strict=True):
        assert torch.equal(a, b)


def test_bf16_is_near_and_uses_the_weights_of_its_step():
    """Autocast keeps copies of the weights while it is open; a copy from before an update would leave the maps as they were."""
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
    settings = RibSettings(**{**QUIET, "iterations": 3})
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


TOUCHED = [{}, {"trained": "classifier"}, {"trained": "last_stage", "batch_norm": "batch"}, {"batch_norm": "frozen"}]


def state_of(net):
    """All that an adaptation may touch."""
    modes = {name: (module.training, getattr(module, "track_running_stats", None)) for name, module in net.named_modules()}
    with_gradient = {name: (p.requires_grad, p.grad is None) for name, p in net.named_parameters()}
    return copy.deepcopy(net.state_dict()), modes, with_gradient


def assert_same_state(net, before):
    after = state_of(net)
    assert all(torch.equal(value, before[0][name]) for name, value in after[0].items())
    assert after[1:] == before[1:]


@pytest.mark.parametrize("changes", TOUCHED, ids=str)
def test_weights_buffers_mode_and_gradients_are_restored(changes):
    settings = RibSettings(**{**QUIET, **changes})
    views, aux = inputs(settings)
    net = tiny_net().train()
    before = state_of(net)
    first = adapt(net, views, LABELS, aux, settings)
    assert_same_state(net, before)
    second = adapt(net, views, LABELS, aux, settings)
    assert all(torch.equal(a, b) for a, b in zip(first.maps, second.maps, strict=True))
    assert not torch.equal(first.iterates[0][0], first.iterates[0][-1])


@pytest.mark.parametrize("changes", TOUCHED, ids=str)
def test_all_is_restored_when_an_exception_passes_through(changes):
    settings = RibSettings(**{**QUIET, **changes})
    views, aux = inputs(settings)
    net = tiny_net()
    before = state_of(net)

    def broken_batches():
        yield from aux[:2]
        raise OSError("disk gone")

    with pytest.raises(OSError, match="disk gone"):
        adapt(net, views, LABELS, broken_batches(), settings)
    assert_same_state(net, before)


@pytest.mark.parametrize("name", ["resnet50", "tf_efficientnet_lite0"])
def test_the_last_stage_is_a_part_of_what_is_adapted(name):
    """And its modules are in the state of the network once."""
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
