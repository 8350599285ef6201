"""Files that people write, which are mutated: a preset and a batch. Every value in them must hold, or they are refused."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from campaign.commands import ROOT, TINY
from campaign.given import Given

from ribstudy.config import load_settings
from ribstudy.workflow import batch

CHAPTERS = ["03_cam", "04_rib"]
BATCH = """about: Two seeds of two chapters.
preset: mini
settings: {rib.iterations: 2}
seeds: [0, 1]
notebooks:
  03_cam: {}
  04_rib: {tau: [0.3, 0.5]}
"""


def leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """The values in nested mappings, by full name."""
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from leaves(inner, f"{name}.{key}")
    else:
        yield name, value


def _said(path: Path) -> dict[str, Any]:
    content = yaml.compose(path.read_bytes().decode("utf-8-sig"))
    _require_single_keys(content)
    return dict(leaves(yaml.safe_load(path.read_bytes().decode("utf-8-sig"))))


def _require_single_keys(node: yaml.Node) -> None:
    if isinstance(node, yaml.MappingNode):
        keys = [key.value for key, _ in node.value]
        if len(set(keys)) < len(keys):
            raise ValueError(f"a key twice: {keys}")
        for _, value in node.value:
            _require_single_keys(value)


def _hold(found: Mapping[str, Any], said: Mapping[str, Any]) -> bool:
    return all(name in found and _is(found[name], value) for name, value in said.items())


def _is(found: Any, said: Any) -> bool:
    if isinstance(said, str) and isinstance(found, float):
        return found == float(said)  # PyYAML reads 1e-4 as a text, YAML 1.2 and people as a number
    if isinstance(said, str) and isinstance(found, str):
        return found in (said, str(Path.cwd() / said))  # a path, which the library makes absolute
    return found == said and isinstance(found, bool) == isinstance(said, bool)


def _write(text: str):
    def write(folder: Path) -> None:
        folder.mkdir(parents=True)
        (folder / "my.yml").write_text(text)

    return write


def _preset(folder: Path) -> dict[str, Any]:
    return dict(leaves(load_settings(str(folder / "my.yml")).model_dump(mode="json")))


def _batch(folder: Path) -> dict[str, Any]:
    path = folder / "my.yml"
    read = batch.read(path)
    with batch.naming(path):
        batch.expand(read, ROOT / "book", CHAPTERS)
    return dict(leaves(read.model_dump(mode="json")))


TEXTS = {
    "preset": Given(_write(TINY.read_text()), _preset, lambda folder: _said(folder / "my.yml"), _hold),
    "batch": Given(_write(BATCH), _batch, lambda folder: _said(folder / "my.yml"), _hold),
}
