"""The bars that leave zero out by chance: a permutation test over images, for all variants and trainings together."""

import numpy as np
import pytest
from helpers.sweeps import sweep_of

from ribstudy.evaluation.ablation import DEFAULT, differences, telling
from ribstudy.evaluation.chance import bars_by_chance, permuted
from ribstudy.evaluation.metrics import miou
from ribstudy.evaluation.protocol import BEST

NUM_CLASSES, NUM_THRESHOLDS = 4, 5


def counts_of(num_images, rng):
    """Counts [N, T, 3, C+1] of maps that find a varying share of every class, best at the third threshold."""
    true = rng.integers(500, 1500, (num_images, 1, NUM_CLASSES))
    shares = np.array([0.5, 0.65, 0.7, 0.65, 0.5])[:, None]
    hits = true * (shares + 0.05 * rng.normal(size=(num_images, NUM_THRESHOLDS, NUM_CLASSES))).clip(0, 1)
    predicted = hits * rng.uniform(1, 1.4, hits.shape)
    return np.stack([hits, predicted, np.broadcast_to(true, hits.shape)], axis=2).round().astype(np.int64)


def changed(counts, rng, deviation=0.05):
    """The same maps with hits that differ by chance."""
    factors = 1 + deviation * rng.normal(size=(len(counts), 1, NUM_CLASSES))
    hits = np.minimum(counts[:, :, 0] * factors, counts[:, :, 1:].min(axis=2)).round().astype(np.int64)
    return np.concatenate([hits[:, :, None], counts[:, :, 1:]], axis=2)


def test_swaps_equal_slow_swaps():
    rng = np.random.default_rng(0)
    first = counts_of(6, rng)
    second = changed(first, rng, 0.2)
    swapped = rng.integers(2, size=(30, 6)).astype(bool)
    found, influences = permuted(first, second, swapped)
    for swap, difference, of_images in zip(swapped, found, influences, strict=True):
        pairs = [
            (after, before) if other else (before, after) for other, before, after in zip(swap, first, second, strict=True)
        ]
        sides = list(zip(*pairs, strict=True))
        curves = [miou(sum(side)) for side in sides]
        assert difference == pytest.approx(curves[1].max() - curves[0].max())
        assert of_images.sum() == pytest.approx(0, abs=1e-12)
        at = [curve.argmax() for curve in curves]
        for place in range(6):  # the influence is a derivative by the weight of an image
            more = [miou(sum(side)[index] + 1e-4 * side[place][index]) for side, index in zip(sides, at, strict=True)]
            slope = (more[1] - more[0] - difference) / 1e-4
            assert of_images[place] == pytest.approx(slope, abs=1e-4)


def test_without_a_swap_the_difference_is_that_of_the_data():
    rng = np.random.default_rng(1)
    first, second = counts_of(8, rng), counts_of(8, rng)
    swapped = np.array([[False] * 8, [True] * 8])
    found, _ = permuted(first, second, swapped)
    assert found[0] == miou(second.sum(axis=0)).max() - miou(first.sum(axis=0)).max()
    assert found[1] == -found[0]


def study(num_variants, *, num_images=60, num_trainings=2, seed=0, same=False):
    """Sweeps of a default and of variants that differ from it by chance; same: all variants are one and the same."""
    rng = np.random.default_rng(seed)
    originals = [counts_of(num_images, rng) for _ in range(num_trainings)]
    found = {}
    for name in (DEFAULT, *(f"variant {number}" for number in range(num_variants))):
        drawn = np.random.default_rng((seed, 1)) if same and name != DEFAULT else rng
        found[name] = [sweep_of(changed(counts, drawn)) for counts in originals]
    return found


def chance_of(sweeps, num_permutations=400):
    return bars_by_chance(sweeps, differences(sweeps)[BEST], num_permutations=num_permutations)


def test_about_one_of_twenty_bars_leaves_zero_out_by_chance():
    """Bars are somewhat wide, because trainings differ on every image (see the protocol)."""
    found = chance_of(study(20, num_trainings=1))
    assert 0.6 <= found.expected <= 1.6
    assert 2 <= found.most <= 5
    assert chance_of(study(20, num_trainings=2)).expected < found.expected


def test_correlated_variants_leave_zero_out_together():
    """Twenty times the same variant: in most permutations no bar leaves zero out, in a few all twenty do."""
    same = chance_of(study(20, num_trainings=1, same=True))
    assert same.expected == pytest.approx(20 * chance_of(study(1, num_trainings=1, same=True)).expected)
    assert 0.4 <= same.expected <= 1.8
    assert same.most in (0, 20)


def test_the_expected_number_is_that_of_new_studies_without_an_effect():
    told, expected = [], []
    for seed in range(30):
        sweeps = study(5, seed=seed, num_trainings=1, num_images=40)
        found = differences(sweeps)[BEST]
        told.append(sum(map(len, telling(found))))
        expected.append(bars_by_chance(sweeps, found, num_permutations=100).expected)
    assert np.mean(expected) == pytest.approx(np.mean(told), abs=0.2)
    assert 0.15 <= np.mean(expected) <= 0.5


def test_variants_that_change_nothing_never_leave_zero_out():
    sweeps = study(1)
    nothing = {DEFAULT: sweeps[DEFAULT], "nothing": sweeps[DEFAULT]}
    found = chance_of(nothing)
    assert (found.expected, found.most) == (0, 0)


def test_the_order_of_images_hardly_matters():
    sweeps = study(10)
    turned = {name: [sweep_of(sweep.counts[::-1]) for sweep in of_variant] for name, of_variant in sweeps.items()}
    assert chance_of(turned, 1000).expected == pytest.approx(chance_of(sweeps, 1000).expected, abs=0.15)
