"""The stages `baseline` and `advcam`."""

from helpers.tiny_study import TINY, files, run_in

from ribstudy.config import load_settings
from ribstudy.stages import Run, Shard, execute, key
from ribstudy.store import Store


def test_advcam_stores_the_same_in_one_piece_and_in_shards(tmp_path, data_root, trained):
    few = {"advcam.iterations": 3}
    whole = execute("advcam", run_in(tmp_path / "one", data_root, trained, **few))
    other = run_in(tmp_path / "two", data_root, trained, **few)
    for index in (0, 1):
        result = execute("advcam", other, shard=Shard(index, 2))
    assert result.finished
    assert files(whole) == files(result)


def test_baseline_stores_the_same_in_one_piece_and_in_shards(tmp_path, data_root, trained):
    run = run_in(tmp_path / "one", data_root, trained)
    whole = execute("baseline", run)
    other = run_in(tmp_path / "two", data_root, trained)
    for index in (0, 1):
        result = execute("baseline", other, shard=Shard(index, 2))
    assert result.finished
    assert files(whole) == files(result)
    assert len(whole.unit_names()) == len(run.units("baseline"))


def test_the_key_depends_on_the_method_and_not_on_other_methods():
    def key_of(stage, **overrides):
        return key(stage, load_settings("mini", {**TINY, **overrides}))

    assert key_of("baseline") != key_of("baseline", **{"baseline.method": "layercam"})
    assert key_of("baseline") == key_of("baseline", **{"advcam.iterations": 3})
    assert key_of("advcam") == key_of("advcam", **{"baseline.method": "layercam"})
    assert key_of("advcam") != key_of("advcam", **{"cam.scales": [1.0, 0.5]})


def test_a_compiled_run_still_finds_its_layers(tmp_path, data_root, trained):
    plain = execute("baseline", run_in(tmp_path / "plain", data_root, trained, **{"infer.limit": 1}))
    run = run_in(tmp_path / "compiled", data_root, trained, **{"infer.limit": 1, "compute.compile": True})
    compiled = execute("baseline", Run(run.settings, Store(tmp_path / "compiled")))
    assert files(compiled) == files(plain)
