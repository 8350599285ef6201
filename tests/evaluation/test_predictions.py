from dataclasses import replace

import numpy as np
from helpers.scored_maps import halves, no_class

from ribstudy.evaluation.predictions import predicted_mask
from ribstudy.masks.walked_maps import WalkedMaps


def test_predicted_mask_by_hand():
    maps = halves(1.0, 0.0)
    assert np.unique(predicted_mask(replace(maps, steps=(maps.steps[0][:1],)), 0.5)).tolist() == [0, 1]
    assert predicted_mask(maps, 0.5).min() == 1
    assert predicted_mask(no_class(), 0.5).sum() == 0


def test_walked_maps_have_masks_too():
    walked = WalkedMaps(np.array([1]), (8, 8), np.ones((1, 2, 2), np.float32), np.zeros((2, 2), np.float16))
    assert (predicted_mask(walked, 0.5) == 2).all()
