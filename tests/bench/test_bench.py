"""`python -m ribstudy.bench` on tiny sizes, and the implementations that its benchmarks compare."""

import itertools
import json
from pathlib import Path

import numpy as np
import papermill
import pytest
import torch
from helpers.networks import tiny_net

from ribstudy.bench import adaptation
from ribstudy.bench.__main__ import BENCHES, main
from ribstudy.bench.adaptation import OPTIONS, REFERENCE, STUDY
from ribstudy.bench.loading import disjoint_by_scan
from ribstudy.bench.measure import BenchError, Plan, describe_device, peak_memory
from ribstudy.bench.pooling import METHODS
from ribstudy.bench.records import read_records
from ribstudy.bench.reference import adapt_as_reference
from ribstudy.bench.sweep import sweep_by_thresholds
from ribstudy.bench.variants import Outcome, deviation
from ribstudy.evaluation.metrics import threshold_sweep
from ribstudy.method.auxiliary import DisjointPools
from ribstudy.method.rib import adapt
from ribstudy.method.settings import RibSettings

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.xdist_group("bench")  # one process makes the quick record for all tests


@pytest.fixture(scope="module")
def quick(tmp_path_factory) -> Path:
    """The folder of results after a quick run of all benchmarks."""
    results = tmp_path_factory.mktemp("results")
    assert main(["--quick", "--device", "cpu", "--folder", str(results / "bench")]) == 0
    return results


def test_quick_run_leaves_a_record_of_every_benchmark(quick):
    (record,) = read_records(quick / "bench")
    assert list(record.benches) == sorted(BENCHES)
    assert record.device == describe_device("cpu")
    assert record.workload() == Plan("cpu", quick=True).workload
    assert record.value("adaptation", "study and reference: largest deviation") < adaptation.TOLERANCE
    for bench in record.benches.values():
        assert all(found.value > 0 or "deviation" in name or "pixels" in name for name, found in bench.measurements.items())


def test_one_benchmark_can_be_run_again(quick):
    before = read_records(quick / "bench")[0].benches
    assert main(["--quick", "--device", "cpu", "--folder", str(quick / "bench"), "--only", "sweep"]) == 0
    after = read_records(quick / "bench")[0].benches
    assert before["sweep"] != after["sweep"]
    assert all(before[name] == after[name] for name in before if name != "sweep")


def test_page_shows_a_record(quick, monkeypatch, tmp_path):
    """With the preset mini, which computes no point of the frontier."""
    monkeypatch.setenv("RIBSTUDY_RESULTS", str(quick))
    page, parameters = ROOT / "book" / "costs.ipynb", {"preset": "mini"}
    papermill.execute_notebook(page, tmp_path / "out.ipynb", parameters, kernel_name="python3", progress_bar=False)
    numbers = json.loads((quick / "records" / "costs.mini.json").read_text())
    assert numbers["tflop_reference_voc"]["value"] == pytest.approx(47.5, abs=0.1)
    assert any(name.startswith("speed_up-") for name in numbers)


def test_quick_run_writes_nothing_by_itself(tmp_path, monkeypatch):
    monkeypatch.setattr("ribstudy.runtime.paths.RESULTS", tmp_path)
    assert main(["--quick", "--device", "cpu", "--only", "sweep"]) == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "changes", [{}, {"margin": 1.0}, {"spread_ratio": 0.05, "spread_threshold": 0.6}, {"weight_decay": 0.1}], ids=str
)
def test_reference_schedule_gives_the_maps_of_the_study(changes, tmp_path):
    """tests/method/test_rib.py compares `adapt` with a slow loop in all settings; this test checks the timed schedule."""
    settings = RibSettings(**{"iterations": 4, "learning_rate": 0.05, "margin": 1e9, "spread_ratio": 1.0, **changes})
    generator = torch.Generator().manual_seed(0)
    views = [torch.randn(2, 3, round(24 * s), round(20 * s), generator=generator) for s in settings.scales]
    batches = [(torch.randn(2, 3, 16, 16, generator=generator), torch.tensor([[0.0, 1.0, 0.0]] * 2)) for _ in range(4)]
    labels, net = torch.tensor([1.0, 0.0, 1.0]), tiny_net()
    torch.save(net.state_dict(), tmp_path / "weights.pt")
    expected = adapt(net, views, labels, batches, settings).maps
    for _ in range(2):  # the second starts from the weights on disk again
        found = adapt_as_reference(net, tmp_path / "weights.pt", views, labels, batches, settings)
        for ours, theirs in zip(expected, found, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_ways_to_pool_agree():
    generator = torch.Generator().manual_seed(0)
    maps, labels = torch.randn(3, 4, 5, 6, generator=generator), torch.tensor([[1, 0, 0, 1], [0, 0, 0, 0], [1, 1, 1, 1]])
    for first, second in itertools.combinations([pool(maps, labels, 0.4) for pool in METHODS.values()], 2):
        torch.testing.assert_close(first, second)


def test_ways_to_sweep_agree():
    rng = np.random.default_rng(0)
    maps, keys, thresholds = rng.random((2, 6, 7)), np.array([1, 4]), np.arange(5) / 5
    truth = rng.choice([0, 2, 5, 255], size=(6, 7))
    fast = threshold_sweep(maps, keys, truth, num_classes=21, thresholds=thresholds)
    np.testing.assert_array_equal(sweep_by_thresholds(maps, keys, truth, thresholds), fast)


def test_ways_to_find_a_pool_agree():
    labels = np.random.default_rng(0).random((30, 5)) < 0.3
    pools = DisjointPools(labels, labels)
    for target in range(len(labels)):
        np.testing.assert_array_equal(disjoint_by_scan(labels, target), pools.of(target))


class FakeWorker:
    """A stand-in for a worker process: all maps equal `value`, and the FLOP are the formula's times `factor`."""

    def __init__(self, plan: Plan, variant, value: float = 1.0, factor: float = 1.0):
        self.variant = variant
        self._maps = [np.full((1, 2, 2), value, dtype=np.float32)]
        self._flop = adaptation._flop(plan, variant, adaptation.WARM_UP) * factor

    def run(self, job):
        return Outcome(1.0, self._maps, self._flop, 10)


def test_schedules_that_disagree_raise_an_error():
    plan = Plan("cpu", quick=True)
    reference = FakeWorker(plan, REFERENCE)
    found, _ = adaptation._schedules(plan, reference, FakeWorker(plan, STUDY))
    assert found["speed-up"].value == 1
    with pytest.raises(BenchError, match=r"differ by 1\.0\de-03 of the maps' maximum"):
        adaptation._schedules(plan, reference, FakeWorker(plan, STUDY, value=1.001))
    with pytest.raises(BenchError, match="differ by nan"):
        adaptation._schedules(plan, reference, FakeWorker(plan, STUDY, value=np.nan))
    with pytest.raises(BenchError, match=r"study: counted .* FLOP in 2 steps, expected"):
        adaptation._schedules(plan, reference, FakeWorker(plan, STUDY, factor=1.1))


def test_option_that_cannot_run_reports_the_reason(monkeypatch):
    def no_worker(variant, *_):
        raise BenchError(f"{variant.name}: InductorError: no C++ compiler")

    monkeypatch.setattr(adaptation, "Worker", no_worker)
    found = adaptation._option(Plan("cpu", quick=True), OPTIONS[2], Outcome(1.0, [], None, 0))
    assert {str(measurement) for measurement in found.values()} == {"not run: study, compiled: InductorError: no C++ compiler"}


def test_deviation_is_relative_to_each_maps_maximum():
    exact = [np.array([[[10.0, 0.0]], [[1.0, 0.0]]])]
    moved = [np.array([[[10.0, 1.0]], [[1.0, 0.3]]])]
    assert deviation(moved, exact) == pytest.approx((0.3, 0.1))


def test_peak_memory_is_this_processs():
    assert 2**26 < peak_memory("cpu") < 2**36
