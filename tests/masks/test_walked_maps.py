import numpy as np

from ribstudy.masks.walked_maps import WalkedMaps, walked_scores


def test_saved_maps_load_unchanged(tmp_path):
    rng = np.random.default_rng(0)
    walked, boundary = rng.random((2, 3, 4)).astype(np.float32), rng.random((3, 4)).astype(np.float16)
    maps = WalkedMaps(np.array([1, 5]), (11, 14), walked, boundary)
    maps.save(tmp_path / "maps.npz")
    loaded = WalkedMaps.load(tmp_path / "maps.npz")
    assert loaded.size == (11, 14)
    for name in ("classes", "walked", "boundary"):
        ours, theirs = getattr(loaded, name), getattr(maps, name)
        np.testing.assert_array_equal(ours, theirs)
        assert ours.dtype == theirs.dtype
    np.testing.assert_array_equal(loaded.normalized(), walked_scores(walked, (11, 14)))
