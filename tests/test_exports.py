"""The names of the package `ribstudy`, and the example of the README that uses them."""

import importlib
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import ribstudy

ROOT = Path(__file__).resolve().parents[1]
METHOD = {"adapt", "gndrp", "gap", "rib_objective", "CamNet", "build_cam_net", "RibSettings", "load_settings"}


def test_every_name_is_exported_from_its_module():
    assert set(ribstudy.__all__) >= METHOD
    assert set(dir(ribstudy)) >= METHOD
    for name in ribstudy.__all__:
        value = getattr(ribstudy, name)
        if name != "__version__":
            assert value is getattr(importlib.import_module(value.__module__), name)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'ribstudy' has no attribute 'adpt'"):
        ribstudy.adpt  # noqa: B018


def test_importing_the_package_imports_no_torch():
    code = "import sys, ribstudy; ribstudy.__version__; dir(ribstudy); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_the_names_can_be_imported_together():
    code = f"from ribstudy import {', '.join(sorted(METHOD))}; assert adapt.__name__ == 'adapt'"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def readme_example() -> str:
    """The first Python block of the README."""
    return re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)[1]


def test_the_example_of_the_readme_uses_exported_names_only():
    names = re.search(r"from ribstudy import (.*)", readme_example())[1].split(", ")
    assert set(names) <= set(ribstudy.__all__)
    assert "ribstudy." not in readme_example()


def test_the_example_of_the_readme_runs(tmp_path, monkeypatch):
    generator = np.random.default_rng(0)
    for name in ("photo.jpg", "other.jpg"):
        Image.fromarray(generator.integers(0, 256, (48, 64, 3), dtype=np.uint8)).save(tmp_path / name)
    net = ribstudy.build_cam_net("resnet50", num_classes=20)
    net.classifier.weight.data.abs_()  # features are not negative, so that every class has a map
    torch.save(net.state_dict(), tmp_path / "classifier.pt")
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(readme_example(), names)
    for name in ("cam", "rib"):
        assert names[name].shape == (48, 64)
        assert 0 <= names[name].min() < names[name].max() <= 1
    assert not torch.equal(names["cam"], names["rib"])
