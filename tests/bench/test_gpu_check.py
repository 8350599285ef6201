"""`make gpu-check` where there is no GPU: the same parts in tiny sizes, and its messages about failures and missing parts."""

import subprocess
import time
from pathlib import Path

import pytest
import torch

from ribstudy.bench import gpu_check, parity, study_slice
from ribstudy.bench.gpu_check import PARTS, failures, main, rows
from ribstudy.bench.measure import describe_device
from ribstudy.bench.one_step import relative
from ribstudy.bench.records import Bench, Measurement, Record, read_records
from ribstudy.bench.running import add_to_record, measured_before

ROOT = Path(__file__).resolve().parents[2]
GIT = {"commit": "a" * 40, "dirty": False}
SLICE = [timed.name for timed in study_slice.timed_stages(study_slice.FULL)]


def bench(measurements: dict[str, float | None], date: str = "2026-01-02T00:00:00+00:00", git: dict = GIT, **settings) -> Bench:
    found = {name: Measurement(value, n=1, note="no driver" if value is None else "") for name, value in measurements.items()}
    return Bench(found, settings, git, date, 0.1)


def parity_bench(**values: float | None) -> Bench:
    return bench(values, tolerances=dict.fromkeys(values, 0.5))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Record:
    """The record of the parts that are not benchmarks of their own, in tiny sizes."""
    results = tmp_path_factory.mktemp("results")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RIBSTUDY_RESULTS", str(results))
        assert main(["--folder", str(results / "bench"), "--parts", "parity", "study_slice"]) == 0
    assert not (results / "gpu-check").exists()
    (record,) = read_records(results / "bench")
    return record


@pytest.mark.xdist_group("gpu_check")
def test_the_cpu_agrees_with_itself_and_bf16_differs(tiny):
    assert failures(tiny) == []
    checks = {check.name: check for check in parity.checks_of(tiny.benches["parity"])}
    assert all(check.value == 0 for name, check in checks.items() if ", fp32: " in name or "second run" in name)
    assert checks["RIB, exact, bf16: maps"].value > 0
    assert {name.split(":")[0] for name in checks if name.startswith("step of")} >= {"step of segmentation, bf16"}


@pytest.mark.xdist_group("gpu_check")
def test_every_stage_of_the_slice_is_timed(tiny):
    found = tiny.benches["study_slice"].measurements
    assert list(found) == sorted(f"{name}: {quantity}" for name in SLICE for quantity in study_slice.QUANTITIES)
    assert all(measurement.value > 0 for measurement in found.values())
    table = {row[0]: row for row in rows(tiny, {})}
    assert table["study_slice: cam"][1].endswith("images/s")
    assert table["adaptation: reference"][1:3] == ("not run", "not run")


def test_the_slice_has_the_modes_and_precisions_of_the_parity_checks():
    expected = {f"rib, {mode}, {precision}" for mode in parity.MODES for precision in parity.PRECISIONS}
    assert {name for name in SLICE if name.startswith("rib")} == expected


def test_differences_of_maps_by_hand():
    """One class at one scale, two steps of two positions each; the maps of the first step are equal."""
    exact = [torch.tensor([[[[1.0, 0.0]]], [[[3.0, 1.0]]]])]
    ours = [torch.tensor([[[[1.0, 0.0]]], [[[3.0, 2.0]]]])]
    found = parity.differences_of_maps(ours, exact, (16, 32))
    assert found["maps"] == pytest.approx(1 / 4)  # the sums are (4, 1) and (4, 2)
    assert found["effect of the steps"] == pytest.approx(1 / 5**0.5)  # the changes are (2, 1) and (2, 2)
    # Divided by their maxima and resized, the exact sums fall from 1 to 1/4 between the columns 7.5 and 23.5, and below 0.35 in
    # the last 10 of 32 columns; ours stay at 1/2 or more, so that only this of the two masks differs.
    assert found["CRF input, labels"] == pytest.approx(10 / 64)


def test_relative_difference_by_hand():
    exact = {"a": torch.tensor([3.0]), "b": torch.tensor([0.0, 4.0])}
    assert relative(exact, exact) == 0
    assert relative({"a": torch.tensor([3.0]), "b": torch.tensor([0.0, 3.0])}, exact) == pytest.approx(0.2)


def test_a_failed_check_names_what_differs_and_by_how_much():
    record = Record(describe_device("cpu"), {"parity": parity_bench(walk=0.7, loss=0.1, maps=float("nan"), boundary=None)})
    assert failures(record) == [
        "parity: walk: differs by 0.7, more than 0.5",
        "parity: maps: differs by nan, more than 0.5",
        "parity: boundary: not run: no driver",
    ]
    verdicts = {row[0]: row[3] for row in rows(record, {}) if row[0].startswith("parity")}
    assert verdicts == {"parity: walk": "FAILED", "parity: loss": "ok", "parity: maps": "FAILED", "parity: boundary": "FAILED"}


def test_a_stage_that_cannot_run_is_a_failure():
    record = Record(describe_device("cpu"), {"study_slice": bench({"labels: images a second": None, "cam: memory": 2.0})})
    assert failures(record) == ["study_slice: labels: images a second: not run: no driver"]


def in_place_of_processes(monkeypatch, folder: Path, outcomes: dict[str, str | None]) -> list[list[str]]:
    """Parts are "measured" at once until one has a reason to fail; returns the lists of parts of each process."""
    calls: list[list[str]] = []

    def run_parts(names, into, end):
        calls.append(list(names))
        for name in names:
            if outcomes.get(name):
                return outcomes[name]
            measured = parity_bench(walk=0.1) if name == "parity" else bench({"cam: memory": 1.0}, date="2999-01-01")
            add_to_record(folder, describe_device("cpu"), name, Bench(**{**vars(measured), "date": "2999-01-01"}))
        return None

    monkeypatch.setattr(gpu_check, "_run_parts", run_parts)
    monkeypatch.setattr(gpu_check, "git_state", lambda: GIT)
    monkeypatch.setattr(gpu_check.ranks, "device", lambda: "cpu")
    return calls


def test_a_part_that_fails_does_not_stop_the_others_and_is_the_only_one_to_be_run_again(monkeypatch, tmp_path, capsys):
    calls = in_place_of_processes(monkeypatch, tmp_path, {"matmul": "failed: no kernel"})
    assert main(["--folder", str(tmp_path)]) == 1
    order = list(PARTS)
    assert calls == [order, order[order.index("matmul") + 1 :]]
    assert "matmul: failed: no kernel" in capsys.readouterr().out
    again = in_place_of_processes(monkeypatch, tmp_path, {})
    assert main(["--folder", str(tmp_path)]) == 0
    assert again == [["matmul"]]
    assert main(["--folder", str(tmp_path), "--anew"]) == 0
    assert again[1:] == [order]


def test_without_time_it_says_what_is_missing(monkeypatch, tmp_path, capsys):
    in_place_of_processes(monkeypatch, tmp_path, {"matmul": "the time was over"})
    assert main(["--folder", str(tmp_path), "--minutes", "0"]) == 1
    out = capsys.readouterr().out
    assert "There is no GPU here" in out
    assert "adaptation: not run: the time was over; the same command continues with it" in out
    assert set(measured_before(tmp_path, describe_device("cpu"))) == {"parity", "study_slice"}


def test_the_process_of_the_parts_is_killed_when_the_time_is_over(tmp_path):
    assert gpu_check._run_parts(["sweep"], tmp_path, end=0) == "the time was over"
    assert read_records(tmp_path) == []


def test_a_part_is_measured_in_a_process_of_its_own(tmp_path):
    assert gpu_check._run_parts(["sweep"], tmp_path, end=time.monotonic() + 600) is None
    (record,) = read_records(tmp_path)
    assert list(record.benches) == ["sweep"]


def test_the_copy_for_another_machine_is_small_and_names_its_commit(tmp_path):
    def git(folder: Path, *arguments: str) -> str:
        run = subprocess.run(["git", "-C", folder, *arguments], capture_output=True, text=True)
        return run.stdout.strip()

    commit = git(ROOT, "rev-parse", "HEAD")
    if not commit:
        pytest.skip("this is not a git checkout")
    subprocess.run(["make", "gpu-copy", f"COPY={tmp_path / 'copy'}"], cwd=ROOT, check=True, capture_output=True)
    archive = tmp_path / "copy.tar.gz"
    assert archive.stat().st_size < 64 * 2**20
    subprocess.run(["tar", "-C", tmp_path, "-xzf", archive], check=True)
    assert git(tmp_path / "ribstudy", "rev-parse", "HEAD") == commit
    assert git(tmp_path / "ribstudy", "status", "--porcelain") == ""
    assert not (tmp_path / "ribstudy" / "published").exists()
