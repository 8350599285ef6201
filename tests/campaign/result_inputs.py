"""Results on disk, here and published, and weights, whose files are mutated. They may only be read as they were written."""

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from campaign.given import Given, Refused
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from ribstudy.models.weights import read_state_dict
from ribstudy.published import Published, write_bundle
from ribstudy.runtime.files import file_digest, write_json
from ribstudy.store import Result
from ribstudy.training.checkpoint import resume, save_checkpoint
from ribstudy.training.files import CHECKPOINT

ARRAYS = {"maps": np.linspace(0, 1, 60, dtype=np.float32).reshape(3, 4, 5), "names": np.array(["cat", "dog"])}
WEIGHTS = {"conv.weight": torch.linspace(-1, 1, 90).reshape(2, 5, 3, 3), "conv.bias": torch.zeros(2)}


def write_result(folder: Path) -> None:
    result = Result(folder)
    for name in ("a", "b"):
        result.write_item(name, ARRAYS)
    content = safetensors.torch.save(WEIGHTS)
    result.path("weights.safetensors").write_bytes(content)
    result.finish({"files": {"weights.safetensors": hashlib.sha256(content).hexdigest()}})


def read_result(folder: Path) -> Any:
    result = Result(folder)
    return [plain(result.read_item(name)) for name in ("a", "b")], result.open("weights.safetensors").read()


def write_published(folder: Path) -> None:
    folder.mkdir(parents=True)
    path = folder / "rib-1.zip"
    write_bundle(path, {"a": ARRAYS, "b": ARRAYS}, {"history.csv": b"step,loss\n1,0.5\n"})
    write_json(folder / "manifest.json", {"rib-1": {"stage": "rib", "sha256": file_digest(path)}})


def read_published(folder: Path) -> Any:
    bundle = Published.of(folder).bundle("rib-1")
    if bundle is None:
        raise Refused("manifest.json does not name the result, so it is computed again")
    return [plain(bundle.items[name]) for name in ("a", "b")], bundle.open("history.csv").read()


def write_weights(folder: Path) -> None:
    folder.mkdir(parents=True)
    torch.save(WEIGHTS, folder / "net.pth")


def read_weights(folder: Path) -> Any:
    return plain({name: tensor.numpy() for name, tensor in read_state_dict(folder / "net.pth", imagenet=dict).items()})


def _training() -> tuple[nn.Module, torch.optim.Optimizer, LambdaLR]:
    torch.manual_seed(0)
    net = nn.Linear(8, 4)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    net(torch.ones(1, 8)).sum().backward()
    optimizer.step()
    return net, optimizer, LambdaLR(optimizer, lambda step: 1.0)


def write_checkpoint(folder: Path) -> None:
    save_checkpoint(folder / CHECKPOINT, *_training(), [{"step": 3, "loss": 0.5}], {"seed": 0})


def read_checkpoint(folder: Path) -> Any:
    restored = _training()
    history = resume(folder / CHECKPOINT, *restored)
    return history, [str(part.state_dict()) for part in restored], torch.get_rng_state().tolist()


def plain(arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    return {name: (str(array.dtype), array.shape, array.tolist()) for name, array in arrays.items()}


def _as_written(write, read) -> Given:
    """An input that may only be read as it was written."""

    def slow(folder: Path) -> Any:
        again = folder.with_name("as written")
        shutil.rmtree(again, ignore_errors=True)
        write(again)
        return read(again)

    return Given(write, read, slow)


RESULTS = {
    "results": _as_written(write_result, read_result),
    "published results": _as_written(write_published, read_published),
    "weights": _as_written(write_weights, read_weights),
    "checkpoint of a training": _as_written(write_checkpoint, read_checkpoint),
}
