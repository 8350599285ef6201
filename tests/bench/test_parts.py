"""The counted parts of an adaptation against the operations that run."""

import pandas as pd
import pytest
import torch
from helpers.networks import tiny_net

from ribstudy.bench.operations import StepFlop, Workload, count_flop, count_step, study_flop
from ribstudy.bench.parts import grouped_flop, parts_of, parts_of_net, total_flop
from ribstudy.bench.parts_tables import counted_table, roofline_text, savings_of_fast, seconds_table
from ribstudy.bench.projections import VOC
from ribstudy.bench.records import Bench, Measurement, Record
from ribstudy.method.rib import adapt
from ribstudy.method.settings import RibSettings

TINY = Workload(16, 16, num_auxiliary=1, crop_side=8, num_classes=3)
LITE = Workload(32, 32, 2, 32, backbone="tf_efficientnet_lite0")


def counted(settings: RibSettings) -> float:
    views = [torch.randn(2, 3, *size) for size in TINY.view_sizes(settings.scales)]
    batches = [(torch.randn(1, 3, 8, 8), torch.tensor([[0.0, 1.0, 0.0]]))] * settings.iterations
    net, labels = tiny_net(), torch.tensor([1.0, 0.0, 0.0])
    return count_flop(lambda: adapt(net, views, labels, batches, settings))[0]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"include_last": True},
        {"auxiliary": False, "loss_scales": (1.0,)},
        {"trained": "classifier"},
        {"trained": "last_stage"},
        {"mode": "fast"},
        {"mode": "fast", "direction": "gap"},
        {"mode": "fast", "direction": "random", "auxiliary": True},
    ],
    ids=str,
)
def test_the_parts_add_up_to_the_operations_that_run(changes):
    settings = RibSettings(**{"iterations": 4, "margin": 1e9, "spread_ratio": 1.0, **changes})
    parts = parts_of_net(tiny_net().to("meta"), TINY, settings)
    assert total_flop(parts) == counted(settings)
    assert sum(grouped_flop(parts).values()) == total_flop(parts)


def test_maps_along_a_line_take_at_most_the_counted_operations():
    settings = RibSettings(mode="fast", path="line", iterations=4, margin=1e9)
    most = total_flop(parts_of_net(tiny_net().to("meta"), TINY, settings))
    assert 0.6 * most < counted(settings) <= most


def test_the_exact_parts_are_those_of_the_schedule():
    step = count_step(LITE)
    assert total_flop(parts_of(LITE, RibSettings())) == study_flop(step, 10)
    assert total_flop(parts_of(LITE, RibSettings(), bank=True)) == study_flop(step, 10, bank=True)
    grouped = grouped_flop(parts_of(LITE, RibSettings()))
    assert list(grouped) == list(vars(StepFlop(1, 2, 3, 4, 5, 6)))
    assert grouped["own_backward"] == 9 * step.own_backward


def test_the_fast_mode_reaches_its_aims_in_operations():
    saved = savings_of_fast(VOC)
    assert saved["fewer"] >= 15
    assert saved["cams"] <= 3


def test_tables_show_measured_parts_and_name_those_that_were_not_measured():
    assert counted_table(VOC).loc["backward, scale 1.5", "times, fast"] == "0"
    assert seconds_table([]).to_string().count("not run") == 2
    (part, *_) = parts_of(LITE, RibSettings())
    benches = {
        "adaptation": Bench({}, vars(LITE), {}, "2026-01-02", 0.1),
        "parts": Bench({part.name: Measurement(2.0, "s", n=1)}, {}, {}, "2026-01-02", 0.1),
        "matmul": Bench({"fp32, 1 thread": Measurement(part.flop, "FLOP/s", n=1)}, {}, {}, "2026-01-02", 0.1),
    }
    record = Record({"slug": "a", "name": "A", "kind": "cpu", "cpu": "A", "cores": 2, "torch": "2"}, benches)
    shown = seconds_table([record]).reset_index().set_index("part")
    assert isinstance(shown, pd.DataFrame)
    assert shown.loc[part.name, ["s once", "s, fast", "of the matmul rate"]].tolist() == ["2.000", "2.00", "50%"]
    assert shown.loc["weights set back", "s once"] == "not run"
    assert roofline_text([record]) == f"- A, {part.name}: 50% of the rate of a matrix product, limited by arithmetic."
