"""Nothing that is read can run code: no pickles, no YAML tags, no unpacking of archives that were not checked."""

import ast
import io
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from ribstudy.config import load_settings
from ribstudy.models.weights import read_state_dict
from ribstudy.runtime import strict_yaml
from ribstudy.store import DamagedError, Result
from ribstudy.training.checkpoint import resume

ROOT = Path(__file__).parents[1]
FORBIDDEN = ("pickle", "cPickle", "dill", "cloudpickle", "joblib.load", "shelve", "marshal", "eval", "exec", "os.system")
# The calls that can read pickles: the argument that decides, and its safe value, which is NumPy's default.
DECIDING = {
    "torch.load": ("weights_only", True),
    "np.load": ("allow_pickle", False),
    "np.lib.format.read_array": ("allow_pickle", False),
}


def python_files() -> list[Path]:
    return [path for folder in ("ribstudy", "tools") for path in sorted((ROOT / folder).rglob("*.py"))]


def called(node: ast.Call) -> str:
    return ast.unparse(node.func)


@pytest.mark.parametrize("path", python_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_code_reads_what_can_run_code(path):
    tree = ast.parse(path.read_text())
    imports = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom) for name in node.names}
    assert not imports & set(FORBIDDEN)
    for node in [node for node in ast.walk(tree) if isinstance(node, ast.Call)]:
        name = called(node)
        assert name not in FORBIDDEN
        assert name not in ("yaml.unsafe_load", "yaml.full_load", "shutil.unpack_archive")
        assert not name.endswith(".extractall") or path.stem == "fetch"  # its tests try an archive that leaves its folder
        assert name != "yaml.load" or issubclass(strict_yaml._Loader, yaml.SafeLoader)
        argument, value = DECIDING.get(name, ("", None))
        given = [ast.literal_eval(keyword.value) for keyword in node.keywords if keyword.arg == argument]
        assert given == [value] or (not given and name != "torch.load")


class Harmful:
    """Makes a file when it is unpickled."""

    def __init__(self, target: Path):
        self.target = target

    def __reduce__(self):
        return os.mkdir, (str(self.target),)


@pytest.fixture
def harm(tmp_path):
    target = tmp_path / "harm"
    yield target
    assert not target.exists()


def test_weights_with_a_pickle_are_refused(tmp_path, harm):
    torch.save({"weight": Harmful(harm)}, tmp_path / "net.pt")
    with pytest.raises(ValueError, match=r"net.pt'?: not readable as a state dict \(.* an object of posix.mkdir") as caught:
        read_state_dict(tmp_path / "net.pt", imagenet=dict)
    assert "weights_only" not in str(caught.value)  # torch's message advises to read the file without protection


def test_a_checkpoint_with_a_pickle_is_refused(tmp_path, harm):
    torch.save({"net": Harmful(harm)}, tmp_path / "checkpoint.pt")
    with pytest.raises(ValueError, match=r"checkpoint.pt: is damaged \(it contains an object of posix.mkdir"):
        resume(tmp_path / "checkpoint.pt", torch.nn.Linear(1, 1), None, None)


@pytest.mark.parametrize("bare", [True, False], ids=["a bare pickle", "an array of objects"])
def test_an_item_with_a_pickle_is_refused(tmp_path, harm, bare):
    result = Result(tmp_path)
    path = result.item_path("a")
    path.parent.mkdir()
    if bare:
        path.write_bytes(pickle.dumps(Harmful(harm)))
    else:
        buffer = io.BytesIO()
        np.savez(buffer, maps=np.array([Harmful(harm)], dtype=object))
        path.write_bytes(buffer.getvalue())
    with pytest.raises(DamagedError, match=r"a.npz: is damaged"):
        result.read_item("a")


def test_a_preset_with_a_tag_of_python_is_refused(tmp_path, harm):
    (tmp_path / "my.yml").write_text(f"seeds: !!python/object/apply:os.mkdir ['{harm}']\n")
    with pytest.raises((ValueError, yaml.YAMLError), match=r"my.yml|could not determine a constructor"):
        load_settings(str(tmp_path / "my.yml"))
