"""Workers that load data ahead: the order of the items, and workers that die or hang."""

import os
import signal
import time
from dataclasses import replace

import pytest
import torch
from helpers.tiny_study import run_in

from ribstudy.runtime import limits, loading, ranks
from ribstudy.runtime.loading import load_ahead
from ribstudy.stages import execute
from ribstudy.stages.data import DATA
from ribstudy.stages.segmentation import SEGMENTATION


class Items(torch.utils.data.Dataset):
    """The double of each request. A request of -1 kills the worker, -2 stops it, and -4 asks for an exabyte."""

    def __getitem__(self, request):
        if request == -1:
            os.kill(os.getpid(), signal.SIGKILL)
        if request == -2:
            time.sleep(60)
        if request == -3:
            raise RuntimeError("a fault of the item")
        if request == -4:
            torch.empty(2**60, dtype=torch.uint8)
        return 2 * request


@pytest.mark.parametrize("num_workers", [0, 2])
def test_items_come_in_the_order_of_the_requests(num_workers):
    assert list(load_ahead(Items(), iter([3, 1, 2]), num_workers=num_workers, ahead=2)) == [6, 2, 4]


@pytest.mark.parametrize("fault", [-1, -2])
def test_a_worker_that_dies_or_stops_is_reported(fault, monkeypatch):
    monkeypatch.setattr(loading, "PATIENCE", 2)
    with pytest.raises(OSError, match=r"the worker processes that load images ended or stopped .* --workers 0"):
        list(load_ahead(Items(), [1, fault, 2], num_workers=1))


@pytest.mark.parametrize("num_workers", [0, 1])
def test_an_error_of_an_item_stays_what_it_is(num_workers):
    with pytest.raises(RuntimeError, match="a fault of the item"):
        list(load_ahead(Items(), [-3], num_workers=num_workers))


@pytest.mark.parametrize("num_workers", [0, 1])
def test_images_for_which_memory_does_not_suffice_are_reported_with_a_remedy(num_workers):
    items = load_ahead(Items(), [1, -4, 2], num_workers=num_workers)
    assert next(items) == 2
    with pytest.raises(OSError, match=r"memory ran out while images were loaded \(.*1152921504606846976 bytes.*data.max_side"):
        next(items)


def test_more_workers_than_the_shared_memory_has_room_for_are_refused(monkeypatch):
    monkeypatch.setattr(limits, "shared_memory", lambda: 300 * 2**20)
    ranks.check_workers(2)
    with pytest.raises(ValueError, match=r"--workers 4: .* has room for 2; use --workers 2, .*--shm-size=4g"):
        ranks.check_workers(4)


def test_a_thread_that_moves_tensors_and_dies_is_reported_as_its_workers_are(monkeypatch):
    def dies(*args, **options):
        raise RuntimeError("Pin memory thread exited unexpectedly")
        yield

    monkeypatch.setattr(loading, "DataLoader", dies)
    with pytest.raises(OSError, match="ended or stopped \\(Pin memory thread exited unexpectedly\\)"):
        list(load_ahead(Items(), [1], num_workers=1))


def test_workers_without_room_are_refused_before_any_stage_runs(tmp_path, data_root, monkeypatch):
    monkeypatch.setattr(limits, "shared_memory", lambda: 64 * 2**20)
    run = replace(run_in(tmp_path, data_root), given_workers=4)
    with pytest.raises(ValueError, match=r"--workers 4: .* has room for 0; use --workers 0"):
        execute(SEGMENTATION, run)
    assert not list(tmp_path.iterdir())
    execute(DATA, run)  # has no such workers


def test_the_default_number_of_workers_fits_into_the_shared_memory(monkeypatch):
    monkeypatch.setattr(ranks, "cores", lambda: 8)
    for free, workers in ((None, 7), (2**30, 7), (300 * 2**20, 2), (64 * 2**20, 0)):
        monkeypatch.setattr(limits, "shared_memory", lambda free=free: free)
        assert ranks.default_workers("cuda:0") == workers
        assert ranks.default_workers("cpu") == 0
