"""Lets a torchvision built for CUDA be imported beside a torch without CUDA.

In that pairing torchvision's compiled library is not loaded; its import ends with "operator torchvision::nms does not exist".
Declaring the two operators that the import looks up is enough: transforms, models and data sets work, compiled box operators do
not (the study uses none). Nothing happens where torch has CUDA, or where torchvision was built for the CPU.
"""

import importlib.util
from pathlib import Path

import torch

_OPERATORS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)


def _is_mixed_pair() -> bool:
    torchvision = importlib.util.find_spec("torchvision")
    if torch.version.cuda is not None or torchvision is None:
        return False
    return "+cu" in (Path(torchvision.origin).parent / "version.py").read_text()


if _is_mixed_pair():
    _library = torch.library.Library("torchvision", "DEF")
    for _operator in _OPERATORS:
        _library.define(_operator)
