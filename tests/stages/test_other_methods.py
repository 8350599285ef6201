"""The stages `baseline` and `advcam`."""

from helpers.tiny_study import TINY, files, run_in

from ribstudy.config import load_settings
from ribstudy.datasets.settings import ImageSelection
from ribstudy.stages import Shard, execute
from ribstudy.stages.other_methods import ADVCAM, BASELINE


def test_advcam_stores_the_same_in_one_piece_and_in_shards(tmp_path, data_root, trained):
    few = {"advcam.iterations": 3}
    whole = execute(ADVCAM, run_in(tmp_path / "one", data_root, trained, **few))
    other = run_in(tmp_path / "two", data_root, trained, **few)
    for index in (0, 1):
        result = execute(ADVCAM, other, shard=Shard(index, 2))
    assert result.finished
    assert files(whole) == files(result)


def test_baseline_stores_the_same_in_one_piece_and_in_shards(tmp_path, data_root, trained):
    run = run_in(tmp_path / "one", data_root, trained)
    whole = execute(BASELINE, run)
    other = run_in(tmp_path / "two", data_root, trained)
    for index in (0, 1):
        result = execute(BASELINE, other, shard=Shard(index, 2))
    assert result.finished
    assert files(whole) == files(result)
    assert len(whole.item_names()) == len(run.items(BASELINE))


def test_the_key_depends_on_the_method_and_not_on_other_methods():
    def key_of(stage, **overrides):
        return stage.key(load_settings("mini", {**TINY, **overrides}))

    assert key_of(BASELINE) != key_of(BASELINE, **{"baseline.method": "layercam"})
    assert key_of(BASELINE) == key_of(BASELINE, **{"advcam.iterations": 3})
    assert key_of(ADVCAM) == key_of(ADVCAM, **{"baseline.method": "layercam"})
    assert key_of(ADVCAM) != key_of(ADVCAM, **{"cam.scales": [1.0, 0.5]})


def test_a_compiled_run_still_finds_its_layers(tmp_path, data_root, trained):
    plain = execute(BASELINE, run_in(tmp_path / "plain", data_root, trained, images=ImageSelection(limit=1)))
    run = run_in(tmp_path / "compiled", data_root, trained, images=ImageSelection(limit=1), **{"compute.compile": True})
    compiled = execute(BASELINE, run)
    assert files(compiled) == files(plain)
