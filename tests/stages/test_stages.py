"""Stages on a MiniVOC of a few small images and a backbone with random weights: a run of everything takes seconds."""

import json
import multiprocessing
import os
import resource
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.tiny_study import TINY, files, launch, options_of, run_in, settings_of

from ribstudy import datasets
from ribstudy.cli.main import main
from ribstudy.config import load_settings
from ribstudy.datasets import synthetic
from ribstudy.datasets.export import write_folder
from ribstudy.method.auxiliary import AuxiliaryDraws
from ribstudy.method.cam import stored_seed_maps
from ribstudy.stages import Run, Shard, UnitsFailed, execute, key, maps
from ribstudy.store import Store
from ribstudy.training import classifier


def test_keys_change_with_what_a_stage_reads_and_with_nothing_else(data_root):
    plain, other = settings_of(data_root), settings_of(data_root, **{"rib.tau": 0.5})
    assert key("rib", plain) != key("rib", other)
    assert key("classifier", plain) == key("classifier", other)
    assert key("cam", plain) == key("cam", other)
    assert key("cam", plain) != key("cam", settings_of(data_root, **{"classifier.epochs": 3}))
    assert key("rib", plain) == key("rib", settings_of(data_root, **{"infer.limit": 1}))  # which images, not what of them
    assert key("rib", plain) == key("rib", load_settings("mini", TINY))  # nor where the data lie


def test_finished_work_is_not_done_again(tmp_path, data_root, trained, monkeypatch):
    run = run_in(tmp_path, data_root, trained)
    result = execute("cam", run)
    before = result.record()
    monkeypatch.setattr(maps, "cam_unit", None)
    monkeypatch.setattr(maps, "train_classifier", None)
    assert execute("cam", run).record() == before


def test_more_images_add_to_what_is_there(tmp_path, data_root, trained):
    one = execute("cam", run_in(tmp_path, data_root, trained, **{"infer.limit": 1}))
    kept = files(one)
    everything = execute("cam", run_in(tmp_path, data_root))
    assert everything.folder == one.folder
    assert len(files(everything)) == 4
    assert everything.record()["units"] == 4
    assert all(files(everything)[name] == content for name, content in kept.items())


def test_two_shards_and_two_processes_equal_one_run(tmp_path, data_root, trained):
    whole = execute("rib", run_in(tmp_path / "whole", data_root, trained))
    run = run_in(tmp_path / "shards", data_root, trained)
    first = execute("rib", run, shard=Shard(1, 2))
    assert not first.finished
    shards = execute("rib", run, shard=Shard(0, 2))
    side_by_side = execute("rib", run_in(tmp_path / "processes", data_root, trained), processes=2)
    assert shards.finished
    assert side_by_side.finished
    assert files(whole) == files(shards) == files(side_by_side)


def _run_until_killed(run, units):
    """In a process of its own: SIGKILL arrives between two images."""
    original = maps.rib_unit
    done = []

    def unit(*arguments, **options):
        if len(done) == units:
            os.kill(os.getpid(), signal.SIGKILL)
        done.append(None)
        return original(*arguments, **options)

    maps.rib_unit = unit
    execute("rib", run)


def test_killed_between_two_images_it_goes_on(tmp_path, data_root, trained):
    whole = execute("rib", run_in(tmp_path / "whole", data_root, trained))
    run = run_in(tmp_path / "killed", data_root, trained)
    for units in (1, 2):  # twice: the second kill comes after two more images
        process = multiprocessing.get_context("spawn").Process(target=_run_until_killed, args=(run, units))
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL
    killed = run.result("rib")
    assert not killed.finished
    kept = {path.name: path.stat().st_mtime_ns for path in killed.folder.glob("units/*.npz")}
    assert len(kept) == 3
    execute("rib", run)
    assert files(killed) == files(whole)
    assert all((killed.folder / "units" / name).stat().st_mtime_ns == time for name, time in kept.items())


@pytest.mark.parametrize(("processes", "num_workers"), [(1, 0), (2, 0), (1, 2)])
def test_an_unreadable_image_is_named_and_all_others_are_kept(tmp_path, data_root, trained, processes, num_workers):
    broken = tmp_path / "data"
    shutil.copytree(data_root, broken)
    run = replace(run_in(tmp_path / "results", broken, trained), num_workers=num_workers)
    names = run.units("rib")
    picture = broken / "JPEGImages" / f"{names[1]}.jpg"
    whole = picture.read_bytes()
    picture.write_bytes(whole[:200])
    with pytest.raises(
        UnitsFailed, match=f"1 units failed; all others are kept(.|\n)*{names[1]}.jpg: the JPEG is trunc"
    ) as caught:
        execute("cam", run, processes=processes)
    assert list(caught.value.failures) == [names[1]]
    result = run.result("cam")
    assert [result.has_unit(name) for name in names] == [True, False, True, True]
    assert not result.finished
    picture.write_bytes(whole)
    assert execute("cam", run).finished


def test_inputs_prepared_by_workers_give_the_same_bytes(tmp_path, data_root, trained):
    plain = execute("rib", run_in(tmp_path / "plain", data_root, trained))
    ahead = execute("rib", replace(run_in(tmp_path / "ahead", data_root, trained), num_workers=2))
    assert files(plain) == files(ahead)


def _run_with_small_files(run, size):
    """In a process of its own: no file may become larger than `size` bytes, as on a disk that is full."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    try:
        execute("rib", run)
    except OSError as error:
        note = " ".join(error.__notes__)
        os._exit(3 if "unit" in note and "are kept in" in note else 4)
    os._exit(0)


def test_a_full_disk_stops_the_run_names_the_image_and_loses_nothing(tmp_path, data_root, trained):
    run = run_in(tmp_path, data_root, trained)
    execute("rib", run, shard=Shard(0, 2))
    kept = files(run.result("rib"))
    process = multiprocessing.get_context("spawn").Process(target=_run_with_small_files, args=(run, 500))
    process.start()
    process.join()
    assert process.exitcode == 3
    assert files(run.result("rib")) == kept  # nothing lost, no half file left
    execute("rib", run)
    assert files(run.result("rib")) == files(execute("rib", run_in(tmp_path / "whole", data_root, trained)))


def test_a_bank_of_features_gives_results_of_its_own_key_whatever_the_shards(tmp_path, data_root, trained):
    bank = {"auxiliary.bank": 6}
    run = run_in(tmp_path / "one", data_root, trained, **bank)
    assert key("rib", run.settings) != key("rib", settings_of(data_root))
    whole = execute("rib", run)
    shards = execute("rib", run_in(tmp_path / "two", data_root, trained, **bank), processes=2)
    assert files(whole) == files(shards)


def test_torchrun_trains_and_makes_maps_in_one_go(tmp_path, data_root, trained):
    """Ranks under torchrun, whose store outlives a group of them: data, a shared training and maps, one after the other."""
    command = [str(Path(sys.executable).with_name("torchrun")), "--nproc-per-node", "2", "--standalone"]
    command += ["-m", "ribstudy", "rib", *options_of(data_root, tmp_path)]
    run = subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=250)
    assert run.returncode == 0, run.stdout + run.stderr
    whole = execute("rib", run_in(tmp_path / "whole", data_root, trained))
    (record,) = tmp_path.glob("runs/rib-*/record.json")
    assert len(json.loads(record.read_text())["sessions"]) == 2
    assert {path.name for path in (record.parent / "units").iterdir()} == set(files(whole))


def test_ranks_are_shards(tmp_path, data_root, trained):
    whole = execute("rib", run_in(tmp_path / "whole", data_root, trained))
    shutil.copytree(trained, tmp_path / "ranks")
    codes, outputs = launch(2, "rib", *options_of(data_root, tmp_path / "ranks"))
    assert codes == [0, 0], outputs
    result = Store(tmp_path / "ranks").result("rib", key("rib", settings_of(data_root)))
    assert result.finished
    assert files(result) == files(whole)
    assert {session["shard"] for session in result.sessions()} == {"0/2", "1/2"}


def test_ranks_share_a_training_and_get_the_losses_of_one(tmp_path, data_root, trained):
    """Each rank has half of every batch; then each makes the maps of its shard with the weights that they share."""
    codes, outputs = launch(2, "cam", *options_of(data_root, tmp_path))
    assert codes == [0, 0], outputs
    of = key("classifier", settings_of(data_root))
    ours, theirs = (Store(root).result("classifier", of) for root in (tmp_path, trained))
    assert len(ours.sessions()) == 2
    histories = [pd.read_csv(result.path("history.csv")) for result in (ours, theirs)]
    pd.testing.assert_frame_equal(*histories, rtol=1e-4)
    weights = [torch.load(result.path("classifier.pt"), weights_only=True) for result in (ours, theirs)]
    for name, value in weights[1].items():
        assert torch.allclose(weights[0][name], value, rtol=1e-3, atol=1e-5), name
    assert Store(tmp_path).result("cam", key("cam", settings_of(data_root))).finished


def test_a_rank_that_fails_waits_for_the_others(tmp_path, data_root, trained):
    broken = tmp_path / "data"
    shutil.copytree(data_root, broken)
    run = run_in(tmp_path / "results", broken, trained)
    name = run.units("rib")[0]
    picture = broken / "JPEGImages" / f"{name}.jpg"
    picture.write_bytes(picture.read_bytes()[:200])
    codes, outputs = launch(2, "cam", *options_of(broken, tmp_path / "results"))
    assert codes == [1, 0], outputs
    assert f"{name}.jpg: the JPEG is truncated" in outputs[0]
    assert [run.result("cam").has_unit(unit) for unit in run.units("cam")] == [False, True, True, True]


def _train(run):
    torch.set_num_threads(1)
    execute("classifier", run)


def test_two_runs_that_want_the_same_training_do_it_once(tmp_path, data_root):
    run = run_in(tmp_path, data_root)
    processes = [multiprocessing.get_context("spawn").Process(target=_train, args=(run,)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert len(run.result("classifier").sessions()) == 1


def test_bad_data_stop_a_run_before_training(tmp_path, data_root):
    broken = tmp_path / "data"
    shutil.copytree(data_root, broken)
    annotation = sorted((broken / "Annotations").iterdir())[0]
    annotation.write_text(annotation.read_text().replace("<name>", "<name>un", 1))
    run = run_in(tmp_path / "results", broken)
    with pytest.raises(ValueError, match=annotation.name):
        execute("classifier", run)
    assert not run.result("classifier").folder.exists()


def test_finished_training_survives_what_fails_after_it(tmp_path, data_root, monkeypatch):
    run = run_in(tmp_path, data_root)
    monkeypatch.setattr(maps, "image_logits", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        execute("classifier", run)
    monkeypatch.undo()
    monkeypatch.setattr("ribstudy.training.classifier.training_batches", None)  # no step is left to do
    assert execute("classifier", run).finished
    assert not run.result("classifier").path("checkpoint.pt").exists()


def test_other_weights_under_the_same_path_are_another_key(tmp_path, data_root):
    path = tmp_path / "weights.pth"
    keys = []
    for content in (b"one", b"two"):
        path.write_bytes(content)
        keys.append(key("classifier", settings_of(data_root, **{"classifier.weights": str(path)})))
    assert keys[0] != keys[1]


def test_data_at_another_place_are_checked_again(tmp_path, data_root, trained):
    execute("classifier", run_in(tmp_path / "results", data_root, trained))
    copy = tmp_path / "copy"
    shutil.copytree(data_root, copy)
    (sorted((copy / "Annotations").iterdir())[0]).write_text("<annotation/>")
    run = run_in(tmp_path / "results", copy)
    assert key("classifier", run.settings) == key("classifier", settings_of(data_root))
    with pytest.raises(ValueError, match="problems in"):
        execute("data", run)


def test_resumed_training_ends_with_the_same_weights(tmp_path, data_root, trained, monkeypatch):
    run = run_in(tmp_path, data_root)
    original, calls = classifier.training_batches, []

    def interrupted(load, num_images, batch_size, steps, **keywords):
        if steps.start > 0 and not calls:
            calls.append(steps)
            raise KeyboardInterrupt
        return original(load, num_images, batch_size, steps, **keywords)

    monkeypatch.setattr(classifier, "training_batches", interrupted)
    with pytest.raises(KeyboardInterrupt):
        execute("classifier", run)
    assert run.result("classifier").path("checkpoint.pt").is_file()
    resumed = execute("classifier", run).folder
    whole = Store(trained).result("classifier", key("classifier", run.settings)).folder
    ours, theirs = (torch.load(folder / "classifier.pt", weights_only=True) for folder in (resumed, whole))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert (resumed / "history.csv").read_text() == (whole / "history.csv").read_text()


@pytest.mark.parametrize("text", ["2/2", "1", "a/b", "-1/2", "0/0"])
def test_bad_shards_are_refused(text):
    with pytest.raises(ValueError, match="shard"):
        Shard.parse(text)


def test_command_line(tmp_path, data_root, capsys):
    options = options_of(data_root, tmp_path)
    assert main(["status", "--results", str(tmp_path / "none")]) == 1
    assert "no such folder" in capsys.readouterr().err
    assert main(["cam", *options, "--processes", "0"]) == 1
    assert main(["status", *options]) == 0
    assert "not run" in capsys.readouterr().out
    assert main(["cam", *options, "--shard", "0/2"]) == 0
    assert main(["cam", *options]) == 0
    folder = capsys.readouterr().out.splitlines()[-1]
    assert len(list(Path(folder).glob("units/*.npz"))) == 4
    main(["status", *options])
    assert "finished (4/4)" in capsys.readouterr().out


def test_command_line_errors_are_one_line(tmp_path, capsys):
    assert main(["rib", "--set", "rib.taau=1", "--results", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith("error: preset mini: rib.taau is unknown, did you mean tau?")
    assert main(["rib", "--preset", "voc12", "--data-root", str(tmp_path / "none"), "--results", str(tmp_path)]) == 1
    assert "none" in capsys.readouterr().err
    assert main(["rib", "--set", "rib.tau=[1", "--results", str(tmp_path)]) == 1
    assert "this value is not YAML" in capsys.readouterr().err
    assert main(["data", "--decode", "--results", str(tmp_path)]) == 1
    assert main(["data", "check", "--data-root", str(tmp_path / "none")]) == 1
    assert "not drawn yet" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def _run_until_killed_in_a_write(run, num_workers):
    """In a process of its own: SIGKILL arrives while the second image is being written."""
    original, calls = np.savez_compressed, []

    def half_written(path, **arrays):
        if calls:
            Path(path).write_bytes(b"half of it")
            os.kill(os.getpid(), signal.SIGKILL)
        calls.append(path)
        original(path, **arrays)

    np.savez_compressed = half_written
    execute("rib", replace(run, num_workers=num_workers))


@pytest.mark.parametrize("num_workers", [0, 2])
def test_killed_in_the_middle_of_a_write_it_ends_with_the_same_files(tmp_path, data_root, trained, num_workers):
    run = run_in(tmp_path / "killed", data_root, trained)
    process = multiprocessing.get_context("spawn").Process(target=_run_until_killed_in_a_write, args=(run, num_workers))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    units = run.result("rib").folder / "units"
    assert len(list(units.glob(".*"))) == 1
    assert len(run.result("rib").unit_names()) == 1
    execute("rib", run)
    assert files(run.result("rib")) == files(execute("rib", run_in(tmp_path / "whole", data_root, trained)))


def test_an_unreadable_auxiliary_image_fails_those_that_draw_it_and_says_so(tmp_path, data_root, trained):
    broken = tmp_path / "data"
    shutil.copytree(data_root, broken)
    run = run_in(tmp_path / "results", broken, trained)
    pool = datasets.training_set(run.settings.data)
    name = next(name for name in pool.names if name not in run.units("rib"))
    (broken / "JPEGImages" / f"{name}.jpg").write_bytes(b"")
    drawn = _drawn_by(run, pool)
    with pytest.raises(UnitsFailed, match=f"an auxiliary image: .*{name}.jpg: is empty") as caught:
        execute("rib", run)
    assert set(caught.value.failures) == {unit for unit, names in drawn.items() if name in names}
    assert run.result("rib").unit_names() == sorted(set(run.units("rib")) - set(caught.value.failures))


def _drawn_by(run, pool) -> dict[str, set[str]]:
    dataset = datasets.open_dataset(run.settings.data, run.settings.infer.split)
    draws = AuxiliaryDraws(
        pool.labels, dataset.names, dataset.labels, run.settings.auxiliary, num_steps=1, seed=run.settings.seed
    )
    return {unit: {pool.names[index] for index in draws.of(unit, 0)} for unit in dataset.names}


def test_one_process_with_many_threads_gives_the_bytes_of_many_processes(tmp_path, data_root, trained):
    torch.set_num_threads(2)
    try:
        one = execute("rib", run_in(tmp_path / "one", data_root, trained))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)
    assert files(one) == files(execute("rib", run_in(tmp_path / "two", data_root, trained), processes=2))


def test_no_image_with_a_mask_is_an_error(tmp_path, data_root, trained, monkeypatch):
    run = run_in(tmp_path, data_root, trained, **{"infer.masked": True})
    monkeypatch.setattr("ribstudy.datasets.voc12.VocDataset.masked_names", [])
    with pytest.raises(ValueError, match="no image of split 'train' has a mask"):
        execute("cam", run)


SMALL = {
    "classifier.backbone": "tf_efficientnet_lite0",
    **{name: value for name, value in TINY.items() if name != "data.minivoc"},
    "cam.scales": [1.0, 0.5],
    "rib.scales": [1.0, 0.5],
    "rib.loss_scales": [1.0],
    "infer.limit": 3,
}


@pytest.mark.parametrize("preset", ["voc12", "coco14", "custom"])
def test_every_preset_runs_from_its_data_to_maps(tmp_path, monkeypatch, preset):
    """On stand-ins of a few small images; the second of COCO's has no object."""
    monkeypatch.setattr("ribstudy.runtime.paths.DATA", tmp_path / "cache")
    kit = tmp_path / "kit"
    if preset == "coco14":
        synthetic.write_coco(kit, num_train=8, num_val=2, sizes={(96, 64): 1.0})
    else:
        synthetic.write_voc(kit, num_train=6, num_train_aug=8, num_val=2, sizes={(96, 64): 1.0})
    if preset == "custom":  # one class, and images without it
        voc = datasets.training_set(load_settings("voc12", {"data.root": str(kit)}).data)
        frequent = voc.labels.sum(axis=0).argmax()
        write_folder(tmp_path / "own", voc, voc.names, [voc.class_names[frequent]])
        kit = tmp_path / "own"
        (kit / "val.txt").write_text(voc.names[np.flatnonzero(~voc.labels[:, frequent])[-1]])
    split = {"infer.split": "train"}
    run = Run(load_settings(preset, {**SMALL, **split, "data.root": str(kit)}), Store(tmp_path / "results"))
    dataset = datasets.open_dataset(run.settings.data, "train")
    for stage in ("cam", "rib"):
        result = execute(stage, run)
        assert result.unit_names() == sorted(dataset.names[:3])
        for name in dataset.names[:3]:
            unit = result.read_unit(name)
            assert unit["keys"].tolist() == np.flatnonzero(dataset.label(name)).tolist()
            assert stored_seed_maps(unit).shape == (dataset.label(name).sum(), *dataset.image(name).shape[:2])
    if preset == "coco14":
        assert not dataset.label(dataset.names[1]).any()


def test_a_stage_is_run_under_each_of_several_settings(tmp_path, data_root, trained, capsys):
    root = run_in(tmp_path / "results", data_root, trained).store.root
    options = ["--results", str(root), "--processes", "1", "--data-root", str(data_root)]
    options += [word for name, value in TINY.items() for word in ("--set", f"{name}={json.dumps(value)}")]
    options += ["--each", "{cam.scales: [1.0]}", "--each", "{cam.scales: [1.0, 0.5]}"]
    assert main(["cam", *options]) == 0
    assert len(set(capsys.readouterr().out.split())) == len(list((root / "runs").glob("cam-*"))) == 2
    assert main(["cam", *options, "--each", "{cam.scalse: [1.0]}"]) == 1
    assert "scalse" in capsys.readouterr().err
