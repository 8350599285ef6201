import numpy as np
from helpers.scored_maps import ManyMasks

from ribstudy.evaluation.leak import measure_leak, painted_shares
from ribstudy.evaluation.map_scores import score_maps
from ribstudy.masks.labelling import mask_of
from ribstudy.method.stored_maps import StoredMaps


def scores_of(truth: list[int], *steps: list[float], class_index: int = 0):
    """The scores of the maps of one class; one number is a square of 16 x 16 pixels."""
    maps = np.repeat(np.repeat(np.array(steps)[:, None, None], 16, axis=2), 16, axis=3).astype(np.float32)
    stored = StoredMaps(np.array([class_index]), (16, 16 * len(truth)), steps=(maps,))
    pixels = np.repeat([np.repeat(truth, 16)], 16, axis=0).astype(np.uint8)
    return score_maps(stored, stored, pixels, num_classes=2, every_step=True)


def test_painted_shares_by_hand():
    painted = scores_of([0, 0, 0, 0, 2, 255], [1, 1, 0, 0, 1, 1], class_index=1)
    assert painted_shares(painted, 1, 50).tolist() == [0.5]
    assert painted_shares(painted, 0, 50).tolist() == [0]  # the image does not show this class
    assert np.isnan(painted_shares(scores_of([1, 1], [1, 1]), 0, 50)).all()


def test_shares_equal_pixels_of_masks_after_each_step():
    data = ManyMasks(30)
    stored, names = data.stored(), data.names[1:10]
    found = measure_leak(data.scores(), names, 1, cam=30, rib=55)
    for name, of_cam, of_rib in zip(names, found.cam, found.rib, strict=True):
        maps, background = stored[name], data.mask(name) == 0
        shares = [(mask_of(maps.normalized(steps=1), maps.classes, 0.30)[background] == 2).mean()]
        shares += [(mask_of(maps.normalized(steps=step), maps.classes, 0.55)[background] == 2).mean() for step in (1, 2)]
        assert [of_cam, *of_rib] == shares


def test_leak_over_the_maps_by_hand():
    """The sums of the maps are 0.4, 0.7 and 0.47 in the background, relative to the object."""
    steps = [[1, 0.4], [1, 1], [1, 0]]
    scores = {"short": scores_of([1, 0], *steps[:2]), "longer": scores_of([1, 0], *steps)}
    found = measure_leak(scores, ["short", "longer"], 0, cam=30, rib=60)
    assert found.cam.tolist() == [1, 1]
    assert found.rib.tolist() == [[0, 1, 1], [0, 1, 0]]
    assert found.extra.tolist() == [0, -1]
    assert found.growth.tolist() == [1, 0]
    only_short = measure_leak(scores, ["short"], 0, cam=30, rib=60)
    assert only_short.rib.tolist() == [[0, 1, 1]]  # as long as the longest adaptation of its data set
