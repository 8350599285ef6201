"""All confidence intervals of the study: estimates with their intervals, and the methods that compute them.

- Images are the independent observations: `bootstrap_statistic`, `bootstrap_mean`, `normal_mean`.
- Two results on the same images are compared: `bootstrap_comparison`, and `bootstrap_over_seeds` if trainings vary too.
- Seeds are the independent observations: `student_mean`, `student_interval`.

All intervals are 95 % intervals. Shapes: C classes with the background as class 0; T thresholds; G groups of images; S seeds;
B bootstrap samples.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ribstudy.evaluation.metrics import miou

NOT_RUN = "not run"  # in place of a value of this study
NOT_KNOWN = "not known"  # in place of a published value
NUM_SAMPLES = 2000  # of a bootstrap
DRAWS_AT_ONCE = 100  # bootstrap samples whose counts are in memory together


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval (None if there is none) and the number of independent observations it is based on."""

    value: float
    low: float | None = None
    high: float | None = None
    n: int | None = None

    @property
    def excludes_zero(self) -> bool:
        """Whether zero is outside the interval; False without an interval."""
        return self.low is not None and (self.low > 0 or self.high < 0)

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
    sample = np.array([statistic(draw) for draw in draws])
    if np.isnan(sample).all():
        return Estimate(value, n=n)
    low, high = np.nanquantile(sample, [0.025, 0.975])
    return Estimate(value, float(low), float(high), n)


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
    margin = 1.96 * values.std(ddof=1) / np.sqrt(len(values))
    return Estimate(mean, mean - margin, mean + margin, len(values))


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
    mean, low, high = (float(x) for x in student_interval(np.asarray(values, dtype=np.float64)))
    return Estimate(mean, None if np.isnan(low) else low, None if np.isnan(high) else high, len(values))


def bootstrap_comparison(first: np.ndarray, second: np.ndarray, *, num_images: int | None = None) -> Comparison:
    """Compares two results on the same images, with paired bootstrap intervals over images or over groups of images.

    A sample draws G groups with replacement, the same for both results, and takes the mIoU of their summed counts. The
    classifier is fixed: the interval does not include the variation between trainings.

    Groups may replace single images if they are formed without regard to their content (`groups.groups_of` forms them at
    random). Then their sums are as independent as the images, and a ratio of sums, such as the IoU, varies over drawn groups as
    it does over the same images drawn one by one. Groups only make the interval less precise: with 1,000 groups its width is
    known to about 2 %.

    Args:
        first, second: counts of the same G groups, [G, 3, C+1] at one threshold each, or [G, T, 3, C+1] at all thresholds.
            In the second case every sample uses the best threshold of each result, so the interval includes that choice.
        num_images: number of images in the groups, the n of the estimates; None: each group is one image.

    Raises ValueError if the shapes differ.
    """
    return bootstrap_over_seeds([first], [second], num_images=num_images)


def bootstrap_over_seeds(
    first: Sequence[np.ndarray],
    second: Sequence[np.ndarray],
    *,
    num_images: int | None = None,
    num_samples: int = NUM_SAMPLES,
    seed: int = 0,
) -> Comparison:
    """Compares two results, each from S seeds on the same images: means over the seeds, with paired two-way intervals.

    A sample draws G groups of images, the same for all seeds and both results, and S of the seeds, the same for both results.
    Its value is the mean over the drawn seeds. A mean over S values drawn from S has (S-1)/S of the variance of a mean over S
    new values (half, if S is 2), so its deviation from the mean over all S is widened by the root of S/(S-1).

    The spread of two or three seeds is itself uncertain, and no sample goes far beyond their range. The interval says whether a
    difference is larger than the variation between these seeds; it does not cover 95 % of all trainings. With one seed, or with
    seeds that agree, it is the interval over images (`bootstrap_comparison`).

    Args:
        first, second: by seed, counts as in `bootstrap_comparison`.
        num_images: the n of the estimates.

    Raises ValueError if shapes or numbers of seeds differ, or there is no seed.
    """
    _check_sides(first, second)
    num_groups, num_seeds = len(first[0]), len(first)
    rng = np.random.default_rng(seed)
    draws = _draw_weights(rng, num_groups, num_samples)
    weights = _draw_weights(rng, num_seeds, num_samples) / num_seeds
    distinct, which = np.unique(draws, axis=0, return_inverse=True)  # few images can be drawn in few ways
    of_first, of_second = (
        np.stack([_best_miou(distinct, counts)[which] for counts in side], axis=1) for side in (first, second)
    )
    values = (of_first, of_second, of_second - of_first)  # [B+1, S] each
    return Comparison(*(_percentile_estimate(_drawn_mean(side, weights), num_images or num_groups) for side in values))


def _check_sides(first: Sequence[np.ndarray], second: Sequence[np.ndarray]) -> None:
    if not first or len(first) != len(second):
        raise ValueError(f"{len(first)} and {len(second)} seeds: both sides need the same number, at least one")
    shapes = dict.fromkeys(counts.shape for counts in (*first, *second))
    if len(shapes) > 1:
        raise ValueError(f"counts {' and '.join(map(str, shapes))} are not of the same images and classes")


def _draw_weights(rng: np.random.Generator, count: int, num_samples: int) -> np.ndarray:
    """[B+1, count]: how often each observation is drawn. The first row is the data: each observation once."""
    draws = rng.multinomial(count, np.full(count, 1 / count), size=num_samples)
    return np.concatenate([np.ones((1, count)), draws])


def _drawn_mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Values and weights [B+1, S] -> [B+1], the weighted means, with their deviations from the plain means widened."""
    num_seeds = values.shape[1]
    mean = values.mean(axis=1)
    widening = np.sqrt(num_seeds / (num_seeds - 1)) if num_seeds > 1 else 1
    return mean + widening * ((values * weights).sum(axis=1) - mean)


def _best_miou(draws: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """draws [B+1, G], counts [G, (T,) 3, C+1] -> [B+1]."""
    flat = counts.reshape(len(counts), -1).astype(np.float64)
    best = []
    for part in np.array_split(draws, -(-len(draws) // DRAWS_AT_ONCE)):
        summed = (part @ flat).reshape(len(part), *counts.shape[1:])
        best.append(miou(summed).reshape(len(part), -1).max(axis=1))
    return np.concatenate(best)


def _percentile_estimate(sample: np.ndarray, n: int) -> Estimate:
    """From the value of the data and of each sample, [B+1]."""
    low, high = np.quantile(sample[1:], [0.025, 0.975])
    return Estimate(float(sample[0]), float(low), float(high), n)
