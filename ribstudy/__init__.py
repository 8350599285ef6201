"""A reproducible study of "Reducing Information Bottleneck for Weakly Supervised Semantic Segmentation" (NeurIPS 2021).

The names of the method are imported from their modules on first use, so that `import ribstudy` does not import torch.
"""

import importlib
from typing import Any

from ribstudy._version import __version__

_MODULES = {
    "CamNet": "ribstudy.models.cam_net",
    "RibSettings": "ribstudy.method.settings",
    "adapt": "ribstudy.method.rib",
    "build_cam_net": "ribstudy.models.cam_net",
    "gap": "ribstudy.method.pooling",
    "gndrp": "ribstudy.method.pooling",
    "load_settings": "ribstudy.config",
    "rib_objective": "ribstudy.method.losses",
    "seed_maps": "ribstudy.method.maps",
    "views": "ribstudy.datasets.transforms",
}

__all__ = ["__version__", *_MODULES]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = getattr(importlib.import_module(_MODULES[name]), name)
    return globals()[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def load_ipython_extension(shell: Any) -> None:
    """`%load_ext ribstudy`: a notebook shows the study's objects and messages, as it does after the start of a chapter."""
    from ribstudy.report.notebook import show_messages
    from ribstudy.report.objects import register

    show_messages()
    register(shell.display_formatter.formatters)
