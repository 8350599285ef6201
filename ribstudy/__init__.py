"""A reproducible study of "Reducing Information Bottleneck for Weakly Supervised Semantic Segmentation" (NeurIPS 2021)."""

from ribstudy._version import __version__
from ribstudy.runtime import torchvision_operators as _torchvision_operators  # noqa: F401  (before anything imports torchvision)

__all__ = ["__version__"]
