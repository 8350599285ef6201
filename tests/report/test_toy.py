import numpy as np
import pytest

from ribstudy.report import paper
from ribstudy.report import toy as summary
from ribstudy.toy import experiment, gradients
from ribstudy.toy.data import REGIONS


def test_extra_fall_is_the_fall_of_the_marker_minus_the_fall_of_the_digit():
    hgr = np.zeros((len(experiment.NETWORKS), len(gradients.NORMALIZATIONS), 3, len(REGIONS)))
    hgr[0, 0, -3] = [0.6, 0.9, 0.1]  # the last convolution
    hgr[0, 0, -2] = [0.5, 0.7, 0.1]  # before the activation
    hgr[0, 0, -1] = [0.4, 0.1, 0.1]  # after it
    runs = [{"hgr": hgr, "hgr_by_layer": np.concatenate([np.ones_like(hgr[0])[:, :1], hgr[0]], axis=1)}]
    assert summary.extra_fall(runs) == pytest.approx([0.8 - 0.2])
    assert summary.extra_fall(runs, reading="sigmoid, read before it") == pytest.approx([0.2 - 0.1])
    assert summary.hgr_curves(runs)[0, :, 1].tolist() == [1.0, 0.9, 0.1]


def test_paper_values_of_the_toy_experiment():
    rows = paper.values("toy_hgr")
    assert len(rows) == 18
    assert summary.paper_curve().loc["non_discriminative", "G5"] == 0.88
    with pytest.raises(ValueError, match="toy_hgr"):
        paper.values("toy_hrg")
