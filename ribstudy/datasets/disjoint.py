"""Images that share a class with all others, so that no auxiliary image of RIB can be drawn for them."""

import numpy as np

AT_ONCE = 1024  # images that are compared at a time, at most


def shares_with_all(labels: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Whether each image shares a class with every one of `others`, bool [M].

    Most images are settled by the frequencies of their classes, so the time is in proportion to M + N.

    Args:
        labels: bool [M, C] of the images.
        others: bool [N, C].
    """
    counts = others.sum(axis=0)
    found = labels @ counts >= len(others)  # or else the images of its classes, also without overlap, are fewer than all
    if found.any():
        found[found] = _compared(labels[found], others, counts)
    return found


def _compared(labels: np.ndarray, others: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """As `shares_with_all`. Each image is compared with those that lack the most frequent one of its classes."""
    candidates, row_of = np.unique(labels, axis=0, return_inverse=True)
    distinct = np.unique(others, axis=0)
    distinct = distinct[np.argsort(distinct.sum(axis=1), kind="stable")]  # few classes: disjoint from most images
    most_frequent = np.where(candidates, counts, -1).argmax(axis=1)
    found = np.ones(len(candidates), bool)
    for index in np.unique(most_frequent):
        lacking = distinct[~distinct[:, index]].astype(np.float32)
        left, start, size = np.flatnonzero(most_frequent == index), 0, 1
        while left.size and start < len(lacking):
            shares = (candidates[left].astype(np.float32) @ lacking[start : start + size].T > 0).all(axis=1)
            found[left[~shares]] = False
            left, start, size = left[shares], start + size, min(2 * size, AT_ONCE)
    return found[row_of.ravel()]
