"""The values of options: paths, and settings in YAML."""

import argparse
from pathlib import Path

import pytest

from ribstudy.cli import options
from ribstudy.cli.main import _overrides, _parser


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["rib.tau=0.5", "seed=3"], {"rib.tau": 0.5, "seed": 3}),
        (["rib={iterations: 3}"], {"rib.iterations": 3}),
        (["rib.learning_rate=1e-4", "seed=010"], {"rib.learning_rate": 1e-4, "seed": 10}),
        (["data.root='/data/my #1 set'"], {"data.root": "/data/my #1 set"}),
        (["data.root=/data/a=b"], {"data.root": "/data/a=b"}),
        ([" rib.tau = 0.5"], {"rib.tau": 0.5}),
        (["data.listed='123'"], {"data.listed": "123"}),
        (["masks.threshold=null", "rib.scales=[1, 5e-1]"], {"masks.threshold": None, "rib.scales": [1, 0.5]}),
        (['data.root="/data/\U0001f600"'], {"data.root": "/data/\U0001f600"}),
    ],
)
def test_settings(texts, expected):
    assert options.settings(texts) == expected


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["rib={tau: 0.5, tau: 0.6}"], "'tau' is there twice"),
        (["data.root=/data/my #1 set"], "YAML ends at '/data/my' .*quote the value"),
        (["rib.tau"], "expected NAME=VALUE"),
        (["=1"], "expected NAME=VALUE"),
        (["rib.tau=[1"], "this value is not YAML"),
        (["discriminative_part={}"], r"discriminative_part = \{\} is empty, so it changes nothing; name settings in it"),
        (["data={minivoc: {}}"], r"data\.minivoc = \{\} is empty"),
    ],
)
def test_settings_that_could_be_misread_are_refused(texts, message):
    with pytest.raises(ValueError, match=message) as caught:
        options.settings(texts)
    assert "\n" not in str(caught.value)


def test_of_two_values_the_later_one_holds_and_it_is_said(caplog):
    assert options.settings(["rib={tau: 0.5, iterations: 3}", "rib.tau=0.6"]) == {"rib.tau": 0.6, "rib.iterations": 3}
    assert caplog.messages == ["--set: rib.tau is given twice, and the later value holds: 0.6"]
    caplog.clear()
    assert options.settings(["data.minivoc=null", "data.minivoc.num_val=3"]) == {"data.minivoc.num_val": 3}
    assert options.settings(["data.minivoc.num_val=3", "data.minivoc=null"]) == {"data.minivoc": None}
    assert options.settings(["rib.tau=0.5", "rib.tau=0.5"]) == {"rib.tau": 0.5}
    assert [message.split()[1] for message in caplog.messages] == ["data.minivoc.num_val", "data.minivoc"]


def test_settings_of_one_run():
    assert options.settings_of_run("{rib: {tau: 0.5}, images: split=val}") == {"rib.tau": 0.5, "images": "split=val"}
    with pytest.raises(ValueError, match="--each 3: expected settings by name"):
        options.settings_of_run("3")


def test_the_folder_of_the_data_is_given_once(tmp_path):
    parsed = _parser().parse_args(["rib", "--data-root", str(tmp_path), "--set", "data={max_side: 512}"])
    assert _overrides(parsed) == {"data.max_side": 512, "data.root": str(tmp_path)}
    parsed = _parser().parse_args(["rib", "--data-root", str(tmp_path), "--set", "data={root: x}"])
    with pytest.raises(ValueError, match=r"--data-root and --set data.root are both given"):
        _overrides(parsed)


def test_paths_are_absolute_and_their_home_is_known(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    arguments = ["rib", "--results=~/my results", "--data-root", "x"]
    parsed = _parser().parse_args(arguments)
    assert (parsed.results, parsed.data_root) == (Path("/home/me/my results"), tmp_path / "x")
    with pytest.raises(argparse.ArgumentTypeError, match="'': the path is empty"):
        options.path("")
    (tmp_path / "cat.jpg").touch()
    assert options.photograph("cat.jpg") == tmp_path / "cat.jpg"
    assert options.photograph("cat") == Path("cat")  # an installed one


@pytest.mark.parametrize("command", ["left", "publish"])
def test_the_values_for_the_snakefile_name_the_folder_of_the_data(command):
    parse = _parser().parse_args
    assert parse([command, "--config", "data_root=/my data", "shards=8"]).data_root == Path("/my data")
    assert parse([command, "--config", "shards=8"]).data_root is None
    with pytest.raises(SystemExit):
        parse([command, "--config", "data_root="])
