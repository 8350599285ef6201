"""Batch norm that always uses its running statistics, which the class maps of a single image need."""

from collections.abc import Iterator
from typing import Self

from torch import nn


class FixedStatistics(nn.Module):
    """Base class of networks whose batch norm always uses its running statistics, even in training mode.

    The reference code calls this FixedBatchNorm. torch builds every module in training mode without a call of `train`, so the
    constructor of a subclass ends with `self.train()`.
    """

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        for norm in batch_norms(self):
            norm.eval()
        return self


def batch_norms(network: nn.Module) -> Iterator[nn.BatchNorm2d]:
    """The batch norm layers of a network."""
    return (module for module in network.modules() if isinstance(module, nn.BatchNorm2d))
