"""How far a score may be off, and which clips make it what it is.

The influences of :mod:`t2av_bench.metrics.influence`, added up over a clip's windows, say what the clip adds to a
score; the sum of their squares gives the standard error.

Clips, not windows, are the sample: windows of one clip resemble each other, and the same clips stand on both sides.
Both are accounted for by adding up all influences of a clip, of both sides, before squaring.

First and second order
----------------------
The sum of squares is of first order: influences are taken at the sample and not at the truth, and their own estimation
error, with a mean square Q / n, adds to their variance v. The score itself moves by half of that: a score of n clips
has the variance (v + Q / 2n) / n, the sum of squares gives (v + Q / n) / n, up to twice as much where the two sides are
near each other for their number of clips. Influences fitted on halves of the clips give (v + 2 Q / n) / n, so the
excess is known, and half of it is taken off (:func:`second_order`). The corrected score of
:mod:`t2av_bench.metrics.groups` spreads a little more than the plain one: groups that are put together in some halves
and quarters and not in others weigh unequally in it, to a variance of (v + 0.59 Q / n) / n, so 41 % are.

``benchmarks/errors.py`` draws 400 sets each of equal, near and far laws and of a spectrum, normal and mixed, with 4 to
64 windows per dimension, d = 8 to 64, one or several windows a clip. Where the correction converges, errors of the
plain score are 0.91 to 1.15 times its spread, where those of first order are 0.93 to 1.8 times; errors of the
corrected score are 0.90 to 1.11 times its spread, and 1.2 times for a mixture of three classes with 16 clips, 4 windows
per dimension and equal or near laws.

What the error does not cover
-----------------------------
It is the spread of the score over other clips of the same kind. The score's bias, of order d / n, is another matter: an
interval around the plain score usually misses the truth. That of the corrected score
(:mod:`t2av_bench.metrics.intervals`) covers it in 92 to 98 % of those runs, ± 1.96 errors in 87 to 99 %. The exception
are 32 clips of 10 windows at d = 64 with a spectrum that falls: 88 and 89 %, of the two thirds or three quarters of the
runs that converge. Where the correction does not, there is no such error either
(:func:`~t2av_bench.metrics.grouped_bias.converged`): 64 clips of 4 windows that share half their variance are too few
for d = 64. With fewer windows than dimensions there is no interval at all. A percentile bootstrap is no way out:
drawing clips twice biases every replicate upwards, and its interval holds neither the score nor the truth.

References
----------
Satterthwaite, An approximate distribution of estimates of variance components, 1946; Holm, A simple sequentially
rejective multiple test procedure, 1979.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special

from t2av_bench.errors import MetricError
from t2av_bench.metrics.influence import Influence
from t2av_bench.metrics.stats import Float64Array

ClipIds = npt.ArrayLike


# Parts of the excess of first-order variances that are taken off; see the module.
_PLAIN_SHARE = 0.5
_CORRECTED_SHARE = 0.41
# What the excess may be of the variance itself: 1 to second order where all of it is, half as much again where third
# orders matter, as in a mixture of classes with 4 windows per dimension.
_LARGEST_EXCESS = 1.5


class Contributions(NamedTuple):
    """What each clip adds to a score, in its unit; see :func:`clip_contributions`.

    Attributes
    ----------
    clips, values
        Clip ids, and what each adds.
    own_half
        As for :func:`second_order`; None where it is not known.
    """

    clips: npt.NDArray[np.str_]
    values: Float64Array
    own_half: Float64Array | None = None


class Difference(NamedTuple):
    """A difference of two systems' scores; see :func:`paired_difference`."""

    value: float
    stderr: float
    p_value: float
    dof: float

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Return the two-sided confidence interval, from the same t distribution as the p-value."""
        reach = self.stderr * float(special.stdtrit(self.dof, (1.0 + confidence) / 2.0))
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


class Errors(NamedTuple):
    """Standard errors of a score, of its bias-corrected value and of the score to first order, and how sure they are.

    ``dof``: degrees of freedom of Student's t for scores in units of the first two; see :func:`second_order`.
    """

    stderr: float
    corrected: float
    first: float
    dof: float


def second_order(values: Float64Array, own_half: Float64Array) -> Errors:
    """Return the standard errors of a Fréchet distance without what estimated influences add to them.

    Parameters
    ----------
    values
        Contributions of clips, shape (clips,).
    own_half
        What each clip contributes by the influence function that was fitted on its own half of the clips alone, in the
        same unit, shape (clips,). Differences of two scores' contributions need the same halves for both.

    Returns
    -------
    Errors
        Never more than that of first order (:func:`contributions_stderr`), and at least 0.5 and 0.62 times as much.
        The degrees of freedom are those of the plain score's variance (Satterthwaite), 2 s⁴ / n var(u) with u what each
        clip adds to it, and at most one less than clips: few where few clips make most of it. s² is the variance of
        first order; a variance of second order that is too small by chance would call itself all the more unsure.

    Raises
    ------
    MetricError
        If there are fewer than four clips, or not as many contributions by halves.
    """
    count = len(values)
    if count < 4 or len(own_half) != count:
        raise MetricError(
            f"an error of second order needs at least 4 clips, each in a half; got {count} and {len(own_half)}"
        )
    first = contributions_stderr(values)
    if first == 0.0:
        return Errors(0.0, 0.0, 0.0, count - 1.0)
    squares = np.square(values - values.mean()) * count / (count - 1)
    # Those of each half add up to zero, so two degrees of freedom are gone.
    of_halves = np.square(own_half) * count / (count - 2)
    excess = min(max(float(of_halves.sum()) / first**2 - 1.0, 0.0), _LARGEST_EXCESS)
    plain, corrected = (first * float(np.sqrt(1.0 - share * excess)) for share in (_PLAIN_SHARE, _CORRECTED_SHARE))
    terms = (1.0 + _PLAIN_SHARE) * squares - _PLAIN_SHARE * of_halves
    noise = count * float(np.var(terms, ddof=1))
    dof = min(2.0 * first**4 / noise, count - 1.0) if noise else count - 1.0
    return Errors(plain, corrected, first, max(dof, 1.0))


def clustered_stderr(influence: Influence, reference_clips: ClipIds, generated_clips: ClipIds) -> float:
    """Estimate the standard error of a score over clips, to first order.

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
        difference, with one degree of freedom less than clips, or what :func:`second_order` gives. What both systems
        share, above all the reference, cancels clip by clip.

    Raises
    ------
    MetricError
        If the clips differ or are fewer than two.

    Notes
    -----
    For a mean over clips this is the paired t test, exactly. For a Fréchet distance it is one to second order where
    both systems have contributions by halves, and to first order elsewhere; then it errs on the safe side, with a
    standard error too large by up to a factor of √2. Of 400 draws of two equally good systems, 4 to 6 % reject
    at the 5 % level to second order, 1 to 3 % to first, and a worse system is found 1.1 to 1.8 times as often
    (``benchmarks/null_levels.py``, FAD).
    """
    if not np.array_equal(first[1].clips, second[1].clips):
        raise MetricError("a paired comparison needs the same clips in both systems")
    value = first[0] - second[0]
    dof = len(first[1].clips) - 1.0
    apart = first[1].values - second[1].values
    if first[1].own_half is None or second[1].own_half is None:
        stderr = contributions_stderr(apart)
    else:
        errors = second_order(apart, first[1].own_half - second[1].own_half)
        stderr, dof = errors.stderr, errors.dof
    if stderr == 0.0:
        return Difference(value, 0.0, 1.0 if value == 0.0 else 0.0, dof)
    return Difference(value, stderr, float(2 * special.stdtr(dof, -abs(value) / stderr)), dof)


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


def checked_clips(ids: ClipIds, rows_n: int, name: str, *, keep_numbers: bool = False) -> npt.NDArray[Any]:
    """Return clip ids as text, shape (rows_n,), or raise :class:`MetricError`.

    With ``keep_numbers`` whole numbers stay such: as text each takes ten times the memory, and sorts in another order.
    """
    array = np.asarray(ids)
    if not (keep_numbers and np.issubdtype(array.dtype, np.signedinteger)):
        array = array.astype(str)
    if array.shape != (rows_n,):
        raise MetricError(f"`{name}` must give the clip of each of the {rows_n} windows; got the shape {array.shape}")
    return array
