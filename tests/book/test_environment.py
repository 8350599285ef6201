"""The pins of pip and conda agree, and the study names the same versions."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PIN = re.compile(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+")


def pins(lines: list[str]) -> dict[str, str]:
    return {canonicalize_name(name): version for name, version in (line.split("==") for line in lines)}


@pytest.fixture(scope="module")
def lock() -> dict[str, str]:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    return pins([line for line in lines if not line.startswith("#")])


@pytest.fixture(scope="module")
def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_every_line_of_the_lock_is_an_exact_pin_without_a_local_part():
    lines = [line for line in (ROOT / "requirements.lock").read_text().splitlines() if not line.startswith("#")]
    assert [line for line in lines if not PIN.fullmatch(line)] == []
    assert len(lines) > 100


def test_the_versions_that_the_study_names(lock):
    assert lock["torch"] == "2.13.0"
    assert lock["torchvision"] == "0.28.0"
    assert lock["jupyter-book"].startswith("1.")
    assert "pydensecrf2" in lock
    assert {"ruff", "pytest", "snakemake", "papermill"} <= set(lock)
    assert "ribstudy" not in lock


def test_the_ranges_of_the_package_admit_the_pins(project, lock):
    wanted = [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]
    for requirement in map(Requirement, wanted):
        version = lock[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), f"{requirement} does not admit {version}"


def test_conda_has_the_same_pins(lock):
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    *conda, pip = environment["dependencies"]
    assert environment["channels"] == ["conda-forge"]
    assert any(line.startswith("pydensecrf=") for line in conda)
    assert pins(pip["pip"]) == {name: version for name, version in lock.items() if name != "pydensecrf2"}


def test_citation_names_this_version(project):
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert f'"{citation["version"]}"' in (ROOT / "ribstudy" / "_version.py").read_text()
    assert citation["license"] == project["license"]
