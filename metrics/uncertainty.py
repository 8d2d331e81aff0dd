r"""How far a Fréchet distance may be off, and which clips make it what it is.

Influence
---------
The distance is a smooth function of two sets of windows. Its derivative with respect to the weight of one window is
that window's *influence*; the sum of squares of the influences gives the standard error, the sum over a clip's windows
says how much the clip adds to the distance. With :math:`\delta = \mu_r - \mu_g` and
:math:`M = \Sigma_r^{-1/2}(\Sigma_r^{1/2}\Sigma_g\Sigma_r^{1/2})^{1/2}\Sigma_r^{-1/2}`, the influence of x on the
reference side is

.. math:: 2(x-\mu_r)^\top\delta + (x-\mu_r)^\top(I-M)(x-\mu_r) - \operatorname{tr}((I-M)\Sigma_r)

and likewise on the generated side, with the sides exchanged. At a row of the data no inverse is needed: with the
singular values :math:`A B^\top = P \operatorname{diag}(\sigma) Q^\top` of the centred rows
:math:`A = X_c/\sqrt{n-1}` and :math:`B = Y_c/\sqrt{m-1}`, row i has
:math:`(x_i-\mu_r)^\top M (x_i-\mu_r) = (n-1) \sum_k P_{ik}^2 \sigma_k`. This holds for singular covariances too (fewer
windows than dimensions, constant features), where it is the derivative within the span of the data.

Clips, not windows, are the sample
----------------------------------
Windows of one clip resemble each other, and the same clips stand on both sides. Both are accounted for by adding up all
influences of a clip, of both sides, before squaring.

What the error does not cover
-----------------------------
It is the spread of the score over other clips of the same kind. The score's bias, of order d / n, is another matter: an
interval around the plain score usually misses the truth, one around the corrected score of
:mod:`t2av_bench.metrics.bias` covers it. With fewer windows than dimensions there is no such interval. A percentile
bootstrap is no way out: drawing clips twice biases every replicate upwards.

References
----------
Hampel, The influence curve and its role in robust estimation, 1974; Bhatia, Jain and Lim, On the Bures-Wasserstein
distance between positive definite matrices, 2019 (the derivative of the trace term).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import linalg, special

from t2av_bench.errors import MetricError
from t2av_bench.metrics.stats import Float64Array

ClipIds = npt.ArrayLike


class Influence(NamedTuple):
    """Influence of each window on a squared Fréchet distance, in squared feature units.

    Each side adds up to zero. A window of weight 1 / n changes the distance by about its influence / n.
    """

    reference: Float64Array
    generated: Float64Array


class Contributions(NamedTuple):
    """What each clip adds to a distance, in squared feature units; see :func:`clip_contributions`."""

    clips: npt.NDArray[np.str_]
    values: Float64Array


class Difference(NamedTuple):
    """A difference of two systems' distances; see :func:`paired_difference`."""

    value: float
    stderr: float
    p_value: float


def frechet_influence(reference: npt.ArrayLike, generated: npt.ArrayLike) -> Influence:
    """Influence of every window on the squared Fréchet distance of its set to the other.

    Parameters
    ----------
    reference, generated
        Arrays of shape (n, d) and (m, d), at least two rows each.

    Returns
    -------
    Influence
        ``reference`` of shape (n,) and ``generated`` of shape (m,), each with mean 0.

    Raises
    ------
    MetricError
        If shapes do not fit or a value is not finite.

    Notes
    -----
    O((n + m) d²) with more windows than dimensions, O(n m (d + n)) with fewer. Covariances divide by n - 1 as in
    :func:`~t2av_bench.metrics.frechet_distance`; the derivative is exact for that definition
    (``test_uncertainty.py::test_influence_is_the_derivative``).

    Examples
    --------
    >>> frechet_influence([[-1.0], [1.0]], [[2.0], [4.0]]).reference.tolist()
    [6.0, -6.0]
    """
    x, y = checked_rows(reference, "reference"), checked_rows(generated, "generated")
    if x.shape[1] != y.shape[1]:
        raise MetricError(f"both sides must have the same feature dimension; got {x.shape[1]} and {y.shape[1]}")
    shift = x.mean(axis=0) - y.mean(axis=0)
    x_unit, y_unit = _unit_rows(x), _unit_rows(y)
    x_basis, x_small = _compressed(x_unit)
    y_basis, y_small = _compressed(y_unit)
    left, values, right = linalg.svd(x_small @ y_small.T, full_matrices=False, check_finite=False)
    x_vectors = left if x_basis is None else x_basis @ left
    y_vectors = right.T if y_basis is None else y_basis @ right.T
    return Influence(_one_side(x_unit, x_vectors, values, shift), _one_side(y_unit, y_vectors, values, -shift))


def clip_contributions(influence: Influence, reference_clips: ClipIds, generated_clips: ClipIds) -> Contributions:
    """Add up the influences of each clip's windows, of both sides.

    Parameters
    ----------
    influence
        Of :func:`frechet_influence`.
    reference_clips, generated_clips
        Clip of each row, shapes (n,) and (m,). A clip on both sides is one clip.

    Returns
    -------
    Contributions
        ``clips`` in sorted order and their ``values``. They add up to zero: a clip above zero draws the distance up,
        and without it the distance would be lower by about this much.

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


def contributions_stderr(values: Float64Array) -> float:
    """Return the standard error of a sum of clip contributions, shape (clips,); at least two clips.

    Contributions to a difference of scores are the differences of the contributions; those to a weighted sum likewise.
    """
    count = len(values)
    if count < 2:
        raise MetricError(f"a standard error needs at least 2 clips; got {count}")
    return float(np.sqrt(np.square(values - values.mean()).sum() * count / (count - 1)))


def clustered_stderr(influence: Influence, reference_clips: ClipIds, generated_clips: ClipIds) -> float:
    """Estimate the standard error of a squared Fréchet distance over clips.

    Parameters
    ----------
    influence, reference_clips, generated_clips
        As for :func:`clip_contributions`.

    Returns
    -------
    float
        In squared feature units. To first order only: too small for equal sets, where the first derivative vanishes,
        and unreliable for fewer than about 30 clips.

    Raises
    ------
    MetricError
        If there are fewer than two clips, or not as many clip ids as windows.
    """
    return contributions_stderr(clip_contributions(influence, reference_clips, generated_clips).values)


def paired_difference(first: tuple[float, Contributions], second: tuple[float, Contributions]) -> Difference:
    """Compare the distances of two systems scored on the same clips.

    Parameters
    ----------
    first, second
        Distance and clip contributions of each system.

    Returns
    -------
    Difference
        ``value``: the first distance minus the second; ``stderr``; two-sided ``p_value`` of the normal test of no
        difference. What both systems share, above all the reference, cancels clip by clip.

    Raises
    ------
    MetricError
        If the clips differ or are fewer than two.
    """
    if not np.array_equal(first[1].clips, second[1].clips):
        raise MetricError("a paired comparison needs the same clips in both systems")
    value = first[0] - second[0]
    stderr = contributions_stderr(first[1].values - second[1].values)
    if stderr == 0.0:
        return Difference(value, 0.0, 1.0 if value == 0.0 else 0.0)
    return Difference(value, stderr, float(2 * special.ndtr(-abs(value) / stderr)))


def checked_rows(rows: npt.ArrayLike, name: str) -> Float64Array:
    """Return rows as float64 of shape (n, d), or raise :class:`MetricError` saying what is wrong with ``name``."""
    array = np.asarray(rows, dtype=np.float64)
    if array.ndim != 2 or array.shape[0] < 2 or array.shape[1] < 1:
        raise MetricError(f"`{name}` must have the shape (n, d) with n of at least 2; got {array.shape}")
    if not np.isfinite(array).all():
        raise MetricError(f"`{name}` must be finite; {np.count_nonzero(~np.isfinite(array))} values are not")
    return array


def checked_clips(ids: ClipIds, rows_n: int, name: str) -> npt.NDArray[np.str_]:
    """Return clip ids as strings, shape (rows_n,), or raise :class:`MetricError`."""
    array = np.asarray(ids).astype(str)
    if array.shape != (rows_n,):
        raise MetricError(f"`{name}` must give the clip of each of the {rows_n} windows; got the shape {array.shape}")
    return array


def _unit_rows(rows: Float64Array) -> Float64Array:
    """Centred rows, scaled so that their scatter matrix is the covariance."""
    return np.asarray((rows - rows.mean(axis=0)) / np.sqrt(len(rows) - 1.0))


def _compressed(rows: Float64Array) -> tuple[Float64Array | None, Float64Array]:
    """Write rows as basis @ small with orthonormal basis columns, if that makes them fewer; basis None is identity."""
    if rows.shape[0] <= rows.shape[1]:
        return None, rows
    basis, small = linalg.qr(rows, mode="economic", check_finite=False)
    return basis, small


def _one_side(unit: Float64Array, vectors: Float64Array, values: Float64Array, shift: Float64Array) -> Float64Array:
    """Influence of one side's rows; ``shift`` points from the other side's mean to this one's."""
    count = len(unit)
    # n and not n - 1: a covariance that divides by n - 1 changes by n / (n - 1) of what a row of weight 1 / n adds.
    own = count * (np.square(unit).sum(axis=1) - np.square(vectors) @ values)
    centre = np.square(unit).sum() - values.sum()
    return np.asarray(2.0 * np.sqrt(count - 1.0) * (unit @ shift) + own - centre)
