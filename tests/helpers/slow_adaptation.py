"""The adaptation written as the reference code writes it: slow, without caches, one class and one image at a time."""

import copy

import torch

from ribstudy.method.settings import RibSettings


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
    """The tiny network layer by layer, with its batch norm written out."""
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
    """Whether a parameter of the tiny network is adapted; its batch norm, trained.1, is its last stage."""
    chosen = {"all": ("trained", "classifier"), "last_stage": ("trained.1", "classifier"), "classifier": ("classifier",)}
    return name.startswith(chosen[s.trained]) and not (s.batch_norm == "frozen" and name.startswith("trained.1"))


def slow_loss(net, own_maps, labels, aux, s: RibSettings):
    """The loss of one step; own_maps: of the views of the image; aux: the auxiliary images and their labels."""
    images, aux_labels = aux if s.auxiliary else (aux[0][:0], aux[1][:0])
    seen = [*((maps, labels.expand(2, -1)) for maps in own_maps), (slow_maps(net, images, s), aux_labels)]
    rows = [(slow_gndrp(maps, present, s), present) for maps, present in seen]
    if s.objective == "bce":
        return -sum(log_likelihood(y, present) for y, present in rows)
    if s.margin_mode == "clamp":
        rows = [(y.clamp(max=s.margin), present) for y, present in rows]
    return -sum((y * present).sum() for y, present in rows)


def slow_gradients(net, own_maps, labels, aux, s: RibSettings):
    """The direction of one step by name of the weight that is adapted, with the anchor's pull and without weight decay."""
    adapted = {name: p for name, p in net.named_parameters() if is_adapted(name, s)}
    found = torch.autograd.grad(slow_loss(net, own_maps, labels, aux, s), adapted.values(), retain_graph=True)
    if s.direction != "gradient":
        control = s.model_copy(
            update={"pooling": "gap", "margin_mode": "stop", "objective": {"gap": "rib"}.get(s.direction, "bce")}
        )
        others = torch.autograd.grad(slow_loss(net, own_maps, labels, aux, control), adapted.values())
        found = [other / other.norm() * own.norm() for other, own in zip(others, found, strict=True)]
    return dict(zip(adapted, found, strict=True))


def slow_update(net, gradients, first, velocity, k, s: RibSettings):
    """Step k of SGD. first, velocity: the first weights, and the momentum, which is changed in place; by name."""
    factor = (1 - k / s.iterations) ** s.poly_power
    for name, parameter in net.named_parameters():
        if name in gradients:
            rate = s.learning_rate * factor * (s.head_lr_factor if name.startswith("classifier") else 1)
            value = parameter.detach()
            gradient = gradients[name] + s.weight_decay * value + s.anchor * (value - first[name])
            velocity[name] = gradient if name not in velocity else s.momentum * velocity[name] + gradient
            parameter.data -= rate * velocity[name]


def slow_adapt(net, views, labels, aux, s: RibSettings):
    """The loop of the reference code: nothing is cached, every scale has a graph, and the unused last update is computed."""
    net = copy.deepcopy(net)
    sums = [0 for _ in views]
    velocity, first, scores = {}, {name: p.detach().clone() for name, p in net.named_parameters()}, []
    for k in range(s.iterations):
        seen = []
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
                seen.append(maps)
        scores.append(sum((slow_gndrp(maps, labels.expand(2, -1), s) * labels).sum().item() for maps in seen))
        if s.stop_at_peak and k > 0 and scores[k] < scores[k - 1]:
            return sums, k + 1, "peak"
        slow_update(net, slow_gradients(net, seen, labels, aux[k], s), first, velocity, k, s)
        if s.margin_mode == "stop" and abs(scores[k]) > s.margin:
            return sums, k + 1, "margin"
    if s.include_last:
        for i, view in enumerate(views):
            maps = slow_maps(net, view, s).detach()
            sums[i] = (0 if s.aggregation == "last" else sums[i]) + maps[0].relu() + maps[1].relu().flip(-1)
    return sums, s.iterations + s.include_last, "iterations"
