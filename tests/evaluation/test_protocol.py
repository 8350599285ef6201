"""The protocol: three rules, paired intervals over images, images for choices and trainings."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.scored_maps import ManyMasks, Masks, halves, scored
from helpers.sweeps import counts_with_iou, masks_with_iou, sweep_of, sweep_with_iou

from ribstudy.evaluation.groups import groups_of
from ribstudy.evaluation.metrics import DEFAULT_THRESHOLDS, mean_scores
from ribstudy.evaluation.protocol import (
    BEST,
    FROM_VAL,
    MEASURES,
    RULES,
    WITHOUT_MASKS,
    Scored,
    compare,
    resample,
    resample_masks,
    values,
)
from ribstudy.evaluation.statistics import Estimate, draw_weights
from ribstudy.evaluation.sweeps import sweep_scores
from ribstudy.masks.threshold import otsu

FEW = {"num_samples": 200}


def many(count, start=0, shift=0):
    """Scores of random images; another `shift` gives other maps of images with the same names and masks."""
    data = ManyMasks(0)
    data.names = [f"{number:04d}" for number in range(start, start + count)]
    moved = {
        name: replace(data.maps(name), steps=tuple(maps ** (1 + shift) for maps in data.maps(name).steps))
        for name in data.names
    }
    return scored(data, moved)


def two_methods(num_reported=12, num_choices=7):
    """Scores of two methods: for each of two trainings, the reported images and the images for choices."""
    return [
        [(many(num_reported, 0, shift), many(num_choices, 50, shift)) for shift in shifts] for shifts in ((0, 0.3), (1, 1.7))
    ]


def resampled(trainings, **options):
    return resample([Scored(*map(sweep_scores, of_training)) for of_training in trainings], **{**FEW, **options})


def slow_scores(trainings, rule, num_samples):
    """For the data and for each sample, the scores of every training, image by image and threshold by threshold."""
    counts = [[[of_image.counts() for of_image in part.values()] for part in of_training] for of_training in trainings]
    histograms = [[of_image.histogram for of_image in reported.values()] for reported, _ in trainings]
    draws, of_choices = (draw_weights(stream, len(counts[0][stream]), num_samples).astype(int) for stream in (0, 1))
    rows = []
    for drawn, chosen in zip(draws, of_choices, strict=True):
        row = []
        for of_training, of_maps in zip(counts, histograms, strict=True):
            reported, choices, pixels = (
                sum(times * one for times, one in zip(weights, of_images, strict=True))
                for weights, of_images in ((drawn, of_training[0]), (chosen, of_training[1]), (drawn, of_maps))
            )
            if rule == WITHOUT_MASKS:
                index = np.abs(DEFAULT_THRESHOLDS - otsu(pixels)).argmin()
            else:
                of_rule = choices if rule == FROM_VAL else reported
                index = max(range(100), key=lambda at, counts=of_rule: mean_scores(counts[at])["miou"])
            row.append(mean_scores(reported[index]))
        rows.append(row)
    return rows


@pytest.mark.parametrize("rule", RULES)
def test_intervals_equal_those_of_a_slow_bootstrap(rule):
    methods, num_samples = two_methods(), 20
    fast = [resampled(trainings, num_samples=num_samples) for trainings in methods]
    slow = [slow_scores(trainings, rule, num_samples) for trainings in methods]
    drawn = draw_weights(2, 2, num_samples).astype(int)
    for measure in MEASURES:
        found = compare(*fast, measure=measure)[rule]
        first, second = (np.array([[scores[measure] for scores in row] for row in rows]) for rows in slow)
        for estimate, of_trainings in ((found.first, first), (found.second, second), (found.difference, second - first)):
            means = of_trainings.mean(axis=1)
            sample = [
                mean + 2**0.5 * (np.repeat(row, times).mean() - mean)
                for mean, row, times in zip(means, of_trainings, drawn, strict=True)
            ]
            low, high = np.quantile(sample[1:], [0.025, 0.975])
            assert tuple(vars(estimate).values()) == pytest.approx((means[0], low, high, 12, np.std(sample[1:])))


def test_every_rule_by_hand():
    """The maps find the object at thresholds from 0.5, on the images for choices only from 0.7. Otsu divides 0.3 and 1."""
    narrow, wide = (scored(Masks(), {"first": halves(1.0, right)}) for right in (0.5, 0.7))
    reported, choices = sweep_scores(narrow, steps=1), sweep_scores(wide, steps=1)
    histogram = np.zeros((1, 256), np.int64)
    histogram[0, [76, 255]] = 128  # 0.3 and 1
    drawn = resample([Scored(replace(reported, histograms=histogram), choices)])
    assert drawn.chosen == {FROM_VAL: [70], BEST: [50], WITHOUT_MASKS: [30]}
    found = {rule: scores["miou"].value for rule, scores in values(drawn).items()}
    assert found == {FROM_VAL: 1, BEST: 1, WITHOUT_MASKS: 0.25}


def test_rules_are_left_out_if_they_cannot_be_followed():
    reported = sweep_scores(many(3))
    assert list(resample([Scored(reported, reported)]).counts) == list(RULES)
    assert list(resample([Scored(reported)]).counts) == [BEST, WITHOUT_MASKS]
    partial = sweep_scores(many(3), steps=1)
    assert (list(resample([Scored(partial, partial)]).counts), resample([Scored(partial)]).coverage) == ([FROM_VAL, BEST], {})
    masks = resample_masks([masks_with_iou(0.2, 0.4)])
    assert (list(masks.counts), masks.chosen, masks.coverage) == ([FROM_VAL], {}, {})


def test_a_method_differs_from_itself_by_exactly_nothing():
    of_method = resampled(two_methods()[0])
    for measure in MEASURES:
        for found in compare(of_method, of_method, measure=measure).values():
            assert found.difference == Estimate(0, 0, 0, 12, 0)
            assert found.first == found.second


def test_the_order_of_images_does_not_matter():
    def backwards(trainings):
        return [tuple(dict(reversed(part.items())) for part in of_training) for of_training in trainings]

    methods = two_methods()
    found, reverse = (compare(*map(resampled, sides)) for sides in (methods, map(backwards, methods)))
    assert found == reverse


def test_the_order_of_trainings_matters_only_to_the_draws():
    sides = np.random.default_rng(0).uniform(0.2, 0.8, (2, 3, 30))
    found, reverse = (
        compare(*(resample_masks([masks_with_iou(*ious) for ious in side[::step]]) for side in sides))[FROM_VAL].difference
        for step in (1, -1)
    )
    assert reverse.value == pytest.approx(found.value)
    assert reverse.standard_error == pytest.approx(found.standard_error, rel=0.05)


def test_the_result_does_not_depend_on_how_many_samples_are_in_memory(monkeypatch):
    trainings = two_methods()[0]
    found = values(resampled(trainings))
    monkeypatch.setattr("ribstudy.evaluation.protocol.AT_ONCE", 7)
    assert values(resampled(trainings)) == found


def test_thresholds_from_val_vary_with_the_images_of_val():
    """All reported images are equal: only the images for choices vary. Two of three prefer the first threshold."""
    reported = sweep_with_iou(np.tile([0.5, 0.9], (4, 1)))
    choices = sweep_with_iou(np.array([[0.8, 0.1], [0.7, 0.5], [0.1, 0.9]]))
    found = values(resample([Scored(reported, choices)]))
    assert vars(found[BEST]["miou"]) == pytest.approx({"value": 0.9, "low": 0.9, "high": 0.9, "n": 4, "standard_error": 0})
    from_val = found[FROM_VAL]["miou"]
    assert (from_val.value, from_val.low, from_val.high) == pytest.approx((0.5, 0.5, 0.9))


def test_two_trainings_by_hand():
    """Equal images, so that only trainings vary: differences 0.1 and 0.3, mean 0.2; both draws of one training are half of all.

    A mean of two drawn trainings is 0.1, 0.2 or 0.3; its deviation is widened by the root of 2.
    """
    first = resample_masks([masks_with_iou(0.5, 0.5), masks_with_iou(0.4, 0.4)])
    second = resample_masks([masks_with_iou(0.6, 0.6), masks_with_iou(0.7, 0.7)])
    difference = compare(first, second)[FROM_VAL].difference
    assert (difference.value, difference.n) == (pytest.approx(0.2), 2)
    assert (difference.low, difference.high) == pytest.approx((0.2 - 0.1 * 2**0.5, 0.2 + 0.1 * 2**0.5))
    assert difference.standard_error == pytest.approx(0.1, rel=0.05)  # 0.1 / sqrt(2), widened by sqrt(2)


def test_equal_trainings_are_one_training():
    one, three = (
        compare(*(resample_masks([masks_with_iou(*ious)] * count) for ious in ((0.2, 0.4, 0.9), (0.3, 0.4, 0.5))))[FROM_VAL]
        for count in (1, 3)
    )
    for side in ("first", "second", "difference"):
        assert tuple(vars(getattr(three, side)).values()) == pytest.approx(tuple(vars(getattr(one, side)).values()))


def test_images_and_trainings_both_widen_the_interval_and_both_are_paired():
    rng = np.random.default_rng(0)
    ious = rng.uniform(0.2, 0.7, (3, 20)).round(2)
    base = resample_masks([masks_with_iou(*of_training) for of_training in ious])
    better = resample_masks([masks_with_iou(*of_training) for of_training in ious + 0.1])
    difference = compare(base, better)[FROM_VAL].difference
    assert (difference.low, difference.high) == pytest.approx((0.1, 0.1))
    gains = np.array([[0], [0.1], [0.2]])
    shifted = resample_masks([masks_with_iou(*of_training) for of_training in ious + gains])
    wide = compare(base, shifted)[FROM_VAL].difference
    assert wide.value == pytest.approx(0.1)
    assert wide.high - wide.low > 0.1
    assert base.measured(FROM_VAL).shape == (2001, 3)


def test_masks_and_maps_are_drawn_alike():
    """Masks made at the threshold from val are compared with the maps themselves: nothing but the choice differs."""
    ious = np.random.default_rng(1).uniform(0.2, 0.9, (15, 4)).round(2)
    maps = resample([Scored(sweep_with_iou(ious), sweep_with_iou(np.eye(4)[[2, 2]]))])
    masks = resample_masks([masks_with_iou(*ious[:, 2])])
    found = compare(masks, maps)
    assert list(found) == [FROM_VAL]
    assert tuple(vars(found[FROM_VAL].difference).values()) == pytest.approx((0, 0, 0, 15, 0))


def test_only_what_belongs_together_is_compared():
    one, two, other = (sweep_scores(many(count)) for count in (3, 3, 4))
    with pytest.raises(ValueError, match="not of the same images"):
        resample([Scored(one, two), Scored(other, two)], **FEW)
    with pytest.raises(ValueError, match="not of the same images"):
        resample([Scored(one, two), Scored(one, other)], **FEW)
    with pytest.raises(ValueError, match="or there is none"):
        resample([])
    with pytest.raises(ValueError, match="or there is none"):
        resample_masks([])
    drawn = resample([Scored(one, two)], **FEW)
    for different in (resample([Scored(other, two)], **FEW), resample([Scored(one, other)], **FEW)):
        with pytest.raises(ValueError, match="not of the same images"):
            compare(drawn, different)
    with pytest.raises(ValueError, match="1 and 2 trainings"):
        compare(drawn, resample([Scored(one, two)] * 2, **FEW))
    assert list(compare(drawn, resample([Scored(one)], **FEW))) == [BEST, WITHOUT_MASKS]


def test_intervals_from_groups_are_close_to_intervals_from_images():
    counts = counts_with_iou(np.random.default_rng(0).uniform(size=(2500, 1)))
    groups = groups_of(2500)
    summed = np.stack([counts[groups == group].sum(axis=0) for group in range(1000)])
    grouped, single = (values(resample([Scored(sweep_of(of_groups))]))[BEST]["miou"] for of_groups in (summed, counts))
    assert grouped.value == single.value
    assert grouped.standard_error == pytest.approx(single.standard_error, rel=0.05)


def test_images_without_a_class_can_be_left_out():
    scores = many(30)
    labelled = {name: of_image for name, of_image in scores.items() if len(of_image.classes)}
    found, expected = (
        values(resample([Scored(sweep)], **FEW)) for sweep in (sweep_scores(scores).labelled(), sweep_scores(labelled))
    )
    assert found == expected
    assert found[BEST]["miou"].n == 27
