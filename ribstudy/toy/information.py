"""A lower bound, in bits, of the information that a layer has about a label.

For a binary label Y and any function T of the image, I(Y; T) = H(Y) - H(Y | T), and the cross-entropy of a probe that predicts
Y from T is at least H(Y | T). So H(Y) - cross-entropy, on held-out images, is a lower bound of I(Y; T) up to sampling error. It
is the information that a probe of this kind can use; the layer may contain more.

Shapes: N samples of F features; V labels; E probes.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ribstudy.toy.settings import ProbeSettings

PROBES = ("linear", "mlp")


@dataclass(frozen=True)
class Split:
    """Indices of the samples to train the probe, to choose its epoch, and to measure the bits."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def pooled(values: Tensor, *, grid: int) -> Tensor:
    """[N, C, h, w] -> [N, 2 C grid^2]: mean and maximum in each cell of a grid over the map.

    This is a function of the layer, so the bound is valid for the layer. Detail within a cell is lost.
    """
    parts = (F.adaptive_avg_pool2d(values, grid), F.adaptive_max_pool2d(values, grid))
    return torch.cat([part.flatten(1) for part in parts], dim=1)


def entropy_bits(labels: np.ndarray) -> np.ndarray:
    """The entropy of each label: [N, V] of 0 and 1 -> [V]."""
    share = labels.mean(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.nansum([-p * np.log2(p) for p in (share, 1 - share)], axis=0)


def information_bits(features: Tensor, labels: np.ndarray, *, split: Split, settings: ProbeSettings, seed: int) -> np.ndarray:
    """The bits, at least 0, that a linear probe and a small network find about each label: [V, E].

    One probe learns all labels; the epoch is chosen for each label.

    Args:
        features: [N, F].
        labels: [N, V] of 0 and 1.
    """
    scaled = _scale(features, start=features[split.train])
    targets = torch.as_tensor(labels, dtype=torch.float32)
    entropy = entropy_bits(labels[split.test])
    bits = []
    for hidden in (0, settings.hidden):
        cross_entropy = _test_cross_entropy(scaled, targets, split=split, hidden=hidden, settings=settings, seed=seed)
        bits.append(np.maximum(entropy - cross_entropy / np.log(2), 0.0))
    return np.stack(bits, axis=1)


def _scale(features: Tensor, *, start: Tensor) -> Tensor:
    """Features with zero mean and about unit deviation on the samples `start`, clipped.

    A feature that is almost always 0 there is not amplified, and no single outlier dominates the cross-entropy.
    """
    deviation = start.std(dim=0)
    return ((features - start.mean(dim=0)) / (deviation + 0.1 * deviation.mean())).clamp(-10, 10)


def _test_cross_entropy(
    features: Tensor, targets: Tensor, *, split: Split, hidden: int, settings: ProbeSettings, seed: int
) -> np.ndarray:
    """Nats on the test samples, for each label at its best epoch on the validation samples: [V]."""
    probe = _build_probe(features.shape[1], targets.shape[1], hidden=hidden, seed=seed)
    # Adam moves every weight by about the learning rate, so an output moves with the number of inputs F: wide probes get less.
    learning_rate = settings.learning_rate / max(features.shape[1], hidden) ** 0.5
    optimizer = torch.optim.Adam(probe.parameters(), lr=learning_rate, weight_decay=settings.weight_decay, fused=True)
    generator = torch.Generator().manual_seed(seed)
    x, y = features[split.train], targets[split.train]
    history = [_losses(probe, features, targets, split)]
    for _ in range(settings.epochs):
        for index in torch.randperm(len(x), generator=generator).split(settings.batch_size):
            loss = F.binary_cross_entropy_with_logits(probe(x[index]), y[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        history.append(_losses(probe, features, targets, split))
    validation, test = np.moveaxis(np.array(history), 1, 0)  # [epochs + 1, V] each
    return np.take_along_axis(test, validation.argmin(axis=0)[None], axis=0)[0]


def _build_probe(num_features: int, num_labels: int, *, hidden: int, seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if not hidden:
            return nn.Linear(num_features, num_labels)
        return nn.Sequential(nn.Linear(num_features, hidden), nn.ReLU(), nn.Linear(hidden, num_labels))


@torch.no_grad()
def _losses(probe: Callable[[Tensor], Tensor], features: Tensor, targets: Tensor, split: Split) -> list[np.ndarray]:
    """Cross-entropy [V] on the validation and on the test samples, in nats."""
    return [
        F.binary_cross_entropy_with_logits(probe(features[part]), targets[part], reduction="none").mean(dim=0).numpy()
        for part in (split.validation, split.test)
    ]
