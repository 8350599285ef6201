"""All confidence intervals of the study: estimates with their intervals, and the methods that compute them.

- Images are the independent observations: `bootstrap_statistic`, `bootstrap_mean`, `normal_mean`.
- Images and trainings vary: `draw_weights`, `mean_over_trainings` and `sample_estimate`, from which `protocol` makes the
  intervals of all comparisons.
- Seeds are the independent observations: `student_mean`, `student_interval`.

All intervals are 95 % intervals. Shapes: S trainings; B bootstrap samples.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

NOT_RUN = "not run"  # in place of a value of this study
NOT_KNOWN = "not known"  # in place of a published value
NUM_SAMPLES = 2000  # of a bootstrap
DETECTABLE = 2.8  # standard errors: 1.96 for the two-sided 5 % level, and 0.84 for a power of 80 %


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval (None if there is none) and the number of independent observations it is based on.

    `standard_error` is the standard deviation of the value over repeated studies, as far as it is known.
    """

    value: float
    low: float | None = None
    high: float | None = None
    n: int | None = None
    standard_error: float | None = None

    @property
    def excludes_zero(self) -> bool:
        """Whether zero is outside the interval; False without an interval."""
        return self.low is not None and (self.low > 0 or self.high < 0)

    @property
    def detectable(self) -> float | None:
        """The smallest true value that a study of this size tells from zero with a power of 80 %; None if it is not known.

        It follows from the standard error by the normal approximation.
        """
        return None if self.standard_error is None else DETECTABLE * self.standard_error

    @property
    def negative(self) -> "Estimate":
        """The estimate of the opposite: minus the value, and the interval mirrored."""
        low, high = (None if bound is None else -bound for bound in (self.high, self.low))
        return replace(self, value=-self.value, low=low, high=high)

    def text(self, digits: int = 3, *, signed: bool = True, percent: bool = False) -> str:
        """The estimate as text, such as "+0.012 (-0.003 to +0.027)" or "+0.012 (no interval)".

        Args:
            digits: decimals.
            signed: positive numbers have a plus sign.
            percent: the numbers are multiplied by 100.
        """
        value, low, high = (
            None if number is None else f"{100 * number if percent else number:{'+' if signed else ''}.{digits}f}"
            for number in (self.value, self.low, self.high)
        )
        return f"{value} (no interval)" if low is None else f"{value} ({low} to {high})"


@dataclass(frozen=True)
class Comparison:
    """mIoU of two results on the same images, and second - first."""

    first: Estimate
    second: Estimate
    difference: Estimate


def draw_weights(stream: int, count: int, num_samples: int) -> np.ndarray:
    """How often each of `count` observations is drawn in each bootstrap sample, [B+1, count]; first each observation once.

    Args:
        stream: the same stream draws the same samples; independent draws need different streams.
    """
    draws = np.random.default_rng((count, stream)).multinomial(count, np.full(count, 1 / count), size=num_samples)
    return np.concatenate([np.ones((1, count)), draws])


def mean_over_trainings(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The mean over drawn trainings in each sample, widened: values and weights [B+1, S] -> [B+1].

    A mean over S values drawn from S has (S-1)/S of the variance of a mean over S new values (half, if S is 2), so its
    deviation from the mean over all S is widened by the root of S/(S-1).

    Args:
        values: in each sample of images, the value of each training.
        weights: how often each training is drawn (`draw_weights`).
    """
    num_trainings = values.shape[1]
    mean = values.mean(axis=1)
    widening = np.sqrt(num_trainings / (num_trainings - 1)) if num_trainings > 1 else 1
    return mean + widening * ((values * weights / num_trainings).sum(axis=1) - mean)


def sample_estimate(sample: np.ndarray, n: int) -> Estimate:
    """The percentile interval and the standard error from the value of the data and of each sample, [B+1]; nan is left out."""
    value, drawn = float(sample[0]), sample[1:]
    if np.isnan(drawn).all():
        return Estimate(value, n=n)
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    return Estimate(value, float(low), float(high), n, float(np.nanstd(drawn)))


def bootstrap_statistic(statistic: Callable[[np.ndarray], float], n: int) -> Estimate:
    """A statistic of n independent observations with its percentile bootstrap interval.

    There is no interval for fewer than two observations, and none if the statistic is nan in every sample.

    Args:
        statistic: a function of the indices of the drawn observations.
    """
    value = float(statistic(np.arange(n)))
    if n < 2:
        return Estimate(value, n=n)
    draws = np.random.default_rng(0).integers(n, size=(NUM_SAMPLES, n))
    return sample_estimate(np.array([value, *(statistic(draw) for draw in draws)]), n)


def bootstrap_mean(values: np.ndarray) -> Estimate:
    """The mean of [N] values with its percentile bootstrap interval; nan is left out."""
    values = _known(values)
    if not len(values):
        return Estimate(float("nan"), n=0)
    return bootstrap_statistic(lambda drawn: values[drawn].mean(), len(values))


def normal_mean(values: np.ndarray) -> Estimate:
    """The mean of [N] values with its interval by the normal approximation, for many values; nan is left out."""
    values = _known(values)
    if not len(values):
        return Estimate(float("nan"), n=0)
    mean = float(values.mean())
    if len(values) < 2:
        return Estimate(mean, n=1)
    error = float(values.std(ddof=1) / np.sqrt(len(values)))
    return Estimate(mean, mean - 1.96 * error, mean + 1.96 * error, len(values), error)


def _known(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, dtype=np.float64)
    return values[~np.isnan(values)]


def student_interval(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """[S, ...] -> mean over the first axis and its interval by Student's t: three arrays; nan as interval of one value."""
    count = len(values)
    mean = values.mean(axis=0)
    if count < 2:
        return mean, np.full_like(mean, np.nan), np.full_like(mean, np.nan)
    from scipy import stats  # takes a second to import, and the stages need no interval

    half = stats.t.ppf(0.975, count - 1) * values.std(axis=0, ddof=1) / np.sqrt(count)
    return mean, mean - half, mean + half


def student_mean(values: np.ndarray) -> Estimate:
    """The mean of [S] values, one for each seed, with its interval by Student's t."""
    values = np.asarray(values, dtype=np.float64)
    mean, low, high = (float(x) for x in student_interval(values))
    if len(values) < 2:
        return Estimate(mean, n=len(values))
    return Estimate(mean, low, high, len(values), float(values.std(ddof=1) / np.sqrt(len(values))))
