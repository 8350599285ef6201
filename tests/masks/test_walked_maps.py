import numpy as np

from ribstudy.masks.walked_maps import WalkedMaps, walked_scores


def test_stored_maps_are_read_unchanged():
    rng = np.random.default_rng(0)
    walked, boundary = rng.random((2, 3, 4)).astype(np.float32), rng.random((3, 4)).astype(np.float16)
    maps = WalkedMaps(np.array([1, 5]), (11, 14), walked, boundary)
    loaded = WalkedMaps.of_arrays(maps.to_arrays())
    assert loaded.size == (11, 14)
    for name in ("classes", "walked", "boundary"):
        ours, theirs = getattr(loaded, name), getattr(maps, name)
        np.testing.assert_array_equal(ours, theirs)
        assert ours.dtype == theirs.dtype
    np.testing.assert_array_equal(loaded.normalized(), walked_scores(walked, (11, 14)))
