"""Makes a torchvision that was built for CUDA importable together with a torch that was built without it.

In this combination torchvision's compiled library is not loaded, and its import ends with "operator torchvision::nms does not
exist". Declaring the two missing operators is enough: transforms, models and data sets work. Compiled box operators do not
work, but the study uses none. Nothing is declared if torch has CUDA or torchvision was built for the CPU.

Every module that imports torchvision or timm, which imports torchvision, imports this one first.
"""

import importlib.util
from pathlib import Path

import torch


def _builds_differ() -> bool:
    torchvision = importlib.util.find_spec("torchvision")
    if torch.version.cuda is not None or torchvision is None:
        return False
    return "+cu" in (Path(torchvision.origin).parent / "version.py").read_text()


if _builds_differ():
    _library = torch.library.Library("torchvision", "DEF")
    for _operator in ("nms", "qnms"):
        _library.define(f"{_operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
