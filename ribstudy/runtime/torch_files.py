"""Reads the files that torch.save and safetensors write."""

import re
import zipfile
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

OTHER_OBJECT = re.compile(r"\bGLOBAL ([\w.]+)")


def read(path: Path) -> Any:
    """The content of a file, with all tensors on the CPU.

    A file of torch.save is an archive with checksums. torch does not compare them, and would use weights with a changed byte.

    Args:
        path: the file; if its suffix is .safetensors, safetensors wrote it.

    Raises:
        ValueError: the file is damaged, is none of these, or contains objects other than tensors, numbers, texts and containers
            of them. The message is the reason, without the path.
    """
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                if damaged := archive.testzip():
                    raise ValueError(f"the checksum of its part {damaged} is wrong")
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # all raise errors of many types for a file of another kind
        raise ValueError(_reason(error)) from error


def _reason(error: Exception) -> str:
    """The cause in an error of torch, without its advice to read the file in a way that can run code."""
    if found := OTHER_OBJECT.search(str(error)):
        return f"it contains an object of {found[1]}, which could run code; save tensors only, as net.state_dict() returns them"
    if type(error).__name__ in ("UnpicklingError", "EOFError"):
        return "torch.save did not write this file, or not all of it"
    return f"{type(error).__name__}: {str(error).splitlines()[0]}"
