"""Reads the files that torch.save writes."""

import zipfile
from pathlib import Path
from typing import Any

import torch


def read(path: Path) -> Any:
    """The content of a file, with all tensors on the CPU.

    The file is an archive with checksums. torch does not compare them, and would use weights with a changed byte.

    Raises:
        ValueError: the file is damaged, is not one that torch wrote, or contains objects other than tensors, numbers, texts and
            containers of them. The message is the reason, without the path.
    """
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                if damaged := archive.testzip():
                    raise ValueError(f"the checksum of its part {damaged} is wrong")
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # both raise errors of many types for a file that torch did not write
        raise ValueError(f"{type(error).__name__}: {error}") from error
