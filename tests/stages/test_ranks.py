"""Stages on several ranks, started by torchrun."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import safetensors.torch
import torch
from helpers.tiny_study import copy_as_described, files, launch, options_of, run_in, settings_of

from ribstudy.stages import execute
from ribstudy.stages.classifier import CLASSIFIER
from ribstudy.stages.maps import CAM, RIB
from ribstudy.store import Store
from ribstudy.training.files import WEIGHTS


def test_torchrun_trains_and_makes_maps_in_one_go(tmp_path, data_root, trained):
    """Data, a shared training and maps, one after another: torchrun's store outlives the process group of a stage."""
    command = [str(Path(sys.executable).with_name("torchrun")), "--nproc-per-node", "2", "--standalone"]
    command += ["-m", "ribstudy", "rib", *options_of(data_root, tmp_path)]
    run = subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    whole = execute(RIB, run_in(tmp_path / "whole", data_root, trained))
    (record,) = tmp_path.glob("runs/rib-*/record.json")
    assert len(json.loads(record.read_text())["sessions"]) == 2
    assert {path.name for path in (record.parent / "items").iterdir()} == set(files(whole))


def test_ranks_are_shards(tmp_path, data_root, trained):
    whole = execute(RIB, run_in(tmp_path / "whole", data_root, trained))
    shutil.copytree(trained, tmp_path / "ranks")
    codes, outputs = launch(2, "rib", *options_of(data_root, tmp_path / "ranks"))
    assert codes == [0, 0], outputs
    result = Store(tmp_path / "ranks").result("rib", RIB.key(settings_of(data_root)))
    assert result.finished
    assert files(result) == files(whole)
    assert {session["shard"] for session in result.sessions()} == {"0/2", "1/2"}


def test_ranks_share_a_training_and_get_the_losses_of_one(tmp_path, data_root, trained):
    """Each rank gets half of every batch, and then computes the maps of its shard with the shared weights."""
    codes, outputs = launch(2, "cam", *options_of(data_root, tmp_path))
    assert codes == [0, 0], outputs
    of = CLASSIFIER.key(settings_of(data_root))
    ours, theirs = (Store(root).result("classifier", of) for root in (tmp_path, trained))
    assert len(ours.sessions()) == 2
    histories = [pd.read_csv(result.path("history.csv")) for result in (ours, theirs)]
    pd.testing.assert_frame_equal(*histories, rtol=1e-4)
    weights = [safetensors.torch.load_file(result.path(WEIGHTS)) for result in (ours, theirs)]
    for name, value in weights[1].items():
        # Sums in another order differ in the last digits, which the steps amplify; a wrong share of a batch would change 1e-3.
        assert torch.allclose(weights[0][name], value, rtol=1e-3, atol=5e-5), name
    assert Store(tmp_path).result("cam", CAM.key(settings_of(data_root))).finished


def test_a_rank_that_fails_waits_for_the_others(tmp_path, data_root, trained):
    broken = tmp_path / "data"
    copy_as_described(data_root, broken)
    run = run_in(tmp_path / "results", broken, trained)
    name = run.items(RIB)[0]
    picture = broken / "JPEGImages" / f"{name}.jpg"
    picture.write_bytes(picture.read_bytes()[:200])
    codes, outputs = launch(2, "cam", *options_of(broken, tmp_path / "results"))
    assert codes == [1, 0], outputs
    assert f"{name}.jpg: the image is not readable" in outputs[0]
    assert [run.result(CAM).has_item(name) for name in run.items(CAM)] == [False, True, True, True]
