r"""How well two lists of numbers agree: Pearson, Spearman and Kendall (tau-b), with intervals clustered by clip.

The coefficients are SciPy's. The intervals are on Fisher's scale, :math:`z = \operatorname{artanh} r`, which keeps them
inside [-1, 1]:

- Independent pairs, such as systems: the standard error of z is :math:`1/\sqrt{n-3}` for Pearson (Fisher 1915),
  :math:`\sqrt{(1 + r^2/2)/(n-3)}` for Spearman (Bonett and Wright 2000), :math:`\sqrt{0.437/(n-4)}` for Kendall
  (Fieller, Hartley and Pearson 1957).
- Pairs that come in clips (several systems over the same clips): each coefficient is a smooth function of weights of
  the pairs. Its derivatives, the influences, are added up within a clip, and the spread of the sums over clips is the
  standard error, as for every other score (:mod:`t2av_bench.metrics.uncertainty`). It equals what leaving out one clip
  at a time gives, up to terms of order 1 / n², at the cost of one evaluation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt
from scipy import special, stats

from t2av_bench.errors import MetricError
from t2av_bench.metrics.stats import Float64Array
from t2av_bench.metrics.uncertainty import contributions_stderr

Kind = Literal["spearman", "kendall", "pearson"]
KINDS: tuple[Kind, ...] = get_args(Kind)
MIN_PAIRS = 3
# Comparisons that are in memory at once: few enough for a processor's cache.
_BLOCK = 1 << 18


class Interval(NamedTuple):
    """A confidence interval of a coefficient, within [-1, 1]."""

    low: float
    high: float


def coefficient(kind: Kind, x: npt.ArrayLike, y: npt.ArrayLike) -> float:
    """Compute a correlation coefficient.

    Parameters
    ----------
    kind
        ``spearman``, ``kendall`` (tau-b) or ``pearson``.
    x, y
        Values of the same things, shapes (n,), at least 3.

    Returns
    -------
    float
        From -1 to 1; the same if ``x`` and ``y`` are exchanged.

    Raises
    ------
    MetricError
        If there are fewer than 3 pairs, shapes differ, a value is not finite, or one side does not vary.

    Examples
    --------
    >>> round(coefficient("kendall", [1, 2, 3, 4], [1, 3, 2, 4]), 9)
    0.666666667
    """
    first, second = _checked(x, y)
    function = {"spearman": stats.spearmanr, "kendall": stats.kendalltau, "pearson": stats.pearsonr}[kind]
    return float(np.clip(function(first, second).statistic, -1.0, 1.0))


def coefficient_influence(kind: Kind, x: npt.ArrayLike, y: npt.ArrayLike) -> Float64Array:
    """Compute the influence of each pair on a coefficient, shape (n,), with mean 0.

    A pair of weight 1 / n changes the coefficient by about its influence / n. O(n log n), and O(n²) in time but not in
    memory for ``kendall``. Arguments and errors as for :func:`coefficient`.
    """
    first, second = _checked(x, y)
    functions: dict[str, Callable[[Float64Array, Float64Array], Float64Array]] = {
        "spearman": _spearman_influence,
        "kendall": _kendall_influence,
        "pearson": _pearson_influence,
    }
    return functions[kind](first, second)


def independent_interval(kind: Kind, value: float, pairs_n: int, confidence: float = 0.95) -> Interval:
    """Return the interval of a coefficient of independent pairs; see the module.

    Raises
    ------
    MetricError
        If there are fewer than 4 pairs (5 for ``kendall``), or the coefficient is -1 or 1, where Fisher's interval
        shrinks to a point and would claim a certainty that a few pairs cannot give.
    """
    least = 5 if kind == "kendall" else 4
    if pairs_n < least:
        raise MetricError(f"an interval needs at least {least} systems; there are {pairs_n}")
    variance = {
        "pearson": 1.0 / (pairs_n - 3),
        "spearman": (1.0 + value**2 / 2.0) / (pairs_n - 3),
        "kendall": 0.437 / (pairs_n - 4 or 1),
    }[kind]
    return _on_fishers_scale(value, float(np.sqrt(variance)), float(special.ndtri((1.0 + confidence) / 2.0)))


def clustered_interval(value: float, contributions: Float64Array, confidence: float = 0.95) -> Interval:
    """Return the interval of a coefficient from the contributions of clips to it.

    Parameters
    ----------
    value
        The coefficient, or a mean of several.
    contributions
        Of each clip, shape (clips,): the sum of its pairs' influences, each divided by the number of pairs.
    confidence
        Probability to cover.

    Raises
    ------
    MetricError
        If there are fewer than 3 clips or the coefficient is -1 or 1.
    """
    if len(contributions) < MIN_PAIRS:
        raise MetricError(f"an interval needs at least {MIN_PAIRS} clips; there are {len(contributions)}")
    reach = float(special.stdtrit(len(contributions) - 1, (1.0 + confidence) / 2.0))
    # The derivative of artanh carries the error over to Fisher's scale.
    stderr = contributions_stderr(contributions) / max(1.0 - value**2, np.finfo(np.float64).tiny)
    return _on_fishers_scale(value, stderr, reach)


def varies(values: Float64Array) -> bool:
    """Whether values differ by more than rounding, which SciPy would correlate all the same."""
    return bool(np.ptp(values) > 1e-12 * np.abs(values).max())


def _on_fishers_scale(value: float, stderr: float, reach: float) -> Interval:
    if abs(value) > 1.0 - 1e-12:
        raise MetricError(f"the coefficient is {value:+.0f}, where no interval can be told from so few pairs")
    centre = np.arctanh(value)
    return Interval(float(np.tanh(centre - reach * stderr)), float(np.tanh(centre + reach * stderr)))


def _checked(x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[Float64Array, Float64Array]:
    first, second = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if first.ndim != 1 or first.shape != second.shape:
        raise MetricError(f"`x` and `y` must be lists of the same length; got shapes {first.shape} and {second.shape}")
    if len(first) < MIN_PAIRS:
        raise MetricError(f"a correlation needs at least {MIN_PAIRS} pairs; there are {len(first)}")
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise MetricError("`x` and `y` must be finite")
    for name, values in (("x", first), ("y", second)):
        if not varies(values):
            raise MetricError(f"`{name}` must vary; all its values are the same")
    return first, second


def _pearson_influence(x: Float64Array, y: Float64Array) -> Float64Array:
    x, y = (values - values.mean() for values in (x, y))
    return _of_ratio(x * y, x * x, y * y)


def _spearman_influence(x: Float64Array, y: Float64Array) -> Float64Array:
    """Of Pearson's coefficient of the mid-ranks, which move with every pair too."""
    a, b = _mid_ranks(x), _mid_ranks(y)
    product = a * b + _mean_above(x, b) + _mean_above(y, a)
    return _of_ratio(
        product, a * a + 2.0 * _mean_above(x, a), b * b + 2.0 * _mean_above(y, b),
        means=(float((a * b).mean()), float((a * a).mean()), float((b * b).mean())),
    )  # fmt: skip


def _kendall_influence(x: Float64Array, y: Float64Array) -> Float64Array:
    n = len(x)
    concordance = np.empty(n)
    rows = max(_BLOCK // n, 1)
    for first in range(0, n, rows):
        part = slice(first, first + rows)
        above, below = x[part, None] > x, x[part, None] < x
        higher, lower = y[part, None] > y, y[part, None] < y
        agreeing = np.count_nonzero((above & higher) | (below & lower), axis=1)
        opposed = np.count_nonzero((above & lower) | (below & higher), axis=1)
        concordance[part] = (agreeing - opposed) / n
    return _of_ratio(2.0 * concordance, 2.0 * (1.0 - _ties(x)), 2.0 * (1.0 - _ties(y)), halved=True)


def _of_ratio(
    product: Float64Array,
    first: Float64Array,
    second: Float64Array,
    *,
    means: tuple[float, float, float] | None = None,
    halved: bool = False,
) -> Float64Array:
    """Chain rule for c / √(a b), from what each pair adds to c, a and b.

    ``means`` are c, a and b before a centring by 1/4, for mid-ranks; ``halved``: c, a and b are sums over pairs of
    pairs, in which each one counts twice.
    """
    if means is None:
        c, a, b = (float(values.mean()) / (2.0 if halved else 1.0) for values in (product, first, second))
    else:
        c, a, b = (mean - 0.25 for mean in means)  # mid-ranks have the mean 1/2
    dc, da, db = (values - values.mean() for values in (product, first, second))
    scale = np.sqrt(a * b)
    return np.asarray(dc / scale - c / scale / 2.0 * (da / a + db / b))


def _mid_ranks(values: Float64Array) -> Float64Array:
    """Mid-distribution function at each value: the part below it and half of the part equal to it."""
    return np.asarray((stats.rankdata(values) - 0.5) / len(values))


def _mean_above(values: Float64Array, of: Float64Array) -> Float64Array:
    """For each pair, the sum of ``of`` over the pairs with a larger value and half of those with the same, by n."""
    _, group = np.unique(values, return_inverse=True)
    sums = np.bincount(group, weights=of)
    above = sums.sum() - np.cumsum(sums) + sums / 2.0
    return np.asarray(above[group] / len(values))


def _ties(values: Float64Array) -> Float64Array:
    """Part of the pairs that have the same value as each, itself among them."""
    _, group, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray(counts[group] / len(values))
