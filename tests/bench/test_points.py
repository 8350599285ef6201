"""The counted operations of the methods on the frontier."""

import pytest

from ribstudy.bench.points import point_flop, workload_of
from ribstudy.config import load_settings


def test_other_methods_are_counted_by_class_and_step():
    settings = load_settings("study", {"advcam.iterations": 3})
    assert workload_of(settings).label == "384 x 384 pixels, 3 auxiliary crops of 224 squared"
    cam, layercam, advcam = (point_flop(maps, settings, classes=2.0) for maps in ("cam", "baseline", "advcam"))
    backward = (layercam - cam) / 2
    assert cam < 2 * backward
    assert advcam == pytest.approx(2 * (3 * cam + 2 * backward))
    assert point_flop("dilated", settings, classes=2.0) == cam
    with pytest.raises(ValueError, match="the operations of the stage walk are not counted"):
        point_flop("walk", settings, classes=1.0)
