"""The groups of images whose pixel counts are summed, so that the memory of a bootstrap does not grow with the images."""

import numpy as np

MAX_GROUPS = 1000


def groups_of(count: int) -> np.ndarray:
    """The group of each of `count` images, from 0: int [count].

    Each of up to 1,000 images is its own group. More images are shuffled into 1,000 groups whose sizes differ by at most one
    image, always in the same way for the same number: a list may be periodic, and so would be a rule such as every thousandth
    image.
    """
    places = np.arange(count)
    if count <= MAX_GROUPS:
        return places
    groups = np.empty_like(places)
    groups[np.random.default_rng(0).permutation(places)] = places % MAX_GROUPS
    return groups
