"""The auxiliary images of an adaptation, and how they are drawn."""

import numpy as np
import pytest
import torch
from helpers.networks import tiny_net
from helpers.noise import LABELS, SETTINGS, Noise, draws_of

from ribstudy.datasets.base import DataError
from ribstudy.method.auxiliary import AuxiliaryDraws, DisjointPools, FeatureBank, auxiliary_batch


def test_pools_equal_a_scan_of_all_labels():
    pools = DisjointPools(LABELS, LABELS)
    for target, label in enumerate(LABELS):
        expected = [index for index, other in enumerate(LABELS) if not (label & other).any()]
        assert pools.of(target).tolist() == expected


def test_targets_without_a_pool_are_refused():
    targets = np.array([[True] * 5, [False] * 5, [True, False, False, False, False]])
    everything = np.array([[True, False, False, False, False], [True, True, False, False, False]])
    with pytest.raises(DataError, match=r"2 of 3 images, such as x, share a class.*auxiliary\.batch_size=0"):
        AuxiliaryDraws(everything, ["x", "y", "z"], targets, SETTINGS, num_steps=2, seed=0)
    without = AuxiliaryDraws(
        everything, ["x", "y", "z"], targets, SETTINGS.model_copy(update={"batch_size": 0}), num_steps=2, seed=0
    )
    assert without.of("x", 0).tolist() == []
    assert [without.num_steps(name) for name in "xyz"] == [2, 0, 2]


def test_drawn_images_share_no_class_and_a_small_pool_is_repeated():
    draws = draws_of()
    for place, label in enumerate(LABELS):
        if not label.any():
            continue
        drawn = np.concatenate([draws.of(f"image-{place}", step) for step in range(9)])
        assert not (LABELS[drawn] & label).any()
        pool = DisjointPools(LABELS, LABELS).of(place)
        assert sorted(drawn[: len(pool)]) == sorted(pool)[: len(drawn)] if len(pool) <= len(drawn) else len(set(drawn)) == 27


def test_draws_depend_on_seed_and_name_and_not_on_the_other_images():
    label = LABELS[3]
    alone = draws_of(label[None], names=["image-3"])
    np.testing.assert_array_equal(alone.of("image-3", 4), draws_of().of("image-3", 4))
    assert alone.of("image-3", 0).tolist() != draws_of(label[None], names=["image-3"], seed=1).of("image-3", 0).tolist()
    assert alone.of("image-3", 0).tolist() != draws_of(label[None], names=["other"]).of("other", 0).tolist()


def test_a_batch_depends_only_on_seed_name_step_and_place():
    dataset = Noise(LABELS)

    def batch(name="a", step=0, seed=0):
        chosen = np.array([4, 7, 9])
        return auxiliary_batch(dataset, chosen, name, step, SETTINGS, ((0.5,) * 3, (0.5,) * 3), seed=seed)

    images, labels = batch()
    assert images.shape == (3, 3, 16, 16)
    np.testing.assert_array_equal(labels, LABELS[[4, 7, 9]])
    assert torch.equal(images, batch()[0])
    assert not any(torch.equal(images, batch(**other)[0]) for other in ({"name": "b"}, {"step": 1}, {"seed": 1}))


@pytest.mark.parametrize("size", [7, 60])
def test_a_bank_has_the_frozen_features_of_its_crops(size):
    dataset, net = Noise(LABELS), tiny_net(num_classes=5)
    settings = SETTINGS.model_copy(update={"bank": size})
    bank = FeatureBank(net, dataset, settings, seed=0)
    np.testing.assert_array_equal(bank.labels, LABELS[bank.chosen])
    assert len(set(bank.chosen)) == min(size, 40)
    place = next(index for index in range(40) if LABELS[index].any() and len(DisjointPools(bank.labels, LABELS).of(index)))
    draws = AuxiliaryDraws(bank.labels, ["x"], LABELS[[place]], settings, num_steps=4, seed=0)
    batches = list(bank.batches(draws, "x"))
    assert len(batches) == 4
    for features, labels in batches:
        assert features.shape == (3, 6, 8, 8)
        assert not (labels.numpy().astype(bool) & LABELS[place]).any()
    again = FeatureBank(net, dataset, settings, seed=0)
    assert torch.equal(next(again.batches(draws, "x"))[0], batches[0][0])
