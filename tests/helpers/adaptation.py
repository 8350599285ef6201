"""Inputs of an adaptation of the tiny network."""

import torch

from ribstudy.method.settings import RibSettings

# A learning rate that changes a network of a few weights, and stops that never apply.
QUIET = {"learning_rate": 0.05, "margin": 1e9, "spread_ratio": 1.0}
LABELS = torch.tensor([1.0, 0.0, 1.0])


def inputs(settings: RibSettings, seed: int = 0, num_aux: int = 2):
    """Random views of one image at every scale, and per iteration a random auxiliary batch."""
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
