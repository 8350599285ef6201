import matplotlib.pyplot as plt
import pandas as pd

from ribstudy.config import load_settings
from ribstudy.evaluation.protocol import BEST, WITHOUT_MASKS
from ribstudy.evaluation.statistics import Comparison, Estimate
from ribstudy.report.figures.ablations import all_differences, curve_figure, evidence_table, values_table
from ribstudy.workflow.variants import GROUPS, every_variant, variants


def comparison(value, low, high):
    one = Estimate(0.5, 0.4, 0.6, 4)
    return Comparison(one, one, Estimate(value, low, high, 4, 0.01))


FOUND = {"gap": comparison(-0.02, -0.03, -0.01), "region": comparison(0.01, -0.01, 0.03), "bce": comparison(0.04, 0.02, 0.05)}


def test_the_largest_effect_comes_first():
    settings = load_settings("mini")
    shown = {BEST: FOUND, WITHOUT_MASKS: {**FOUND, "gap": comparison(0.01, 0.0, 0.02)}}
    ran = [variant for variant in variants(settings) if variant.name in FOUND]
    table = evidence_table(ran, shown, {"gap": 0.0001, "region": 0.5, "bce": 0.02})
    assert table.index.tolist() == ["bce", "gap", "region"]
    assert table.loc["gap"].tolist() == ["-0.020 (-0.030 to -0.010)", "+0.010 (+0.000 to +0.020)", "0.028", "< 0.001"]
    assert table.loc["bce", "adjusted p"] == "0.020"


def test_the_values_say_what_was_not_run():
    settings = load_settings("mini")
    table = values_table(every_variant(settings), FOUND, settings)
    assert table.loc["gap", "run"] == "yes"
    assert table.loc["first_20", "run"] == "not run"
    assert table.loc["momentum", ["here", "default", "paper"]].tolist() == ["0.9", "0.0001", "–"]


def test_the_default_has_the_scales_of_the_ablations():
    settings = load_settings("mini", {"ablations.scales": [1.0, 0.5]})
    assert values_table(every_variant(settings), {}, settings).loc["scales", "default"] == "1, 0.5"


def test_the_figure_has_a_line_for_each_group_and_its_variants_the_best_first():
    chosen = variants(load_settings("mini"))
    figure = all_differences(chosen, {**FOUND, "tau_low": comparison(0.02, 0.01, 0.03)})
    (axis,) = figure.axes
    labels = [(label.get_text(), label.get_fontweight()) for label in axis.get_yticklabels()]
    assert [text for text, weight in labels if weight == "bold"] == [GROUPS["objective"], GROUPS["region"]]
    assert [text for text, _ in labels[3:]] == ["tau 0.2", "denominator region", "pooling gap"]
    assert any(list(line.get_xdata()) == [0, 0] for line in axis.lines)
    filled = [line.get_markerfacecolor() for line in axis.lines if line.get_marker() == "o"]
    assert filled.count("white") == 1  # the interval of `region` includes zero
    plt.close(figure)
    assert all_differences(chosen, {}) is None  # no variant was run


def test_the_curve_is_drawn_over_all_steps():
    table = pd.DataFrame({"steps": [1, 2], "value": [0.0, 0.1], "low": [0.0, -0.1], "high": [0.0, 0.2]})
    figure = curve_figure(table, default_steps=1)
    assert any(len(line.get_xdata()) == len(table) for line in figure.axes[0].lines)
    plt.close(figure)
