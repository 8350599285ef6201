import numpy as np

from ribstudy.masks.random_walk import walked_scores
from ribstudy.masks.walked_maps import WalkedMaps


def test_a_file_gives_back_the_same_maps(tmp_path):
    rng = np.random.default_rng(0)
    walked = rng.random((2, 3, 4)).astype(np.float32)
    stored = WalkedMaps(np.array([0, 2]), (9, 14), walked, rng.random((3, 4)).astype(np.float16))
    stored.save(tmp_path / "a.npz")
    found = WalkedMaps.load(tmp_path / "a.npz")
    assert found.size == (9, 14)
    for name in ("classes", "walked", "boundary"):
        np.testing.assert_array_equal(getattr(found, name), getattr(stored, name))
    np.testing.assert_array_equal(found.normalized(), walked_scores(walked, (9, 14)))
