import contextlib
import hashlib
import json
import pickle
import subprocess

import numpy as np
import pytest

from ribstudy import store
from ribstudy.items import ARRAYS, MASKS
from ribstudy.published import write_bundle
from ribstudy.runtime.files import file_digest, write_json
from ribstudy.store import DamagedError, Result, Store, atomic, provenance

SESSION = {"device": "cpu", "items": 2, "seconds": 5.0, "started": "2025-01-01T00:00:00+00:00"}


@pytest.fixture
def partly_published(tmp_path):
    """A store in which two items and a file of the result rib-1 are published, and nothing was computed here."""
    path = tmp_path / "published" / "rib-1.zip"
    items = {name: {"n": np.array(number)} for name, number in (("a", 1), ("b", 2))}
    write_bundle(path, items, {"history.csv": b"published"})
    entry = {"stage": "rib", "code": ["old"], "sessions": [SESSION], "sha256": file_digest(path)}
    write_json(tmp_path / "published" / "manifest.json", {"rib-1": entry})
    return Store(tmp_path / "results", tmp_path / "published")


def compute(result: Result, *names: str) -> None:
    with result.session("cpu", code="new") as notes:
        notes["items"] = len(names)
        for name in names:
            result.write_item(name, {"n": np.array(9)})
    result.finish({"stage": "rib"})


def test_a_failed_write_leaves_nothing(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(RuntimeError), atomic(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_units_are_the_same_bytes_each_time(tmp_path):
    arrays = {"maps": np.arange(6.0).reshape(2, 3), "names": np.array(["a", "bc"])}
    results = [Result(tmp_path / name) for name in "ab"]
    for result in results:
        result.write_item("x", arrays)
    first, second = (result.item_path("x").read_bytes() for result in results)
    assert first == second
    read = results[0].read_item("x")
    assert read["names"].tolist() == ["a", "bc"]
    np.testing.assert_array_equal(read["maps"], arrays["maps"])


@pytest.mark.parametrize("content", [b"", b"PK", b"no archive"])
def test_a_damaged_item_is_named(tmp_path, content):
    result = Result(tmp_path)
    result.write_item("x", {"n": np.arange(100)})
    path = result.item_path("x")
    path.write_bytes(content)
    with pytest.raises(DamagedError, match=r"items/x.npz: is damaged \(.*\); delete it and run the same again"):
        result.read_item("x")


@pytest.mark.parametrize("items", [ARRAYS, MASKS])
def test_an_item_or_file_that_is_missing_is_named_with_its_stage(tmp_path, items):
    result = Result(tmp_path / "other-masks-0123456789ab", items)
    for read in (result.read_item, result.open):
        with pytest.raises(FileNotFoundError, match=r"is missing; run its stage .*: python -m ribstudy other-masks$"):
            read("x")


def test_every_changed_byte_of_an_item_is_found_or_changes_nothing(tmp_path):
    result, arrays = Result(tmp_path), {"n": np.arange(8)}
    result.write_item("x", arrays)
    path = result.item_path("x")
    content = path.read_bytes()
    for place in range(len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with contextlib.suppress(DamagedError):
            np.testing.assert_equal(result.read_item("x"), arrays)


def test_a_file_that_is_not_the_recorded_one_is_named(tmp_path):
    result = Result(tmp_path)
    result.path("weights").write_bytes(b"trained")
    result.finish({"files": {"weights": hashlib.sha256(b"trained").hexdigest()}})
    assert result.open("weights").read() == b"trained"
    result.path("weights").write_bytes(b"trainee")
    with pytest.raises(DamagedError, match=rf"{tmp_path}/weights: is damaged \(its SHA-256 .*\); delete {tmp_path} and run"):
        result.open("weights")


def test_a_damaged_record_is_named(tmp_path):
    (tmp_path / "record.json").write_text('{"stage": ')
    with pytest.raises(DamagedError, match=r"record.json: is damaged"):
        Result(tmp_path).record()


def test_units_hold_no_pickles(tmp_path):
    result = Result(tmp_path)
    result.write_item("x", {"objects": np.array([{}], dtype=object)})
    with pytest.raises(ValueError, match="pickle"):
        result.read_item("x")


def test_only_whole_items_count(tmp_path):
    """A killed process leaves a hidden file, and an editor may leave one of another kind."""
    result = Store(tmp_path).result("rib", "1")
    result.write_item("b", {"n": 1})
    result.write_item("a", {"n": 2})
    for name in (".c.npz", "d.txt"):
        (result.folder / "items" / name).touch()
    assert result.item_names() == ["a", "b"]
    assert result.missing_items(["c", "a", "d"]) == ["c", "d"]


def test_looking_makes_no_folder(tmp_path):
    result = Store(tmp_path / "results").result("rib", "0123")
    assert not result.finished
    assert not result.has_item("x")
    assert result.sessions() == []
    assert not (tmp_path / "results").exists()


def test_a_session_is_noted_although_it_fails(tmp_path):
    result = Result(tmp_path / "rib-1")
    with pytest.raises(KeyError), result.session("cpu", code="abc") as notes:
        notes["items"] = 3
        raise KeyError
    (session,) = result.sessions()
    assert session["items"] == 3
    assert session["seconds"] >= 0


def test_record_tells_where_it_comes_from(tmp_path):
    result = Result(tmp_path / "rib-1")
    result.finish({"stage": "rib"})
    record = result.record()
    assert result.finished
    assert record["packages"]["torch"]
    assert set(record["git"]) == {"commit", "dirty"}
    json.dumps(provenance())


def test_only_a_change_of_the_code_makes_a_record_dirty(tmp_path, monkeypatch):
    def git(*arguments):
        who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run(["git", "-C", tmp_path, *who, *arguments], check=True, capture_output=True)

    def is_dirty():
        store.git_state.cache_clear()
        return provenance()["git"]["dirty"]

    monkeypatch.setattr("ribstudy.runtime.paths.PROJECT", tmp_path)
    try:
        assert is_dirty() is None
        (tmp_path / "code.py").write_text("a = 1")
        (tmp_path / "book").mkdir()
        (tmp_path / "book" / "chapter.ipynb").write_text("{}")
        git("init")
        git("add", ".")
        git("commit", "-m", "first")
        (tmp_path / "book" / "chapter.ipynb").write_text("{ }")
        for folder in ("results", "published"):
            (tmp_path / folder).mkdir()
            (tmp_path / folder / "new.zip").write_text("not code")
        assert is_dirty() is False
        (tmp_path / "code.py").write_text("a = 2")
        assert is_dirty() is True
    finally:
        store.git_state.cache_clear()


def test_results_are_looked_up_in_the_published_ones(partly_published):
    result = partly_published.result("rib", "1")
    assert result.finished
    assert not result.computed_here
    assert result.record()["code"] == result.codes() == ["old"]
    assert result.sessions() == [SESSION]
    assert [result.has_item(name) for name in "abc"] == [True, True, False]
    assert result.missing_items("dcba") == ["d", "c"]
    assert result.read_item("b") == {"n": 2}
    assert result.open("history.csv").read() == b"published"
    with pytest.raises(FileNotFoundError, match=r"rib-1/items/c\.npz"):
        result.read_item("c")
    assert not partly_published.result("rib", "2").finished
    assert not partly_published.root.exists()


def test_results_that_are_computed_here_come_first(partly_published):
    result = partly_published.result("rib", "1")
    compute(result, "a")
    result.path("history.csv").write_bytes(b"here")
    assert [result.read_item(name)["n"] for name in "ab"] == [9, 2]
    assert result.open("history.csv").read() == b"here"


def test_a_result_tells_all_code_that_computed_its_items(partly_published):
    result = partly_published.result("rib", "1")
    compute(result, "c")
    assert result.codes() == result.record()["code"] == ["new", "old"]
    assert len(result.sessions()) == 2
    compute(result, "a", "b")
    result.path("history.csv").write_bytes(b"here")
    assert result.codes() == ["new"]  # nothing published is read any more
    assert SESSION not in result.sessions()


def test_worker_processes_can_receive_a_store_that_has_read_published_results(partly_published):
    partly_published.result("rib", "1").read_item("a")
    copy = pickle.loads(pickle.dumps(partly_published))
    assert copy.result("rib", "1").read_item("a") == {"n": 1}


def test_a_file_of_an_unfinished_training_does_not_hide_the_published_one(partly_published):
    result = partly_published.result("rib", "1")
    result.folder.mkdir(parents=True)
    result.path("history.csv").write_bytes(b"half")
    assert result.open("history.csv").read() == b"published"
    result.finish({})
    assert result.open("history.csv").read() == b"half"
