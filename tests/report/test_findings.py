"""Over- and under-activation, choices on held-out images, and how far from the peak more is found."""

import numpy as np
import pytest
from helpers.sweeps import sweep_of, sweep_with_iou

from ribstudy.evaluation.coverage import Coverage
from ribstudy.evaluation.map_scores import DISTANCE_EDGES
from ribstudy.evaluation.protocol import BEST, WITHOUT_MASKS, Scored, resample
from ribstudy.evaluation.statistics import Estimate
from ribstudy.report import findings

UP, FLAT = Estimate(0.1, 0.05, 0.15), Estimate(0.1, -0.05, 0.25)


def test_over_and_under_activation_by_hand():
    """50 of 70 predicted and 100 true pixels are hits: 20 and 50 of a union of 120."""
    counts = np.array([50, 70, 100]).reshape(1, 1, 3, 1).repeat(4, axis=0)
    found = findings.under_less_over(resample([Scored(sweep_of(counts))], num_samples=20))
    assert list(found) == [BEST]
    sides = (found[BEST].first.value, found[BEST].second.value, found[BEST].difference.value)
    assert sides == pytest.approx((20 / 120, 50 / 120, 30 / 120))
    assert found[BEST].difference.low == pytest.approx(30 / 120)


@pytest.mark.parametrize(
    ("value", "half", "said"),
    [
        (0.3, 0.1, "too small: they miss 30.0 (20.0 to 40.0) percentage points more of the union than they wrongly add."),
        (-0.3, 0.1, "too large: they wrongly add 30.0 (20.0 to 40.0) percentage points more of the union than they miss."),
        (0.02, 0.1, "neither clearly too small nor clearly too large: they miss +2.0 (-8.0 to +12.0) percentage points"),
    ],
)
def test_the_extent_of_maps_follows_from_the_interval(value, half, said):
    found = Estimate(value, value - half, value + half)
    text = findings.extent_sentence({BEST: found})
    assert text.startswith(f"The maps are {said}")
    other = "answer" if found.excludes_zero else "sign"
    assert findings.extent_sentence({BEST: found, WITHOUT_MASKS: found.negative}).endswith(f"gives another {other}.")


def test_the_best_candidate_is_chosen_at_the_best_threshold_of_each():
    """The mIoU of the second is better at the first threshold, but the first one's best is better still."""
    candidates = {0.5: sweep_with_iou([[0.2, 0.8]] * 3), 2.0: sweep_with_iou([[0.7, 0.1]] * 3)}
    best, table = findings.choice_table(candidates)
    assert best == 0.5
    assert table.loc["0.5"].tolist() == ["0.800", "the best"]
    assert table.loc["2"].tolist() == ["0.700", "-0.100 (-0.100 to -0.100)"]


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        ([], np.nan),
        ([0], DISTANCE_EDGES[1]),
        ([0, 2, 3, 4, 8], DISTANCE_EDGES[5]),
        ([len(DISTANCE_EDGES) - 1], DISTANCE_EDGES[-1]),
    ],
)
def test_reach_is_the_outer_edge_of_the_longest_row_of_bins_above_zero(places, expected):
    objects = [UP if place in places else FLAT for place in range(len(DISTANCE_EDGES))]
    gain = Coverage(objects, Estimate(0.021, 0.01, 0.03))
    assert findings.reach(gain) == pytest.approx(expected, nan_ok=True)
    text = findings.reach_sentence(gain)
    assert ("at no distance" in text) == (not places)
    assert "changes by +2.1 (+1.0 to +3.0) percentage points" in text


def test_bins_without_an_interval_do_not_count():
    assert np.isnan(findings.reach(Coverage([Estimate(np.nan)] * len(DISTANCE_EDGES), Estimate(0.0))))


@pytest.mark.parametrize(
    ("extra", "growth", "words"),
    [
        ((-0.01, -0.02, -0.005), (0.02, 0.01, 0.03), ("leaks less", "add to the leak", "It is the threshold")),
        ((0.01, 0.005, 0.02), (0.02, 0.01, 0.03), ("leaks more", "add to the leak")),
        ((0.01, -0.02, 0.02), (-0.02, -0.03, -0.01), ("cannot be told apart", "reduce the leak")),
        ((-0.01, -0.02, -0.005), (0.0, -0.01, 0.01), ("leaks less", "do not clearly change")),
    ],
)
def test_the_threshold_is_named_only_if_the_maps_leak_more(extra, growth, words):
    sentence = findings.leak_sentence(Estimate(*extra), Estimate(*growth))
    assert all(word in sentence for word in words)
    assert ("It is the threshold" in sentence) == (len(words) == 3)


def test_the_published_gain_says_what_it_is_of():
    """48.8 (LPCAM, Table 1) and 56.5 (DGW, Table 2) in data/paper_values.csv."""
    text = findings.published_gain()
    assert "0.488 and 0.565, +0.077" in text
    assert "ResNet-50" in text
