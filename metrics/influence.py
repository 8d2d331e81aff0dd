r"""Influence of each window on a Fréchet distance.

A squared Fréchet distance is a smooth function of two sets of windows. Its derivative with respect to the weight of one
window is that window's *influence* (Hampel 1974). With :math:`\delta = \mu_r - \mu_g` and
:math:`M = \Sigma_r^{-1/2}(\Sigma_r^{1/2}\Sigma_g\Sigma_r^{1/2})^{1/2}\Sigma_r^{-1/2}`, that of x on the reference side
is

.. math:: 2(x-\mu_r)^\top\delta + (x-\mu_r)^\top(I-M)(x-\mu_r) - \operatorname{tr}((I-M)\Sigma_r)

and likewise on the generated side, with the sides exchanged. Standard errors and clip contributions are made of it
(:mod:`t2av_bench.metrics.uncertainty`); :mod:`t2av_bench.metrics.index_influence` does the same for alignment indices.

Arithmetic
----------
With :math:`\Sigma_r = V_r\Lambda_r V_r^\top`, :math:`\Sigma_g` likewise, and the singular values
:math:`\Lambda_r^{1/2}V_r^\top V_g\Lambda_g^{1/2} = P\operatorname{diag}(s)Q^\top`, it is :math:`M = T^\top T` with
:math:`T = \operatorname{diag}(s)^{1/2}P^\top\Lambda_r^{-1/2}V_r^\top`. Only directions in which the side varies are
inverted. So singular covariances (fewer windows than dimensions, constant features) need no special case: the result is
the derivative within the span of the data. With fewer windows than dimensions no d x d matrix is formed. Where both
covariances are regular, the same comes from a Cholesky factor and one eigen-decomposition, and T is triangular.

From 600 dimensions on, T is made of eigenvectors in float32, kept and applied in float32: these and its products with
all rows are most of the work. Eigenvalues, and with them the distance, are float64. Influences then carry an error
of about 3e-7 of a row's squared norm, at most 3e-6 of it; those of equal sets are that, not 0.

References
----------
Hampel, The influence curve and its role in robust estimation, 1974. Bhatia, Jain and Lim, On the Bures-Wasserstein
distance between positive definite matrices, 2019 (derivative of the trace term).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from t2av_bench.metrics.algebra import Shape, algebra, is_large
from t2av_bench.metrics.stats import Float64Array, JointStats, as_stats, check_same_blocks

# Ratio of the smallest to the largest eigenvalue of Σ_r^½ Σ_g Σ_r^½ above which their fourth roots are accurate.
_REGULAR = 1e-9


class Influence(NamedTuple):
    """Influence of each window on a score, shapes (n,) and (m,), each with mean 0.

    In the unit of the score: a window of weight 1 / n changes the score by about its influence / n.
    """

    reference: Float64Array
    generated: Float64Array


@dataclass(frozen=True)
class InfluenceMap:
    """The influence function of a squared Fréchet distance, fitted on statistics and applied to any rows.

    Made for large sets: one pass over the clips for the statistics, a second one for the influences.

    Attributes
    ----------
    distance
        The squared Fréchet distance itself, where it comes at no further cost: both covariances are regular. None
        otherwise; then :func:`~t2av_bench.metrics.frechet_distance` knows the cheapest way.

    Examples
    --------
    >>> sides = np.array([[-1.0], [1.0]]), np.array([[2.0], [4.0]])
    >>> InfluenceMap.fit(as_stats(sides[0], "a"), as_stats(sides[1], "b")).reference(sides[0]).round(9).tolist()
    [6.0, -6.0]
    """

    _reference: _Side
    _generated: _Side
    distance: float | None

    @classmethod
    def fit(cls, reference: JointStats, generated: JointStats) -> InfluenceMap:
        """Fit on both sides' statistics, over the same blocks and of at least two windows each.

        Raises
        ------
        MetricError
            If the blocks differ or a side has fewer than two windows.
        """
        check_same_blocks(reference, generated)
        regular = _regular_roots(reference, generated)
        roots, trace = regular or _singular_roots(reference, generated)
        shift = reference.mean - generated.mean
        dtype = np.float32 if is_large(reference.d) else np.float64
        sides = [
            _Side(
                stats.mean, sign * shift, root.astype(dtype, copy=False), shape, stats.total_variance - trace, stats.n
            )
            for stats, (root, shape), sign in zip((reference, generated), roots, (1.0, -1.0), strict=True)
        ]
        traces = reference.total_variance + generated.total_variance
        distance = float(shift @ shift) + max(traces - 2.0 * trace, 0.0) if regular else None
        return cls(sides[0], sides[1], distance)

    def reference(self, rows: npt.ArrayLike) -> Float64Array:
        """Return the influence of rows (n, d) of the reference side, shape (n,)."""
        return self._reference.influence(np.asarray(rows, dtype=np.float64), [slice(None)])

    def generated(self, rows: npt.ArrayLike, independent: list[slice] | None = None) -> Float64Array:
        """Return the influence of rows (m, d) of the generated side, shape (m,).

        Parameters
        ----------
        rows
            As the statistics were made of.
        independent
            Column ranges between which the generated statistics hold no covariance
            (:meth:`~t2av_bench.metrics.JointStats.without_cross`), so that rows do not change any.
        """
        return self._generated.influence(np.asarray(rows, dtype=np.float64), independent or [slice(None)])

    def generated_block(self, generated: JointStats, block: str) -> Callable[[Float64Array], Float64Array]:
        """Return the part of the generated side's influence that depends on one block of a row alone.

        Parameters
        ----------
        generated
            The statistics the map was fitted on.
        block
            Name of the block.

        Returns
        -------
        callable
            From rows of the block, shape (m, dimension), to influences, shape (m,), with mean 0.
        """
        part = slice(*generated.span(block))
        covariance, root = generated.select(block).covariance, self._generated.root[part]
        centre = float(np.trace(covariance)) - float(np.sum(root * (covariance @ root)))
        alone = _Side(self._generated.mean[part], self._generated.shift[part], root, "full", centre, self._generated.n)
        return lambda rows: alone.influence(rows, [slice(None)])


@dataclass(frozen=True)
class _Side:
    """One side's half of the influence function; ``shift`` points from the other side's mean to this one's."""

    mean: Float64Array
    shift: Float64Array
    root: npt.NDArray[np.floating]  # (d, k), M = root @ root.T
    shape: Shape
    centre: float
    n: int

    def influence(self, rows: Float64Array, parts: list[slice]) -> Float64Array:
        centred = rows - self.mean
        own = np.zeros(len(rows))
        for part in parts:
            own += np.square(centred[:, part]).sum(axis=1)
            shape = self.shape if len(parts) == 1 else "full"
            own -= algebra(len(self.root)).squared_norms(centred[:, part], self.root[part], shape)
        # Covariances divide by n - 1: adding a row of weight 1 / n changes them by that much more.
        own *= self.n / (self.n - 1)
        return np.asarray(2.0 * (centred @ self.shift) + own - self.centre)


def frechet_influence(reference: npt.ArrayLike, generated: npt.ArrayLike) -> Influence:
    """Influence of every window on the squared Fréchet distance between its set and the other.

    Parameters
    ----------
    reference, generated
        Arrays of shape (n, d) and (m, d), at least two rows each.

    Returns
    -------
    Influence
        In squared feature units. All zero for equal sets.

    Raises
    ------
    MetricError
        If shapes do not fit or a value is not finite.

    Notes
    -----
    Equals the numerical derivative of :func:`~t2av_bench.metrics.frechet_distance` within 1e-5
    (``test_influence.py::test_influence_is_the_derivative``). O((n + d) d²), or O((n + m)² d) with fewer windows than
    dimensions.

    Examples
    --------
    >>> frechet_influence([[-1.0], [1.0]], [[2.0], [4.0]]).generated.round(9).tolist()
    [-6.0, 6.0]
    """
    x, y = (np.asarray(rows, dtype=np.float64) for rows in (reference, generated))
    fitted = InfluenceMap.fit(as_stats(x, "reference"), as_stats(y, "generated"))
    return Influence(fitted.reference(x), fitted.generated(y))


Root = tuple[Float64Array, Shape]
Roots = tuple[tuple[Root, Root], float]


def _regular_roots(reference: JointStats, generated: JointStats) -> Roots | None:
    """Return T of both sides and tr(Σ_r Σ_g)^½ from one eigen-decomposition, or None for nearly singular covariances.

    With Σ_r = L Lᵀ and Lᵀ Σ_g L = V Λ Vᵀ it is M_r = L⁻ᵀ V Λ^½ Vᵀ L⁻¹, the solution of M_r Σ_r M_r = Σ_g, and M_g is
    its inverse. With the upper triangular U of V Λ^½ Vᵀ = U Uᵀ, both have triangular roots, which halve the cost of a
    product: R = L⁻ᵀ U and R⁻ᵀ.
    """
    if reference.rows is not None or generated.rows is not None:
        return None
    place = algebra(reference.d)
    try:
        lower = place.cholesky(reference.covariance)
        core = place.congruence(lower, generated.covariance)
        values, vectors = place.single_eigenvectors(core) if is_large(reference.d) else place.eigenvectors(core)
        if values[0] <= _REGULAR * values[-1]:
            return None
        roots = np.sqrt(values)
        upper = place.solved(lower, place.upper_root(vectors, roots))
    except np.linalg.LinAlgError:
        return None
    return ((upper, "upper"), (place.inverse(upper).T, "lower")), float(roots.sum())


def _singular_roots(reference: JointStats, generated: JointStats) -> Roots:
    """Return T of both sides and tr(Σ_r Σ_g)^½ within the span of the data."""
    spreads, axes = zip(*map(_spectrum, (reference, generated)), strict=True)
    core = (axes[0] * spreads[0]).T @ (axes[1] * spreads[1])
    if core.size:
        left, values, right = algebra(min(core.shape)).svd(core)
    else:
        left, values, right = np.zeros((len(core), 0)), np.zeros(0), np.zeros((0, core.shape[1]))
    sides = zip(spreads, axes, (left, right.T), strict=True)
    first, second = ((axis / spread) @ (vectors * np.sqrt(values)) for spread, axis, vectors in sides)
    return ((first, "full"), (second, "full")), float(values.sum())


def _spectrum(stats: JointStats) -> tuple[Float64Array, Float64Array]:
    """Return standard deviations (k,) along the principal axes (d, k) in which the rows vary at all."""
    rows = stats.rows
    if rows is not None:
        centred = (rows - stats.mean) / np.sqrt(stats.n - 1.0)
        _, spreads, transposed = algebra(min(centred.shape)).svd(centred)
        axes, variances = transposed.T, np.square(spreads)
    else:
        variances, axes = algebra(stats.d).eigenvectors(stats.covariance)
    held = variances > variances.max() * max(axes.shape) * np.finfo(np.float64).eps
    return np.sqrt(variances[held]), axes[:, held]
