import numpy as np
import torch

from ribstudy.toy import information
from ribstudy.toy.settings import ProbeSettings


def test_probes_find_a_copied_label_and_nothing_in_noise():
    rng = np.random.default_rng(0)
    labels = rng.integers(2, size=(1500, 2)).astype(np.float32)
    noise = rng.normal(size=(1500, 6)).astype(np.float32)
    features = torch.from_numpy(np.concatenate([noise, 3 * labels[:, :1]], axis=1))
    split = information.Split(*np.split(np.arange(1500), [600, 900]))
    probe = ProbeSettings(grid=1, placements=1, hidden=8, epochs=30, batch_size=64, learning_rate=0.3, weight_decay=0.0)
    bits = information.information_bits(features, labels, split=split, settings=probe, seed=0)
    assert (bits[0] > 0.95).all()
    assert (bits[1] < 0.03).all()


def test_entropy_and_pooling_by_hand():
    labels = np.array([[1, 1], [0, 1], [0, 1], [0, 1]])
    np.testing.assert_allclose(information.entropy_bits(labels), [0.811278, 0.0], atol=1e-6)
    values = torch.arange(16.0).reshape(1, 1, 4, 4)
    assert information.pooled(values, grid=2).tolist() == [[2.5, 4.5, 10.5, 12.5, 5.0, 7.0, 13.0, 15.0]]
