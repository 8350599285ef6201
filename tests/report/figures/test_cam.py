import numpy as np

from ribstudy.report.figures.cam import diverging


def test_signed_maps_are_white_at_zero():
    picture = diverging(np.array([[-1.0, 0.0, 1.0]]), (1, 3))
    blue, white, red = picture[0].astype(int)
    assert blue[2] > blue[0]
    assert (white > 240).all()
    assert red[0] > red[2]
