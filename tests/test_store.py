import json
import subprocess

import numpy as np
import pytest

from ribstudy import store
from ribstudy.store import Result, Store, atomic, provenance


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


def test_units_hold_no_pickles(tmp_path):
    result = Result(tmp_path)
    result.write_item("x", {"objects": np.array([{}], dtype=object)})
    with pytest.raises(ValueError, match="pickle"):
        result.read_item("x")


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


def test_a_change_of_the_code_makes_a_record_dirty_and_one_of_a_notebook_does_not(tmp_path, monkeypatch):
    def git(*arguments):
        who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run(["git", "-C", tmp_path, *who, *arguments], check=True, capture_output=True)

    def is_dirty():
        store._git_state.cache_clear()
        return provenance()["git"]["dirty"]

    monkeypatch.setattr(store, "PROJECT", tmp_path)
    try:
        assert is_dirty() is None
        (tmp_path / "code.py").write_text("a = 1")
        (tmp_path / "book").mkdir()
        (tmp_path / "book" / "chapter.ipynb").write_text("{}")
        git("init")
        git("add", ".")
        git("commit", "-m", "first")
        (tmp_path / "book" / "chapter.ipynb").write_text("{ }")
        assert is_dirty() is False
        (tmp_path / "code.py").write_text("a = 2")
        assert is_dirty() is True
    finally:
        store._git_state.cache_clear()
