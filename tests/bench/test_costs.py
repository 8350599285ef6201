import json
import math

import pandas as pd
import pytest
import torch
from helpers.networks import tiny_net

from ribstudy.bench import figures, operations, projection_tables, projections, tables
from ribstudy.bench.operations import StepFlop, Workload
from ribstudy.bench.projections import COCO, VOC, DataSetSize
from ribstudy.bench.records import MISSING, Bench, Measurement, Record, read_records, write_record
from ribstudy.bench.reference import adapt_as_reference
from ribstudy.config import load_settings
from ribstudy.datasets import fetch
from ribstudy.method.rib import adapt
from ribstudy.method.settings import RibSettings
from ribstudy.report import paper

TINY = Workload(16, 16, num_auxiliary=1, crop_side=8, num_classes=3, iterations=4)
TABLES = (
    tables.device_table,
    tables.schedule_table,
    tables.pieces_table,
    tables.loading_table,
    tables.options_table,
    tables.deviation_table,
    projection_tables.projection_table,
    projection_tables.targets_table,
)


def record(kind: str = "cuda", **measurements: dict[str, float]) -> Record:
    benches = {
        bench: Bench(
            {name: Measurement(value, n=1) for name, value in found.items()}, {}, {"commit": "a" * 40}, "2026-01-02", 0.1
        )
        for bench, found in measurements.items()
    }
    device = {"slug": "a-device", "name": "A device", "kind": kind, "cpu": "A", "cores": 2, "torch": "2.0"}
    return Record(device, benches)


def test_step_is_counted_as_by_hand():
    """Views of 16, 8, 24 and 32 pixels have 480 positions after the first convolution and 120 after the second.

    116 of the 120 are at the scales of the objective.
    """
    first, second, classifier = 2 * 9 * 3 * 6, 2 * 9 * 6 * 8, 2 * 8 * 3  # FLOP for a position of an image
    step = operations.count_step_of(tiny_net().to("meta"), TINY)
    assert step.own_frozen == 2 * first * 480
    assert step.own_trained == 2 * (second + classifier) * 120
    assert step.own_backward == 2 * (second + 2 * classifier) * 116  # nothing goes back into the frozen part
    assert step.auxiliary_frozen == first * 16
    assert step.auxiliary_trained == (second + classifier) * 4
    assert step.auxiliary_backward == (second + 2 * classifier) * 4


def test_schedules_add_up():
    step = StepFlop(1, 2, 3, 4, 5, 6)
    assert operations.reference_flop(step, 10) == 210
    assert operations.study_flop(step, 10) == 1 + 20 + 9 * (3 + 4 + 5 + 6)
    assert operations.study_flop(step, 10, bank=True) == 1 + 20 + 9 * (3 + 5 + 6)
    frozen, last, bank = operations.savings(step, 10).values()
    assert operations.reference_flop(step, 10) - frozen - last == operations.study_flop(step, 10)
    assert operations.study_flop(step, 10) - bank == operations.study_flop(step, 10, bank=True)
    assert [sum(parts.values()) for parts in figures.part_flop(step, 10).values()] == [210, 183, 147]


def test_counted_operations_are_the_operations_that_run(tmp_path):
    settings = RibSettings(iterations=TINY.iterations, margin=1e9, spread_ratio=1.0)
    views = [torch.randn(2, 3, *size) for size in TINY.view_sizes(settings.scales)]
    batches = [(torch.randn(1, 3, 8, 8), torch.tensor([[0.0, 1.0, 0.0]]))] * TINY.iterations
    labels = torch.tensor([1.0, 0.0, 0.0])
    step, net = operations.count_step_of(tiny_net().to("meta"), TINY), tiny_net()
    counted, _ = operations.count_flop(lambda: adapt(net, views, labels, batches, settings))
    assert counted == operations.study_flop(step, TINY.iterations)
    torch.save(net.state_dict(), tmp_path / "weights.pt")
    work = (net, tmp_path / "weights.pt", views, labels, batches, settings)
    counted, _ = operations.count_flop(lambda: adapt_as_reference(*work))
    assert counted == operations.reference_flop(step, TINY.iterations)


def test_whole_sets_agree_with_the_count_on_the_reference_code():
    """48 and 51 TFLOP an image were counted on the reference code's network, with a backward pass of twice the forward."""
    for data, expected in ((VOC, 48e12), (COCO, 51e12)):
        assert operations.reference_flop(operations.count_step(data.workload), 10) == pytest.approx(expected, rel=0.02)


def test_projections_by_hand():
    assert projections.hours(3600, flop=6.0, flop_rate=2.0) == 3
    # Views of 16, 8, 24 and 32 pixels: 1 + 1 + 4 + 4 positions, four steps, two classes, three images, four bytes.
    assert projections.maps_bytes(DataSetSize("", 3, TINY, 2.0)) == 10 * 4 * 2 * 3 * 4


def test_measurement_is_median_and_range():
    found = Measurement.of([3.0, 1.0, 2.0], "s")
    assert (found.value, found.low, found.high, found.n) == (2, 1, 3, 3)
    assert str(found) == "2 (1 to 3)"
    assert str(Measurement.not_run("no compiler")) == "not run: no compiler"


def test_records_come_back_as_they_were_written(tmp_path):
    written = record(matmul={"fp32": 1e12}, sweep={"speed-up": None})
    write_record(tmp_path, written)
    assert read_records(tmp_path) == [written]
    assert written.get("matmul", "bf16") == written.get("pooling", "study") == MISSING
    assert math.isnan(written.value("sweep", "speed-up"))
    assert read_records(tmp_path / "nowhere") == []


@pytest.mark.parametrize("text", ["", "[]", '{"device": {}}', json.dumps({"device": {}, "benches": {"sweep": {"date": ""}}})])
def test_error_names_a_file_that_is_not_a_record(tmp_path, text):
    (tmp_path / "bad.json").write_text(text)
    with pytest.raises(ValueError, match=r"bad\.json: is not a record"):
        read_records(tmp_path)


@pytest.mark.parametrize("records", [[], [record("cpu")], [record("cuda")]], ids=["none", "cpu", "cuda"])
@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.__name__)
def test_tables_without_measurements_say_not_run(table, records):
    shown = table(records)
    assert isinstance(shown, pd.DataFrame)
    assert "nan" not in shown.to_string().lower()
    if table is not tables.device_table or not records:
        assert "not run" in shown.to_string()
    assert tables.headline_numbers(records) == {}


def test_pictures_are_drawn_with_and_without_measurements():
    repeated = record("cpu", adaptation={"speed-up": 1.2})
    repeated.benches["adaptation"].measurements["all cores, speed-up"] = Measurement.of([1.1, 1.5, 1.3], "times")
    for records, num_bars in (([], 0), ([repeated], 2), ([record("cuda")], 0)):
        assert len(figures.schedule_bars(records).axes[0].patches) == num_bars
    assert figures.flop_bars().axes


def test_targets_are_compared_with_measurements():
    """At 20 of 40 TFLOP/s and the study's 42 TFLOP an image, VOC's 10,582 images take six hours."""
    quantities = {"seconds": 1.0, "FLOP": 20e12}
    measured = {f"{name}: {key}": value for name in projection_tables.BF16 for key, value in quantities.items()}
    table = projection_tables.targets_table(
        [record(adaptation=measured, matmul={"bf16": 40e12}, pooling={"loops, labelled maps, forward: speed-up": 3.0})]
    ).reset_index()
    verdicts = dict(zip(table["aim"].str.split(":").str[0], table["verdict"], strict=True))
    assert verdicts["share of the bf16 matmul rate"] == "met"
    assert verdicts["GNDRP forward, against loops"] == verdicts["all of VOC"] == "missed"
    assert verdicts["100 thresholds in one pass"] == "not run"
    flop = operations.study_flop(operations.count_step(VOC.workload), 10)
    assert float(table["found"][table["aim"].str.startswith("all of VOC")].item()) == pytest.approx(
        10_582 * flop / 20e12 / 3600, rel=0.01
    )


def test_the_exact_mode_is_judged_on_one_core_and_on_all():
    memory = {
        "reference: memory": 2.0,
        "study: memory": 1.0,
        "all cores, reference: memory": 2.0,
        "all cores, study: memory": 3.0,
    }
    table = projection_tables.targets_table([record("cpu", adaptation={"speed-up": 1.8, **memory})]).reset_index()
    assert table["verdict"][:4].tolist() == ["met", "met", "not run", "missed"]


@pytest.fixture(scope="module")
def full_run():
    return projections.full_run(VOC, load_settings("voc12"), num_val=10)


def test_a_full_run_by_hand(full_run):
    """The median image of VOC has 47 x 63 positions at stride 8 and 94 x 125 at stride 4."""
    step = operations.count_step(VOC.workload)
    assert full_run["rib"].flop == VOC.num_images * operations.study_flop(step, 10)
    assert full_run["cam"].flop == VOC.num_images * (step.own_frozen + step.own_trained)
    assert full_run["rib"].num_bytes == projections.maps_bytes(VOC) == 5 * full_run["cam"].num_bytes
    assert full_run["scores"].num_bytes == 10 * 47 * 63 * 21 * 2
    assert full_run["walk"].num_bytes == pytest.approx(VOC.num_images * 94 * 125 * (4 * 1.555 + 2))
    assert [stage for stage, cost in full_run.items() if cost.flop is None] == ["labels", "masks", "predictions"]
    forward = 65e9  # of ResNet-50 at stride 16 and 512 x 512 pixels, counted on the reference code's network
    assert full_run["classifier"].flop == pytest.approx(
        VOC.num_images * 5 * forward * 2.4, rel=0.1
    )  # nothing goes below stage 3
    assert full_run["affinity"].flop == pytest.approx(VOC.num_images * 3 * forward, rel=0.1)  # hardly any goes back


def test_hours_of_a_full_run_follow_from_the_devices_rate(full_run):
    """At 2 TFLOP/s on a GPU; nothing was measured on a CPU."""
    measured = record(adaptation={"study: seconds": 2.0, "study: FLOP": 4e12})
    table = projection_tables.full_run_table([measured], full_run)
    assert table.loc["rib", "hours, A device"] == f"{full_run['rib'].flop / 2e12 / 3600:,.1f}"
    assert table.loc["labels"].tolist() == ["CRF", "CRF", "not run: python -m ribstudy.bench", "small"]
    counted = sum(cost.flop for cost in full_run.values() if cost.flop)
    assert table.loc["all of them", "PFLOP"] == f"{counted / 1e15:,.2f}"
    nothing = projection_tables.full_run_table([], full_run)
    assert set(nothing[["hours, a CPU", "hours, a GPU"]].to_numpy().ravel()) == {"not run: python -m ribstudy.bench"}
    unfinished = projection_tables.full_run_table([record(sweep={"speed-up": 3.0})], full_run)
    assert unfinished.loc["rib", "hours, A device"] == "not run"


def test_data_sets_have_the_published_numbers_of_images():
    for data, split, counted in (
        ("voc12", "train_aug", VOC.num_images),
        ("coco14", "train", COCO.num_images),
        *(("voc12", split, count) for split, count in fetch.COUNTS.items()),
    ):
        published = paper.values(f"{data}_counts").set_index(["row", "column"])["value"]
        assert counted == published[split, "images"]
