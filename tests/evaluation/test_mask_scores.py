import numpy as np

from ribstudy.evaluation.mask_scores import MaskScores, both_estimates, compare_steps


def test_two_methods_are_compared_after_each_step():
    """The IoU of the second method is 1 after the first step; all others are 0.5."""
    half = MaskScores(("a",), np.array([[[1, 1], [1, 1], [2, 2]]]), np.zeros((2, 2), int))
    full = MaskScores(("a",), np.array([[[2, 2], [2, 2], [2, 2]]]), np.zeros((2, 2), int))
    scores = {("CAM", "seeds"): half, ("RIB", "seeds"): full, ("CAM", "walk"): half, ("RIB", "walk"): half}
    gains = compare_steps(scores, "CAM", "RIB")
    assert {step: gain.difference.value for step, gain in gains.items()} == {"seeds": 0.5, "walk": 0}
    found = {names: estimate.value for names, estimate in both_estimates(gains, "CAM", "RIB").items()}
    assert found == {names: 1 if names == ("RIB", "seeds") else 0.5 for names in scores}
