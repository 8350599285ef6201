"""How an estimate changes with a setting: the slope over its values, with an interval, and in words."""

from collections.abc import Mapping

import numpy as np

from ribstudy.evaluation.statistics import Estimate


def slope_of_logarithm(found: Mapping[float, Estimate]) -> Estimate:
    """The change of an estimate when a setting is doubled: the slope of a straight line over the setting's binary logarithm.

    The line is fitted by least squares. The interval follows from the standard errors of the estimates, by the normal
    approximation, as if they were independent. Estimates on the same images vary together, which makes it too wide.

    Args:
        found: the estimate for each positive value of the setting.

    Raises ValueError if there are fewer than two values.
    """
    if len(found) < 2:
        raise ValueError(f"a slope needs at least two values, not {len(found)}")
    places = np.log2(list(found))
    weights = (places - places.mean()) / ((places - places.mean()) ** 2).sum()
    value = float(weights @ [of.value for of in found.values()])
    errors = [of.standard_error for of in found.values()]
    counts = [of.n for of in found.values() if of.n is not None]
    n = min(counts) if counts else None
    if None in errors:
        return Estimate(value, n=n)
    error = float(np.sqrt((weights**2) @ np.square(errors)))
    return Estimate(value, value - 1.96 * error, value + 1.96 * error, n, error)


def trend(slope: Estimate) -> str:
    """The direction of a slope, to follow a sentence's subject."""
    if not slope.excludes_zero:
        return "shows no trend that these trainings and images can tell"
    return "rises with the setting" if slope.value > 0 else "falls with the setting"
