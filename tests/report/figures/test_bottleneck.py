from ribstudy.evaluation.statistics import Estimate
from ribstudy.report.figures.bottleneck import estimates_table


def test_estimates_are_shown_with_their_number_of_images():
    table = estimates_table({("tied", "CAM"): Estimate(0.1, -0.05, 0.2, 24), ("tied", "RIB"): Estimate(0.1, n=1)})
    assert table.loc["tied"].tolist() == ["+0.100 (-0.050 to +0.200), n = 24", "+0.100 (no interval), n = 1"]
