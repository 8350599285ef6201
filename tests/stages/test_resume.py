"""Stages resume after they were killed or interrupted, or after the disk was full."""

import multiprocessing
import os
import resource
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from helpers.tiny_study import files, run_in

from ribstudy.method import rib
from ribstudy.stages import Shard, execute
from ribstudy.stages.classifier import CLASSIFIER
from ribstudy.stages.maps import RIB
from ribstudy.store import Store
from ribstudy.training import fit
from ribstudy.training.files import WEIGHTS


def _run_until_killed(run, images):
    """Runs in a separate process, which gets SIGKILL between two images."""
    original = rib.stored_adaptation
    done = []

    def stored_adaptation(*arguments, **options):
        if len(done) == images:
            os.kill(os.getpid(), signal.SIGKILL)
        done.append(None)
        return original(*arguments, **options)

    rib.stored_adaptation = stored_adaptation
    execute(RIB, run)


def test_a_run_killed_between_two_images_resumes(tmp_path, data_root, trained):
    whole = execute(RIB, run_in(tmp_path / "whole", data_root, trained))
    run = run_in(tmp_path / "killed", data_root, trained)
    for images in (1, 2):  # twice: the second kill comes after two more images
        process = multiprocessing.get_context("spawn").Process(target=_run_until_killed, args=(run, images))
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL
    killed = run.result(RIB)
    assert not killed.finished
    kept = {path.name: path.stat().st_mtime_ns for path in killed.folder.glob("items/*.npz")}
    assert len(kept) == 3
    execute(RIB, run)
    assert files(killed) == files(whole)
    assert all((killed.folder / "items" / name).stat().st_mtime_ns == time for name, time in kept.items())


def _run_with_small_files(run, size):
    """Runs in a separate process, which cannot write files larger than `size` bytes, as if the disk were full."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    try:
        execute(RIB, run)
    except OSError as error:
        note = " ".join(error.__notes__)
        os._exit(3 if "item" in note and "are kept in" in note else 4)
    os._exit(0)


def test_a_full_disk_stops_the_run_names_the_image_and_loses_nothing(tmp_path, data_root, trained):
    run = run_in(tmp_path, data_root, trained)
    execute(RIB, run, shard=Shard(0, 2))
    kept = files(run.result(RIB))
    process = multiprocessing.get_context("spawn").Process(target=_run_with_small_files, args=(run, 500))
    process.start()
    process.join()
    assert process.exitcode == 3
    assert files(run.result(RIB)) == kept  # nothing is lost, and no incomplete file is left
    execute(RIB, run)
    assert files(run.result(RIB)) == files(execute(RIB, run_in(tmp_path / "whole", data_root, trained)))


def _train(run):
    torch.set_num_threads(1)
    execute(CLASSIFIER, run)


def test_two_runs_that_want_the_same_training_do_it_once(tmp_path, data_root):
    run = run_in(tmp_path, data_root)
    processes = [multiprocessing.get_context("spawn").Process(target=_train, args=(run,)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert len(run.result(CLASSIFIER).sessions()) == 1


def test_finished_training_survives_what_fails_after_it(tmp_path, data_root, monkeypatch):
    run = run_in(tmp_path, data_root)
    monkeypatch.setattr("ribstudy.training.classifier.image_logits", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        execute(CLASSIFIER, run)
    monkeypatch.undo()
    monkeypatch.setattr("ribstudy.training.fit.training_batches", lambda *_, **__: 1 / 0)  # no step is left
    assert execute(CLASSIFIER, run).finished
    assert not run.result(CLASSIFIER).path("checkpoint.pt").exists()


def test_resumed_training_ends_with_the_same_weights(tmp_path, data_root, trained, monkeypatch):
    run = run_in(tmp_path, data_root)
    original, calls = fit.training_batches, []

    def interrupted(load, num_images, batch_size, steps, **keywords):
        if steps.start > 0 and not calls:
            calls.append(steps)
            raise KeyboardInterrupt
        return original(load, num_images, batch_size, steps, **keywords)

    monkeypatch.setattr(fit, "training_batches", interrupted)
    with pytest.raises(KeyboardInterrupt):
        execute(CLASSIFIER, run)
    assert run.result(CLASSIFIER).path("checkpoint.pt").is_file()
    resumed = execute(CLASSIFIER, run).folder
    whole = Store(trained).result("classifier", CLASSIFIER.key(run.settings)).folder
    ours, theirs = (safetensors.torch.load_file(folder / WEIGHTS) for folder in (resumed, whole))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert (resumed / "history.csv").read_text() == (whole / "history.csv").read_text()


def _run_until_killed_in_a_write(run, num_workers):
    """Runs in a separate process, which gets SIGKILL while it writes the second image."""
    original, calls = np.savez_compressed, []

    def half_written(path, **arrays):
        if calls:
            Path(path).write_bytes(b"half of it")
            os.kill(os.getpid(), signal.SIGKILL)
        calls.append(path)
        original(path, **arrays)

    np.savez_compressed = half_written
    execute(RIB, replace(run, given_workers=num_workers))


@pytest.mark.parametrize("num_workers", [0, 2])
def test_killed_in_the_middle_of_a_write_it_ends_with_the_same_files(tmp_path, data_root, trained, num_workers):
    run = run_in(tmp_path / "killed", data_root, trained)
    process = multiprocessing.get_context("spawn").Process(target=_run_until_killed_in_a_write, args=(run, num_workers))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    items = run.result(RIB).folder / "items"
    assert len(list(items.glob(".*"))) == 1
    assert len(run.result(RIB).item_names()) == 1
    execute(RIB, run)
    assert files(run.result(RIB)) == files(execute(RIB, run_in(tmp_path / "whole", data_root, trained)))
