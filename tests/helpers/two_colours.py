"""An image of two colours, and the labels that follow them."""

import numpy as np

HEIGHT, WIDTH, EDGE = 24, 32, 15


def two_colours(noise=0):
    """Dark up to column 15, bright from there on."""
    image = np.full((HEIGHT, WIDTH, 3), (40, 60, 50), dtype=np.uint8)
    image[:, EDGE:] = (200, 180, 190)
    return image + np.random.default_rng(0).integers(0, noise + 1, image.shape).astype(np.uint8)


def sides(edge=EDGE):
    return (np.arange(WIDTH) >= edge).astype(np.int64) * np.ones((HEIGHT, 1), dtype=np.int64)
