"""Paths and environment variables as users write them."""

import pytest

from ribstudy.runtime import environment, paths, ranks


@pytest.fixture(autouse=True)
def computed_folders(monkeypatch) -> None:
    """Removes the values that a replacement in an earlier test has left in the module, where they hide its function."""
    for name in ("DATA", "RESULTS", "PUBLISHED"):
        monkeypatch.delitem(vars(paths), name, raising=False)


@pytest.mark.parametrize("name", ["DATA", "RESULTS", "PUBLISHED"])
def test_the_folders_follow_their_variables(name, monkeypatch, tmp_path):
    for value in (None, "", "  "):
        monkeypatch.delenv(f"RIBSTUDY_{name}", raising=False)
        if value is not None:
            monkeypatch.setenv(f"RIBSTUDY_{name}", value)
        assert getattr(paths, name) == paths.PROJECT / name.lower()
    for folder in (tmp_path / "my results", tmp_path / "50% #1 $x 'ü'"):
        monkeypatch.setenv(f"RIBSTUDY_{name}", str(folder))
        assert getattr(paths, name) == folder
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv(f"RIBSTUDY_{name}", "~/own")
    assert getattr(paths, name) == tmp_path / "own"
    monkeypatch.setenv(f"RIBSTUDY_{name}", "own")  # the same folder in every working directory
    assert getattr(paths, name) == paths.PROJECT / "own"
    monkeypatch.setenv(f"RIBSTUDY_{name}", "C:\\own")
    with pytest.raises(ValueError, match=f"environment variable RIBSTUDY_{name} = .*WSL"):
        getattr(paths, name)


def test_a_library_without_its_project_asks_for_folders(monkeypatch, tmp_path):
    for name in ("DATA", "RESULTS", "PUBLISHED"):
        monkeypatch.delenv(f"RIBSTUDY_{name}", raising=False)
    monkeypatch.setattr(paths, "PROJECT", tmp_path)
    with pytest.raises(ValueError, match="installed without its project, so set the environment variable RIBSTUDY_RESULTS"):
        _ = paths.RESULTS
    assert tmp_path / "published" == paths.PUBLISHED


def test_a_path_means_what_its_user_means(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert paths.expanded("a b/$HOME #1") == tmp_path / "a b" / "$HOME #1"
    assert paths.expanded("~/x") == tmp_path / "home" / "x"
    assert paths.expanded("x", tmp_path / "y") == tmp_path / "y" / "x"
    assert paths.expanded(".") == tmp_path
    assert paths.expanded("/x") == paths.expanded("/x", tmp_path)
    (tmp_path / "y").mkdir()
    (tmp_path / "y" / "here").touch()
    assert paths.beside("here", tmp_path / "y") == tmp_path / "y" / "here"
    assert paths.beside("there", tmp_path / "y") == tmp_path / "there"


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("", "empty"),
        (" ", "empty"),
        ("/data\n", "control"),
        ("D:/x", "WSL"),
        ("\\\\server\\x", "Windows"),
        ("~nobody-here/x", "home"),
    ],
)
def test_a_path_that_cannot_be_meant_is_explained(path, message):
    with pytest.raises(ValueError, match=message):
        paths.expanded(path)


def test_an_empty_variable_for_the_home_folder_is_not_the_root_folder(monkeypatch):
    monkeypatch.setenv("HOME", "")
    for path in ("~", "~/x"):
        with pytest.raises(ValueError, match="the home folder that ~ stands for is not known; write the path in full"):
            paths.expanded(path)
    assert str(paths.expanded("/data/~/x")) == "/data/~/x"


def test_a_number_in_the_environment(monkeypatch):
    monkeypatch.setenv("RIBSTUDY_CORES", " ")
    assert environment.number("RIBSTUDY_CORES", least=1) is None
    for value in ("0", "two", "1.5", "-1", "\u0662"):
        monkeypatch.setenv("RIBSTUDY_CORES", value)
        with pytest.raises(ValueError, match=r"the environment variable RIBSTUDY_CORES = .*whole number of 1 or more"):
            ranks.cores()
    monkeypatch.setenv("RIBSTUDY_CORES", "1")
    assert ranks.cores() == 1


def variables(monkeypatch, **values):
    for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "RIBSTUDY_CORES"):
        monkeypatch.delenv(name, raising=False)
    for name, value in values.items():
        monkeypatch.setenv(name, value)


def test_ranks_are_those_of_a_launcher(monkeypatch):
    for alone in ({}, {"WORLD_SIZE": ""}, {"WORLD_SIZE": "1"}, {"WORLD_SIZE": "1", "RANK": "0"}, {"RANK": "3"}):
        variables(monkeypatch, **alone)
        assert ranks.rank() is None
        assert ranks.is_first()
    variables(monkeypatch, WORLD_SIZE="4", RANK="3", LOCAL_WORLD_SIZE="")
    assert ranks.rank() == (3, 4)
    assert ranks.cores() >= 1


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"WORLD_SIZE": "2"}, "WORLD_SIZE = 2, but RANK is not set; .*torchrun"),
        ({"WORLD_SIZE": "2", "RANK": ""}, "RANK is not set"),
        ({"WORLD_SIZE": "2", "RANK": "2"}, "RANK = 2 is not below it"),
        ({"WORLD_SIZE": "two"}, "WORLD_SIZE = 'two': expected a whole number"),
        ({"WORLD_SIZE": "2", "RANK": "-1"}, "RANK = '-1': expected a whole number of 0 or more"),
        ({"WORLD_SIZE": "0"}, "WORLD_SIZE = '0'"),
    ],
)
def test_variables_that_contradict_each_other_are_named(monkeypatch, values, message):
    variables(monkeypatch, **values)
    with pytest.raises(ValueError, match=f"the environment variable .*{message}"):
        ranks.rank()
