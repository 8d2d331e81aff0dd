r"""Derivatives of the scores with respect to their samples, as quadratic forms that need no samples in memory.

:func:`~t2av_bench.metrics.uncertainty.frechet_influence` needs all rows at once. Here the same influence of a sample is
a quadratic form in that sample alone, computed from :class:`~t2av_bench.metrics.JointStats`, so that a second pass over
the samples can add up each clip's contribution in constant memory. On the reference side, with n samples,

.. math:: x \mapsto 2(x-\mu_r)^\top(\mu_r-\mu_g) + \tfrac{n}{n-1}(x-\mu_r)^\top(I-M)(x-\mu_r)
          - \operatorname{tr}((I-M)\Sigma_r), \qquad M = L^{+\top}(L^\top\Sigma_g L)^{1/2}L^+, \quad \Sigma_r = LL^\top

and likewise on the generated side. M is the optimal transport map between the covariances; covariances that are
singular, as those of most features are, are treated within their support. The factor n / (n - 1) belongs to
covariances that divide by n - 1.

The alignment index is a function of three distances and its derivative follows by the chain rule. The index sets the
covariance between generated audio and condition to zero in one of them, so the quadratic form of that one has zeros
there too.

Cost
----
For well-conditioned covariances one Cholesky factor and one eigendecomposition per distance, from which the maps of
both sides follow; otherwise up to four eigendecompositions and a singular value decomposition. A few times what the
distance itself costs.

References
----------
Bhatia, Jain and Lim, On the Bures-Wasserstein distance between positive definite matrices, 2019; van der Vaart,
Asymptotic statistics, 1998, chapter 20 (the delta method on statistics of samples).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import linalg

from t2av_bench.metrics.frechet import WELL_CONDITIONED
from t2av_bench.metrics.joint import MetricSpec, index_distances
from t2av_bench.metrics.stats import Float64Array, JointStats, check_same_blocks


@dataclass(frozen=True)
class QuadraticForm:
    """Influence of one side's samples: x -> (x - mean)ᵀ matrix (x - mean) + linearᵀ (x - mean) - constant.

    Attributes
    ----------
    mean, linear
        Shape (d,).
    matrix
        Symmetric, shape (d, d); holds the factor n / (n - 1).
    constant
        Makes the mean over the samples zero.
    """

    mean: Float64Array
    linear: Float64Array
    matrix: Float64Array
    constant: float

    def __call__(self, rows: npt.ArrayLike) -> Float64Array:
        """Return the influence of each of the rows, shape (n, d), in the units of the score."""
        centred = np.asarray(rows, dtype=np.float64) - self.mean
        values: Float64Array = np.einsum("ij,ij->i", centred @ self.matrix + self.linear, centred) - self.constant
        return values

    def __add__(self, other: QuadraticForm) -> QuadraticForm:
        """Add the form of another score over the same samples."""
        return QuadraticForm(
            self.mean, self.linear + other.linear, self.matrix + other.matrix, self.constant + other.constant
        )

    def scaled(self, factor: float) -> QuadraticForm:
        """Return the form of the score times a factor."""
        return QuadraticForm(self.mean, factor * self.linear, factor * self.matrix, factor * self.constant)


class Derivative(NamedTuple):
    """Influence of a sample on a score, by side; see :class:`QuadraticForm`."""

    reference: QuadraticForm
    generated: QuadraticForm


def frechet_derivative(reference: JointStats, generated: JointStats) -> Derivative:
    """Differentiate the squared Fréchet distance with respect to the samples of both sides.

    Parameters
    ----------
    reference, generated
        Statistics over the same blocks, of d dimensions.

    Returns
    -------
    Derivative
        Equal to :func:`~t2av_bench.metrics.uncertainty.frechet_influence` at the samples of the statistics.

    Raises
    ------
    MetricError
        If the dimensions differ or a side has fewer than two samples.

    Notes
    -----
    O(d³) whatever the number of samples. While statistics still hold fewer rows than dimensions, ``frechet_influence``
    on ``stats.rows`` is faster.

    Examples
    --------
    >>> sides = JointStats({"audio": 1}), JointStats({"audio": 1})
    >>> sides[0].update(audio=[[-1.0], [1.0]])
    >>> sides[1].update(audio=[[2.0], [4.0]])
    >>> frechet_derivative(*sides).reference([[-1.0], [1.0]]).tolist()
    [6.0, -6.0]
    """
    check_same_blocks(reference, generated)
    shift = reference.mean - generated.mean
    covariances = reference.covariance, generated.covariance
    maps = _transport_maps(*covariances)
    identity = np.eye(reference.d)
    return Derivative(
        _form(reference, 2.0 * shift, identity - maps[0], covariances[0]),
        _form(generated, -2.0 * shift, identity - maps[1], covariances[1]),
    )


def index_derivative(reference: JointStats, generated: JointStats) -> Derivative:
    """Differentiate :func:`~t2av_bench.metrics.alignment_index` with respect to the samples of both sides.

    Parameters
    ----------
    reference, generated
        Balanced statistics over ``audio`` and one condition block.

    Returns
    -------
    Derivative
        The balancing maps are held fixed: that they are fitted on the reference adds nothing.

    Raises
    ------
    MetricError
        If the index is undefined.
    """
    audio_only, joint, unpaired = index_distances(reference, generated)
    loss, span = joint - audio_only, unpaired - audio_only
    weights = {"joint": -1.0 / span, "unpaired": loss / span**2, "audio": 1.0 / span - loss / span**2}
    parts = {
        "joint": frechet_derivative(reference, generated),
        "unpaired": _without_cross(frechet_derivative(reference, generated.without_cross("audio")), generated),
        "audio": _padded(frechet_derivative(reference.select("audio"), generated.select("audio")), reference),
    }
    sides = []
    for side in (0, 1):
        first, second, third = (parts[name][side].scaled(weight) for name, weight in weights.items())
        sides.append(first + second + third)
    return Derivative(*sides)


def score_derivative(spec: MetricSpec, reference: JointStats, generated: JointStats) -> Derivative:
    """Differentiate one score, from statistics that :func:`~t2av_bench.metrics.joint.score_stats` has prepared.

    Balancing maps are held fixed; see :func:`index_derivative`.
    """
    derive = index_derivative if spec.kind == "index" else frechet_derivative
    return derive(reference, generated)


def _form(stats: JointStats, linear: Float64Array, matrix: Float64Array, covariance: Float64Array) -> QuadraticForm:
    factor = stats.n / (stats.n - 1.0)
    return QuadraticForm(stats.mean, linear, factor * matrix, float(np.vdot(matrix, covariance)))


def _without_cross(derivative: Derivative, generated: JointStats) -> Derivative:
    """Drop what acts on covariances between audio and condition of the generated side: they are zero by definition."""
    form = derivative.generated
    inside = np.zeros(generated.d, dtype=bool)
    inside[slice(*generated.span("audio"))] = True
    matrix = np.where(inside[:, None] == inside[None, :], form.matrix, 0.0)
    # The constant is right already: the trace is over a covariance that is zero in the same places.
    return derivative._replace(generated=QuadraticForm(form.mean, form.linear, matrix, form.constant))


def _padded(derivative: Derivative, stats: JointStats) -> Derivative:
    """Write a form over the audio block as one over all blocks."""
    span = slice(*stats.span("audio"))

    def pad(form: QuadraticForm) -> QuadraticForm:
        mean, linear, matrix = np.zeros(stats.d), np.zeros(stats.d), np.zeros((stats.d, stats.d))
        mean[span], linear[span], matrix[span, span] = form.mean, form.linear, form.matrix
        return QuadraticForm(mean, linear, matrix, form.constant)

    return Derivative(pad(derivative.reference), pad(derivative.generated))


class _Factor(NamedTuple):
    """L with L Lᵀ = Σ, and the transpose of its pseudo-inverse; both of shape (d, rank)."""

    lower: Float64Array
    inverse: Float64Array


def _transport_maps(first: Float64Array, second: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Return M for both sides."""
    for factorise in (_cholesky_factor, _eigen_factor):
        factor = factorise(first)
        if factor is None or factor.lower.shape[1] == 0:
            continue
        values, vectors = linalg.eigh(factor.lower.T @ second @ factor.lower, check_finite=False)
        if values[0] > WELL_CONDITIONED * values[-1]:
            roots = np.sqrt(values)
            # The map back is the inverse of the map there: both come from one decomposition.
            there, back = factor.inverse @ vectors, factor.lower @ vectors
            return (there * roots) @ there.T, (back / roots) @ back.T
    # Directions that only one side has: singular values, as roots of tiny eigenvalues would be inaccurate.
    one, other = _eigen_factor(first), _eigen_factor(second)
    if min(one.lower.shape[1], other.lower.shape[1]) == 0:  # a side that does not vary
        return np.zeros_like(first), np.zeros_like(second)
    left, roots, right = linalg.svd(one.lower.T @ other.lower, full_matrices=False, check_finite=False)
    there, back = one.inverse @ left, other.inverse @ right.T
    return (there * roots) @ there.T, (back * roots) @ back.T


def _cholesky_factor(covariance: Float64Array) -> _Factor | None:
    try:
        lower = linalg.cholesky(covariance, lower=True, check_finite=False)
    except linalg.LinAlgError:
        return None
    identity = np.eye(len(lower))
    return _Factor(lower, linalg.solve_triangular(lower, identity, trans="T", lower=True, check_finite=False))


def _eigen_factor(covariance: Float64Array) -> _Factor:
    values, vectors = linalg.eigh(covariance, check_finite=False)
    # What lies below the rounding of the largest eigenvalue is an absent direction.
    held = values > values[-1] * len(values) * np.finfo(np.float64).eps
    roots = np.sqrt(values[held])
    return _Factor(vectors[:, held] * roots, vectors[:, held] / roots)
