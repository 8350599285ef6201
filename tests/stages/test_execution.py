"""Running a stage: at most once, in shards, in several processes, and with unreadable images."""

import multiprocessing
from dataclasses import replace

import pytest
import torch
from helpers.tiny_study import copy_as_described, files, run_in, settings_of

from ribstudy import datasets
from ribstudy.datasets.settings import ImageSelection
from ribstudy.method.auxiliary import AuxiliaryDraws
from ribstudy.stages import ItemsFailed, Shard, execute, execution
from ribstudy.stages.evaluate import EVALUATE_CAM
from ribstudy.stages.maps import CAM, RIB


@pytest.fixture(scope="module")
def whole(tmp_path_factory, data_root, trained) -> dict[str, bytes]:
    """The files of `rib`, computed by one process."""
    return files(execute(RIB, run_in(tmp_path_factory.mktemp("whole"), data_root, trained)))


@pytest.fixture(scope="module")
def side_by_side(tmp_path_factory, data_root, trained) -> dict[str, bytes]:
    """The files of `rib`, computed by two processes."""
    result = execute(RIB, run_in(tmp_path_factory.mktemp("two"), data_root, trained), processes=2)
    assert result.finished
    return files(result)


def test_finished_work_is_not_done_again(tmp_path, data_root, trained, monkeypatch):
    run = run_in(tmp_path, data_root, trained)
    result = execute(CAM, run)
    before = result.record()
    monkeypatch.setattr("ribstudy.method.cam.compute_cam", None)
    monkeypatch.setattr("ribstudy.training.classifier.train_classifier", None)
    assert execute(CAM, run).record() == before


def test_networks_compute_exactly_whatever_the_process_did_before(tmp_path, data_root, trained, monkeypatch):
    """Only `cam` and `rib` have a setting for TF32, but torch uses it by default, also in the stages `walk` and `scores`."""
    seen = []

    def worker(run, names):
        seen.append(torch.backends.cudnn.allow_tf32)
        return CAM.worker(run, names)

    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    execute(replace(CAM, worker=worker), run_in(tmp_path, data_root, trained))
    assert seen == [False]


def test_a_record_that_a_killed_process_did_not_write_again_is_completed(tmp_path, data_root, trained, monkeypatch):
    one = execute(CAM, run_in(tmp_path, data_root, trained, images=ImageSelection(limit=1)))
    old = (one.folder / "record.json").read_bytes()
    everything = run_in(tmp_path, data_root)
    complete = execute(CAM, everything).record()
    (one.folder / "record.json").write_bytes(old)
    again = execute(CAM, everything).record()
    assert {**again, "finished": None} == {**complete, "finished": None}
    assert len(again["sessions"]) == 2


def test_more_images_add_to_what_is_there(tmp_path, data_root, trained):
    one = execute(CAM, run_in(tmp_path, data_root, trained, images=ImageSelection(limit=1)))
    kept = files(one)
    everything = execute(CAM, run_in(tmp_path, data_root))
    assert everything.folder == one.folder
    assert len(files(everything)) == 4
    assert everything.record()["items"] == 4
    assert all(files(everything)[name] == content for name, content in kept.items())


def test_two_shards_and_two_processes_equal_one_run(tmp_path, data_root, trained, whole, side_by_side):
    run = run_in(tmp_path / "shards", data_root, trained)
    first = execute(RIB, run, shard=Shard(1, 2))
    assert not first.finished
    shards = execute(RIB, run, shard=Shard(0, 2))
    assert shards.finished
    assert whole == files(shards) == side_by_side


def _compute(run, shard):
    torch.set_num_threads(1)
    execute(RIB, run, shard=shard)


@pytest.mark.parametrize("shards", [(None, None), (Shard(0, 2), None), (Shard(1, 2), Shard(1, 2))])
def test_processes_on_the_same_items_compute_each_once(tmp_path, data_root, trained, whole, shards):
    run = run_in(tmp_path, data_root, trained)
    processes = [multiprocessing.get_context("spawn").Process(target=_compute, args=(run, shard)) for shard in shards]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    computed = files(run.result(RIB))
    assert sum(session["items"] for session in run.result(RIB).sessions()) == len(computed)
    assert all(whole[name] == content for name, content in computed.items())
    assert len(computed) == (2 if shards[0] == shards[1] and shards[0] else 4)


def test_a_shard_computes_of_the_stages_before_it_only_its_own_items(tmp_path, data_root, trained):
    run = run_in(tmp_path, data_root, trained, images=ImageSelection(split="train", masked=True))
    execute(EVALUATE_CAM, run, shard=Shard(0, 2))
    half = Shard(0, 2).of(run.items(EVALUATE_CAM))
    assert run.result(CAM).item_names() == run.result(EVALUATE_CAM).item_names() == sorted(half)
    execute(EVALUATE_CAM, run, shard=Shard(1, 2))
    assert run.is_finished(EVALUATE_CAM)


@pytest.mark.parametrize(("processes", "num_workers"), [(1, 0), (2, 0), (1, 2)])
def test_an_unreadable_image_is_named_and_all_others_are_kept(tmp_path, data_root, trained, processes, num_workers):
    broken = tmp_path / "data"
    copy_as_described(data_root, broken)
    run = replace(run_in(tmp_path / "results", broken, trained), given_workers=num_workers)
    names = run.items(RIB)
    picture = broken / "JPEGImages" / f"{names[1]}.jpg"
    whole = picture.read_bytes()
    picture.write_bytes(whole[:200])
    with pytest.raises(
        ItemsFailed, match=f"1 items failed; all others are kept(.|\n)*{names[1]}.jpg: the image is not readable"
    ) as caught:
        execute(CAM, run, processes=processes)
    assert list(caught.value.failures) == [names[1]]
    assert not caught.value.out_of_memory
    result = run.result(CAM)
    assert [result.has_item(name) for name in names] == [True, False, True, True]
    assert not result.finished
    picture.write_bytes(whole)
    assert execute(CAM, run).finished


def test_an_image_that_is_too_large_for_the_memory_is_named_and_all_others_are_kept(tmp_path, data_root, trained):
    run = run_in(tmp_path, data_root, trained)
    names = run.items(CAM)
    maker = CAM.worker

    def worker(run, names):
        work = maker(run, names)
        return lambda name: torch.empty(2**60) if name == names[1] else work(name)

    limited = replace(CAM, worker=worker)
    with pytest.raises(ItemsFailed, match=rf"{names[1]}: memory ran out \(.*allocate.*\); smaller images") as caught:
        execution._run_items(limited, run, run.result(CAM), Shard())
    assert list(caught.value.failures) == [names[1]]
    assert caught.value.out_of_memory
    assert run.result(CAM).item_names() == sorted(set(names) - {names[1]})


def test_inputs_prepared_by_workers_give_the_same_bytes(tmp_path, data_root, trained, whole):
    ahead = execute(RIB, replace(run_in(tmp_path / "ahead", data_root, trained), given_workers=2))
    assert files(ahead) == whole


def test_a_bank_of_features_gives_results_of_its_own_key_whatever_the_shards(tmp_path, data_root, trained):
    bank = {"auxiliary.bank": 6}
    run = run_in(tmp_path / "one", data_root, trained, **bank)
    assert RIB.key(run.settings) != RIB.key(settings_of(data_root))
    whole = execute(RIB, run)
    shards = execute(RIB, run_in(tmp_path / "two", data_root, trained, **bank), processes=2)
    assert files(whole) == files(shards)


def test_an_unreadable_auxiliary_image_fails_those_that_draw_it_and_says_so(tmp_path, data_root, trained):
    broken = tmp_path / "data"
    copy_as_described(data_root, broken)
    run = run_in(tmp_path / "results", broken, trained)
    pool = datasets.training_set(run.settings.data)
    name = next(name for name in pool.names if name not in run.items(RIB))
    (broken / "JPEGImages" / f"{name}.jpg").write_bytes(b"")
    drawn = _drawn_by(run, pool)
    with pytest.raises(ItemsFailed, match=f"an auxiliary image: .*{name}.jpg: is empty") as caught:
        execute(RIB, run)
    assert set(caught.value.failures) == {image for image, names in drawn.items() if name in names}
    assert run.result(RIB).item_names() == sorted(set(run.items(RIB)) - set(caught.value.failures))


def _drawn_by(run, pool) -> dict[str, set[str]]:
    dataset = datasets.open_dataset(run.settings.data, run.images.split)
    draws = AuxiliaryDraws(
        pool.labels, dataset.names, dataset.labels, run.settings.auxiliary, num_steps=1, seed=run.settings.seed
    )
    return {name: {pool.names[index] for index in draws.of(name, 0)} for name in dataset.names}


def test_one_process_with_many_threads_gives_the_bytes_of_many_processes(tmp_path, data_root, trained, side_by_side):
    torch.set_num_threads(2)
    try:
        one = execute(RIB, run_in(tmp_path / "one", data_root, trained))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)
    assert files(one) == side_by_side
