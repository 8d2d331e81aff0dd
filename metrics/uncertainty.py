"""How far a score may be off, and which clips make it what it is.

The influences of :mod:`t2av_bench.metrics.influence`, added up over a clip's windows, say what the clip adds to a
score; the sum of their squares gives the standard error.

Clips, not windows, are the sample: windows of one clip resemble each other, and the same clips stand on both sides.
Both are accounted for by adding up all influences of a clip, of both sides, before squaring.

What the error does not cover
-----------------------------
It is the spread of the score over other clips of the same kind. The score's bias, of order d / n, is another matter: an
interval around the plain score usually misses the truth. One around the half-split corrected score of
:mod:`t2av_bench.metrics.bias` covers it in 93 to 98 % of simulations at ± 1.96 standard errors where clips are many
for the dimension, and in only 57 to 67 % for 128 clips of 4 similar windows with d = 64, where the correction leaves
a bias. The error errs on the safe side: 1.1 times the spread in simulation at n = 16 d, 1.2 to 1.3 times at n = 4 d, on
Gaussians and on clusters (``test_groups.py``). With fewer windows than dimensions there is no such interval. A
percentile bootstrap is no way out: drawing clips twice biases every replicate upwards, and its interval holds neither
the score nor the truth.

References
----------
Holm, A simple sequentially rejective multiple test procedure, 1979.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special

from t2av_bench.errors import MetricError
from t2av_bench.metrics.influence import Influence
from t2av_bench.metrics.stats import Float64Array

ClipIds = npt.ArrayLike


class Contributions(NamedTuple):
    """What each clip adds to a score, in its unit; see :func:`clip_contributions`."""

    clips: npt.NDArray[np.str_]
    values: Float64Array


class Difference(NamedTuple):
    """A difference of two systems' scores; see :func:`paired_difference`."""

    value: float
    stderr: float
    p_value: float
    clips_n: int

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Return the two-sided confidence interval, from the same t distribution as the p-value."""
        reach = self.stderr * float(special.stdtrit(self.clips_n - 1, (1.0 + confidence) / 2.0))
        return self.value - reach, self.value + reach


def clip_contributions(influence: Influence, reference_clips: ClipIds, generated_clips: ClipIds) -> Contributions:
    """Add up the influences of each clip's windows, of both sides.

    Parameters
    ----------
    influence
        Of :func:`~t2av_bench.metrics.influence.frechet_influence` or of an alignment index.
    reference_clips, generated_clips
        Clip of each row, shapes (n,) and (m,). A clip on both sides is one clip.

    Returns
    -------
    Contributions
        ``clips`` in sorted order and their ``values``. They add up to zero: a clip above zero draws the score up, and
        without it the score would be lower by about this much.

    Raises
    ------
    MetricError
        If there are not as many clip ids as windows.
    """
    clips: list[npt.NDArray[np.str_]] = []
    for name, ids, values in (
        ("reference_clips", reference_clips, influence.reference),
        ("generated_clips", generated_clips, influence.generated),
    ):
        clips.append(checked_clips(ids, len(values), name))
    unique, inverse = np.unique(np.concatenate(clips), return_inverse=True)
    weights = np.concatenate([side / len(side) for side in influence])
    sums = np.bincount(inverse, weights=weights, minlength=len(unique))
    return Contributions(unique, sums.astype(np.float64, copy=False))


def clip_sums(influence: Float64Array, places: npt.NDArray[np.intp], clips_n: int) -> Float64Array:
    """Add up one side's influences over the rows of each clip, as mean over the side's rows.

    Parameters
    ----------
    influence
        Of each row, shape (n,).
    places
        Number of each row's clip, shape (n,), from 0 to ``clips_n`` - 1.
    clips_n
        Number of clips.

    Returns
    -------
    numpy.ndarray, shape (clips_n,)
        The side's share of :func:`clip_contributions`, in the order of the clips' numbers.
    """
    return np.bincount(places, weights=influence / len(influence), minlength=clips_n).astype(np.float64, copy=False)


def contributions_stderr(values: Float64Array) -> float:
    """Return the standard error of a sum of clip contributions, shape (clips,); at least two clips.

    Contributions to a difference of scores are the differences of the contributions; those to a weighted sum likewise.
    """
    count = len(values)
    if count < 2:
        raise MetricError(f"a standard error needs at least 2 clips; got {count}")
    return float(np.sqrt(np.square(values - values.mean()).sum() * count / (count - 1)))


def clustered_stderr(influence: Influence, reference_clips: ClipIds, generated_clips: ClipIds) -> float:
    """Estimate the standard error of a score over clips.

    Parameters
    ----------
    influence, reference_clips, generated_clips
        As for :func:`clip_contributions`.

    Returns
    -------
    float
        In the unit of the score. To first order only: zero for equal sets, where the derivative vanishes, and
        unreliable for fewer than about 30 clips.

    Raises
    ------
    MetricError
        If there are fewer than two clips, or not as many clip ids as windows.
    """
    return contributions_stderr(clip_contributions(influence, reference_clips, generated_clips).values)


def paired_difference(first: tuple[float, Contributions], second: tuple[float, Contributions]) -> Difference:
    """Compare the scores of two systems on the same clips.

    Parameters
    ----------
    first, second
        Score and clip contributions of each system.

    Returns
    -------
    Difference
        ``value``: the first score minus the second; ``stderr``; two-sided ``p_value`` of Student's t test of no
        difference, with one degree of freedom less than clips. What both systems share, above all the reference,
        cancels clip by clip.

    Raises
    ------
    MetricError
        If the clips differ or are fewer than two.

    Notes
    -----
    For a mean over clips this is the paired t test, exactly. For a Fréchet distance it is one to first order, and errs
    on the safe side: the influences are taken at the sample and not at the truth, so the standard error is too large
    where the two sides are near each other for their number of clips, by up to a factor of √2. Of 400 simulations of
    two equally good systems with 16 to 256 clips and 3 to 300 dimensions, 1 to 5 % reject at the 5 % level, and 0 to
    3 % where both systems match the reference's law (``test_comparison.py``).
    """
    if not np.array_equal(first[1].clips, second[1].clips):
        raise MetricError("a paired comparison needs the same clips in both systems")
    value = first[0] - second[0]
    stderr = contributions_stderr(first[1].values - second[1].values)
    clips_n = len(first[1].clips)
    if stderr == 0.0:
        return Difference(value, 0.0, 1.0 if value == 0.0 else 0.0, clips_n)
    return Difference(value, stderr, float(2 * special.stdtr(clips_n - 1, -abs(value) / stderr)), clips_n)


def holm(p_values: npt.ArrayLike) -> Float64Array:
    """Adjust p-values for their number (Holm 1979), shape (tests,).

    Rejecting where the adjusted value is below 5 % makes the chance of any false rejection at most 5 %, however the
    tests depend on each other: scores over the same sound do.

    Raises
    ------
    MetricError
        If a value is outside [0, 1] or not finite.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03]).round(9).tolist()
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=np.float64)
    if p.ndim != 1 or not ((p >= 0.0) & (p <= 1.0)).all():
        raise MetricError("p-values must be a list of numbers from 0 to 1")
    order = np.argsort(p, kind="stable")
    steps = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)) if len(p) else p
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(steps, 1.0)
    return adjusted


def checked_clips(ids: ClipIds, rows_n: int, name: str) -> npt.NDArray[np.str_]:
    """Return clip ids as strings, shape (rows_n,), or raise :class:`MetricError`."""
    array = np.asarray(ids).astype(str)
    if array.shape != (rows_n,):
        raise MetricError(f"`{name}` must give the clip of each of the {rows_n} windows; got the shape {array.shape}")
    return array
