r"""Squared Fréchet distance between two Gaussians fitted to features.

.. math:: d^2 = \lVert \mu_r - \mu_g \rVert^2
          + \operatorname{tr}(\Sigma_r + \Sigma_g - 2 (\Sigma_r \Sigma_g)^{1/2})

Conventions
-----------
Reference first, generated second. Covariances divide by n - 1. Everything is float64. The value is in squared feature
units, 0 for equal statistics, symmetric, invariant to rotation, and c² times as large for features c times as large.

Arithmetic
----------
With centred rows X (n x d) and Y (m x d), the trace of the root is a nuclear norm,
:math:`\operatorname{tr}(\Sigma_r\Sigma_g)^{1/2} = \lVert X Y^\top \rVert_* / \sqrt{(n-1)(m-1)}`. When n and m do not
exceed d, that is computed from an n x m matrix. Otherwise, with :math:`\Sigma_r = L L^\top`, it is the sum of the roots
of the eigenvalues of :math:`L^\top \Sigma_g L`, or of the singular values of :math:`L^\top K`
(:math:`\Sigma_g = K K^\top`) where those eigenvalues are too spread for their roots to be accurate.

Differences from other implementations
--------------------------------------
FID-style code takes ``scipy.linalg.sqrtm`` of the product of the covariances, adds 1e-6 to the diagonal when that
fails, drops an imaginary part, and some return −1 when it fails again. None of this can happen here. On
well-conditioned data both agree within 1e-9 relative; with fewer rows than dimensions those toolkits' values carry
errors of about 1e-6 relative to the traces, and a set against itself gives them about ±1e-5 instead of 0.

References
----------
Fréchet 1957; Dowson and Landau 1982; Heusel et al. 2017 (arXiv:1706.08500), eq. 6; Kilgour et al. 2019 (FAD).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from t2av_bench.metrics.algebra import algebra
from t2av_bench.metrics.stats import Float64Array, JointStats, as_stats, check_same_blocks

# Below this ratio of the smallest to the largest eigenvalue, roots of eigenvalues lose accuracy (their error is that of
# the largest eigenvalue divided by their own root) and singular values are used instead.
_WELL_CONDITIONED = 1e-12


def frechet_distance(reference: JointStats | npt.ArrayLike, generated: JointStats | npt.ArrayLike) -> float:
    """Squared Fréchet distance between the Gaussians fitted to two sets of features.

    Parameters
    ----------
    reference, generated
        Arrays of shape (n, d) and (m, d), or :class:`~t2av_bench.metrics.JointStats` over the same blocks; at least two
        rows each, from the same extractor.

    Returns
    -------
    float
        In squared feature units, at least 0; lower is better. Biased upwards by roughly d / n: compare only scores of
        equal n, and prefer n > 2 d.

    Raises
    ------
    MetricError
        If dimensions differ, there are fewer than two rows, or a value is not finite.

    Examples
    --------
    >>> frechet_distance([[-1.0], [1.0]], [[2.0], [4.0]])
    9.0
    """
    reference, generated = as_stats(reference, "reference"), as_stats(generated, "generated")
    check_same_blocks(reference, generated)
    traces = reference.total_variance + generated.total_variance
    shift = reference.mean - generated.mean
    # The terms cancel for equal statistics; rounding may leave -1e-16 of them, which is 0.
    return float(shift @ shift) + max(traces - 2.0 * root_trace(reference, generated), 0.0)


def root_trace(reference: JointStats, generated: JointStats) -> float:
    """Trace of the root of the product of two covariances, by the cheapest exact route."""
    x, y = reference.rows, generated.rows
    if x is not None and y is not None:
        return _nuclear_norm(x, y)
    if x is not None or y is not None:
        rows, other = (x, generated) if x is not None else (y, reference)
        assert rows is not None
        return _root_trace_mixed(rows, other.covariance)
    return _root_trace_full(reference.covariance, generated.covariance)


def _nuclear_norm(x: Float64Array, y: Float64Array) -> float:
    """Both sides have few rows: singular values of the centred cross-Gram matrix."""
    place = algebra(x.shape[1])
    cross = place.product(x - x.mean(axis=0), (y - y.mean(axis=0)).T)
    values = algebra(min(cross.shape)).singular_values(cross)
    return float(values.sum()) / float(np.sqrt((len(x) - 1.0) * (len(y) - 1.0)))


def _root_trace_mixed(x: Float64Array, covariance: Float64Array) -> float:
    """One side has few rows: tr(Σ_x Σ)^½ = ‖X K‖_* / √(n-1) with Σ = K Kᵀ."""
    place = algebra(len(covariance))
    factor, _ = _factor(covariance)
    values = place.singular_values(place.product(x - x.mean(axis=0), factor))
    return float(values.sum()) / float(np.sqrt(len(x) - 1.0))


def _root_trace_full(first: Float64Array, second: Float64Array) -> float:
    """Both sides have more rows than dimensions."""
    place = algebra(len(first))
    factor, triangular = _factor(first)
    if factor.shape[1] == 0:  # a side that does not vary
        return 0.0
    core = place.congruence(factor, second) if triangular else factor.T @ second @ factor
    eigenvalues = place.eigenvalues(core)
    if eigenvalues[0] > _WELL_CONDITIONED * eigenvalues[-1]:
        return float(np.sqrt(eigenvalues).sum())
    return float(place.singular_values(place.product(factor.T, _factor(second)[0])).sum())


def _factor(covariance: Float64Array) -> tuple[Float64Array, bool]:
    """Return K with K Kᵀ = covariance: Cholesky's, or, not triangular, from eigenvectors of a singular matrix."""
    place = algebra(len(covariance))
    try:
        return place.cholesky(covariance), True
    except np.linalg.LinAlgError:
        values, vectors = place.eigenvectors(covariance)
        # What lies below the rounding of the largest eigenvalue is an absent direction.
        held = values > values[-1] * len(values) * np.finfo(np.float64).eps
        return vectors[:, held] * np.sqrt(values[held]), False
