"""The memory that stages need, and how many processes fit into it."""

import subprocess
import sys
from types import SimpleNamespace

import pytest
from helpers.own_folder import own, write_own_folder
from helpers.tiny_study import settings_of

from ribstudy.config import load_settings
from ribstudy.datasets.settings import DataSettings
from ribstudy.masks.crf import crf_memory
from ribstudy.runtime import limits
from ribstudy.stages import Run, memory
from ribstudy.stages.execution import default_processes
from ribstudy.stages.maps import CAM
from ribstudy.stages.masks import MASKS
from ribstudy.stages.segmentation import PREDICTIONS
from ribstudy.stages.toy import TOY

GIB = 2**30
CRF = """
import re
from pathlib import Path
import numpy as np
from ribstudy.masks.crf import refine_probabilities
def peak():
    return 1024 * int(re.search(r"VmHWM:\\s+([0-9]+) kB", Path("/proc/self/status").read_text())[1])
image = np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)
before = peak()
refine_probabilities(image, np.full(({labels}, 128, 128), 1 / {labels}, np.float32))
print(peak() - before)
"""


@pytest.fixture
def machine(monkeypatch):
    """A machine with 8 cores and 16 GiB."""
    monkeypatch.setattr(limits, "cores", lambda: 8)
    monkeypatch.setattr(limits, "memory", lambda: 16 * GIB)
    for name in ("RIBSTUDY_CORES", "LOCAL_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("labels", [21, 81])
@pytest.mark.skipif(sys.platform != "linux", reason="the peak of memory is read from /proc")
def test_the_crf_takes_as_much_memory_as_is_counted(labels):
    done = subprocess.run([sys.executable, "-c", CRF.format(labels=labels)], capture_output=True, text=True, check=True)
    assert 0.75 < int(done.stdout) / crf_memory(labels, 128 * 128) < 1.15


@pytest.mark.parametrize(
    ("data", "pixels"),
    [
        (DataSettings(name="voc12", root=None), 250_000),
        (DataSettings(name="coco14", root=None), 409_600),
        (own(None), 12_000_000),
        (own(None, max_side=1024), 1_048_576),
    ],
)
def test_the_largest_image_follows_from_the_settings(data, pixels):
    assert memory.most_pixels(data) == pixels


def test_the_drawn_images_have_one_size(tmp_path):
    assert memory.most_pixels(settings_of(tmp_path).data) == 64 * 64


def test_many_classes_leave_room_for_fewer_processes(machine):
    for name, expected in (("voc12", 8), ("coco14", 4)):  # 0.5 and 2.6 GiB for the CRF
        run = Run(load_settings(name, {"data.root": "unused"}), given_device="cpu")
        assert default_processes(PREDICTIONS, run) == expected
        without = Run(load_settings(name, {"data.root": "unused", "predictions.crf": False}), given_device="cpu")
        assert default_processes(PREDICTIONS, without) == 8


def test_large_images_leave_room_for_fewer_processes(machine, tmp_path):
    write_own_folder(tmp_path)
    run = Run(load_settings("custom", {"data.root": str(tmp_path)}), given_device="cpu")  # max_side 1024
    assert default_processes(CAM, run) == 1  # 8.4 GiB each
    assert memory.of_the_seed_crf(run) == GIB + crf_memory(3, 1024**2)  # an image of train has two classes
    assert default_processes(MASKS, run) == 8
    assert default_processes(TOY, run) == 8


def test_a_part_of_the_cores_has_the_same_part_of_the_memory(machine, monkeypatch):
    run = SimpleNamespace(device="cpu")
    stage = SimpleNamespace(memory=lambda run: 3 * GIB, on_gpu=True)
    assert default_processes(stage, run) == 5
    monkeypatch.setenv("RIBSTUDY_CORES", "4")
    assert default_processes(stage, run) == 2
    monkeypatch.setenv("RIBSTUDY_CORES", "1")
    assert default_processes(stage, run) == 1


def test_a_container_of_one_core_and_three_gib_has_room_for_one_process(monkeypatch):
    monkeypatch.setattr(limits, "cores", lambda: 1)
    monkeypatch.setattr(limits, "memory", lambda: 3 * GIB)
    run = Run(load_settings("voc12", {"data.root": "unused"}), given_device="cpu")
    assert default_processes(CAM, run) == 1
