import matplotlib.pyplot as plt
import pandas as pd

from ribstudy.config import load_settings
from ribstudy.evaluation.statistics import Comparison, Estimate
from ribstudy.report.figures.ablations import curve_figure, group_figure, summary_table
from ribstudy.workflow.variants import GROUPS, every_variant, variants


def comparison(value, low, high):
    one = Estimate(0.5, 0.4, 0.6, 4)
    return Comparison(one, one, Estimate(value, low, high, 4))


FOUND = {"gap": comparison(-0.02, -0.03, -0.01), "region": comparison(0.01, -0.01, 0.03), "bce": comparison(0.04, 0.02, 0.05)}


def test_the_summary_says_what_was_not_run():
    settings = load_settings("study")
    table = summary_table(every_variant(settings), FOUND, settings)
    assert table.loc["gap", "difference (95 %)"] == "-0.020 (-0.030 to -0.010)"
    assert table.loc["first_20", "difference (95 %)"] == "not run"
    assert table.loc["momentum", ["here", "preset", "paper"]].tolist() == ["0.9", "0.0001", "–"]


def test_figures_show_each_variant_of_a_group_and_the_line_at_zero():
    chosen = variants(load_settings("study"))
    figure = group_figure("region", chosen, FOUND)
    (axis,) = figure.axes
    assert [label.get_text() for label in axis.get_yticklabels()] == ["denominator region", "pooling gap"]
    assert axis.get_title() == GROUPS["region"]
    assert any(list(line.get_xdata()) == [0, 0] for line in axis.lines)
    filled = [line.get_markerfacecolor() for line in axis.lines if line.get_marker() == "o"]
    assert filled.count("white") == 1  # the interval of `region` includes zero
    plt.close(figure)


def test_the_curve_is_drawn_over_all_steps():
    table = pd.DataFrame({"steps": [1, 2], "value": [0.0, 0.1], "low": [0.0, -0.1], "high": [0.0, 0.2]})
    figure = curve_figure(table, default_steps=1)
    assert any(len(line.get_xdata()) == len(table) for line in figure.axes[0].lines)
    plt.close(figure)
