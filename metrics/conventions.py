r"""What other toolkits compute from the same arrays, where that is not what our formulas compute.

A protocol preset (:mod:`t2av_bench.presets`) uses these to reproduce another toolkit's number. None of it belongs to
``t2av-bench/1``: each convention is kept for comparison with published tables, and has a fault or an arbitrary choice
that is named here. The reference comes first, as everywhere.

===================  =================================================================================================
toolkit              convention
===================  =================================================================================================
fadtk                embeddings stored as float16; mean and covariance of each file, then of the set: a file of one
                     window has no covariance, and their score is NaN
kadtk                Fréchet distance in float32 throughout: off where n < d. KAD times 100, its bandwidth
                     from the *evaluated* set, so that each system is measured with its own ruler
av-benchmark         :func:`~t2av_bench.metrics.inception_score` (10 splits, seed 2020) and
                     :func:`~t2av_bench.metrics.class_divergence` are theirs; KID as below
audioldm_eval        the same, with ``epsilon=1e-6`` in the divergence, and a sigmoid form that is no divergence
PEAVS (avgen)        per clip, video and audio cut to the shorter one and joined, video first
===================  =================================================================================================

Sources: fadtk ec74b1f, kadtk 8bda71d, av-benchmark 050a5cd, audioldm_eval 8dc07ee, avgen-eval-toolkit 9cf014b. The
functions are held to what that code gave (``tests/metrics/test_conventions.py``).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import linalg

from t2av_bench.errors import MetricError
from t2av_bench.metrics.distances import checked_sides
from t2av_bench.metrics.frechet import frechet_distance
from t2av_bench.metrics.kernel import kernel_distance
from t2av_bench.metrics.kernel_bandwidth import median_distance
from t2av_bench.metrics.stats import Float64Array

_KID_SEED = 2020


class SubsetDistance(NamedTuple):
    """A kernel distance over random subsets.

    Attributes
    ----------
    mean, std
        Over the subsets; the standard deviation is no standard error.
    subsets, subset_size, seed
        As drawn; the size is that of the smaller set at most.
    """

    mean: float
    std: float
    subsets: int
    subset_size: int
    seed: int


def fadtk_frechet_distance(
    reference: Iterable[npt.NDArray[np.floating]],
    generated: Iterable[npt.NDArray[np.floating]],
    *,
    stored: type[np.floating] = np.float16,
) -> float:
    """Fréchet distance as fadtk computes it from its files of embeddings.

    Parameters
    ----------
    reference, generated
        One array of shape (windows, d) per clip.
    stored
        Type that embeddings are rounded to.

    Returns
    -------
    float
        In squared feature units; within 2e-5 relative of ours on the arrays of the tests.

    Raises
    ------
    MetricError
        If a clip has one window only, of which fadtk's score is NaN, or a side has no clips.
    """
    sides = [_pooled_by_file(clips, stored) for clips in (reference, generated)]
    (mean_r, cov_r), (mean_g, cov_g) = sides
    shift = mean_r - mean_g
    eigenvalues = linalg.eigvals(cov_r @ cov_g)
    root = float(np.sqrt(eigenvalues.astype(np.complex128)).real.sum())
    return float(shift @ shift + np.trace(cov_r) + np.trace(cov_g) - 2.0 * root)


def kadtk_frechet_distance(reference: npt.ArrayLike, generated: npt.ArrayLike) -> float:
    """Fréchet distance as kadtk computes it: means, covariances and the root of their product in float32.

    Parameters
    ----------
    reference, generated
        Arrays of shape (n, d) and (m, d).

    Returns
    -------
    float
        In squared feature units. Within 3e-5 of theirs on the arrays of the tests. With n < d it is off from the true
        distance by what float32 makes of zero eigenvalues, up to 7 % on 96 windows of 128 dimensions.

    Raises
    ------
    MetricError
        If shapes do not fit or a value is not finite.
    """
    x, y = (rows.astype(np.float32) for rows in checked_sides(reference, generated))
    shift = x.mean(axis=0) - y.mean(axis=0)
    cov_r, cov_g = (np.atleast_2d(np.cov(rows, rowvar=False, dtype=np.float32)) for rows in (x, y))
    eigenvalues = linalg.eigvals(cov_r @ cov_g)
    root = np.sqrt(eigenvalues.astype(np.complex64)).real.sum()
    return float(shift @ shift + np.trace(cov_r) + np.trace(cov_g) - 2.0 * root)


def kadtk_kernel_distance(reference: npt.ArrayLike, generated: npt.ArrayLike, *, seed: int = 0) -> float:
    """KAD as kadtk computes it: times 100, with the median distance of the *evaluated* set as bandwidth.

    Parameters
    ----------
    reference, generated
        Arrays of shape (n, d) and (m, d).
    seed
        Of the rows that the median is taken of, if there are more than 4096; kadtk takes all.

    Returns
    -------
    float
        Against theirs 1e-4 absolute, which is their float32.

    Raises
    ------
    MetricError
        As :func:`~t2av_bench.metrics.kernel_distance`.

    Examples
    --------
    >>> round(kadtk_kernel_distance([[0.0], [1.0]], [[0.0], [3.0]]), 2)
    -12.41
    """
    width = median_distance(generated, seed=seed)
    # Their exponent is d² / (2 s² + 1e-8).
    return 100.0 * kernel_distance(reference, generated, bandwidth=float(np.sqrt(width**2 + 0.5e-8))).value


def kernel_inception_distance(
    reference: npt.ArrayLike, generated: npt.ArrayLike, *, subsets: int = 100, subset_size: int = 1000
) -> SubsetDistance:
    """KID as av-benchmark and audioldm_eval compute it: cubic kernel, over random subsets of both sets.

    Parameters
    ----------
    reference, generated
        Arrays of shape (n, d) and (m, d).
    subsets, subset_size
        How many are drawn, seed 2020, and of how many rows; cut to the smaller set.

    Returns
    -------
    SubsetDistance

    Raises
    ------
    MetricError
        If shapes do not fit or a value is not finite.
    """
    x, y = checked_sides(reference, generated)
    size = min(subset_size, len(x), len(y))
    draw = np.random.RandomState(_KID_SEED)
    values = []
    for _ in range(subsets):  # they draw from the generated set first
        second = y[draw.choice(len(y), size, replace=False)]
        first = x[draw.choice(len(x), size, replace=False)]
        values.append(_cubic_mmd(first, second))
    return SubsetDistance(float(np.mean(values)), float(np.std(values)), subsets, size, _KID_SEED)


def peavs_frechet_distance(
    reference: Iterable[tuple[npt.NDArray[np.floating], npt.NDArray[np.floating]]],
    generated: Iterable[tuple[npt.NDArray[np.floating], npt.NDArray[np.floating]]],
) -> float:
    """FAVD as PEAVS' toolkit computes it.

    Parameters
    ----------
    reference, generated
        Per clip the embeddings of its video and of its sound, shapes (n, d) and (m, e): both are cut to the smaller of
        n and m, and joined.

    Returns
    -------
    float
        In squared feature units; our arithmetic, which theirs equals within 1e-6 (n < d) or 1e-9.

    Raises
    ------
    MetricError
        If a side has fewer than two rows or a value is not finite.
    """
    return frechet_distance(*(_joined(clips) for clips in (reference, generated)))


def _joined(clips: Iterable[tuple[npt.NDArray[np.floating], npt.NDArray[np.floating]]]) -> npt.NDArray[np.floating]:
    rows = []
    for video, audio in clips:
        shared_n = min(len(video), len(audio))
        rows.append(np.hstack([video[:shared_n], audio[:shared_n]]))
    if not rows:
        raise MetricError("each side must have clips; one has none")
    return np.concatenate(rows)


def _pooled_by_file(
    clips: Iterable[npt.NDArray[np.floating]], stored: type[np.floating]
) -> tuple[Float64Array, Float64Array]:
    """Combine means, in the stored type, and scatters of files into the mean and covariance of the set."""
    mean: Float64Array | float = 0.0
    scatter: Float64Array | float = 0.0
    count = 0
    for rows in clips:
        kept = np.asarray(rows).astype(stored)
        if len(kept) < 2:
            raise MetricError(
                "fadtk takes a covariance of each clip's windows, which one window has none of: its score is NaN for a"
                " set with such a clip (sound shorter than 1.935 s)"
            )
        weight = len(kept) / (count + len(kept))
        delta = kept.mean(axis=0) - mean
        own = np.atleast_2d(np.cov(kept, rowvar=False)) * (len(kept) - 1)
        scatter = scatter + own + np.outer(delta, delta) * (count * weight)
        mean = mean + weight * delta
        count += len(kept)
    if count == 0:
        raise MetricError("each side must have clips; one has none")
    return np.atleast_1d(mean), np.atleast_2d(scatter / (count - 1))


def _cubic_mmd(x: Float64Array, y: Float64Array) -> float:
    """Unbiased squared MMD of equally many rows under the kernel (x·y / d + 1)³."""
    n = len(x)
    within = 0.0
    for rows in (x, y):
        kernel = (rows @ rows.T / rows.shape[1] + 1.0) ** 3
        within += (kernel.sum() - np.trace(kernel)) / (n * (n - 1))
    return float(within - 2.0 * ((x @ y.T / x.shape[1] + 1.0) ** 3).mean())
