r"""Kernel distance of features (KAD): unbiased squared MMD with a Gaussian kernel, plain and joint.

.. math:: \mathrm{KAD} = \frac{1}{n(n-1)}\sum_{i\ne j} k(x_i, x_j) + \frac{1}{m(m-1)}\sum_{i\ne j} k(y_i, y_j)
          - \frac{2}{nm}\sum_{i,j} k(x_i, y_j), \qquad k(a, b) = \exp\frac{-\lVert a - b\rVert^2}{2\sigma^2}

Conventions
-----------
Reference x first, generated y second. The bandwidth σ is the median distance between two different rows of the
*reference*, the lower one of the two middle values where their number is even. Of a reference of more than 4096 rows,
the median is that of 4096 rows drawn without replacement by a seed, and the record says so; ``benchmarks/kernel.py``
prints how little σ and the value vary between seeds. The draw goes by what rows hold, so it does not depend on their
order. The value has no unit and is never multiplied by 100, unlike that of the KAD toolkit and of tables made
with it. Its expectation is 0 for equal distributions and at most 2; for a finite set it may be negative, and for a set
against itself it always is.

Unlike a Fréchet distance it assumes no Gaussians and has no bias from few rows, for rows that are independent. Those of
a benchmark are not: windows of one clip resemble each other, and reference and generated sound of one clip share its
video and caption. Given the clip of each row, pairs of rows of one clip are therefore left out of all three means; the
rest are independent, and a set against itself scores 0. With all pairs, sound of the same events with another noise
scores below 0, and a sound that comes late may pass for as good as the reference.

Copies of the reference score below 0: a distance without bias presumes that the sets are drawn independently of each
other, and a copy lies nearer to its original than any two independent rows do. Where every generated row is the
reference's of another clip, with one window a clip, the value is exactly -2 (1 - k̄) / (n - 1), with k̄ the mean kernel
value of each reference row and the copy in its place: about -1 / n, below the noise of independent sets of few rows,
and many standard errors with thousands. So a kernel distance far below 0 says that sounds were copied, not that they
are better than real; ``swapped`` sounds of the mini world show it, and ``validate-metrics`` marks it.

Standard errors
---------------
Those of first order, from the influence of every row, are too large where the distance is near its noise. Of second
order, with the influences on the value over either half of the clips, they are near the spread, and a paired test of
two equally good systems rejects about as often as it should, with 30 clips in 6 to 7 % at the 5 % level
(``benchmarks/null_levels.py``). Of two clips there is no error: their only pair says nothing about how pairs vary.

Joint KAD is the same on balanced joint rows (:mod:`t2av_bench.metrics.joint`): the raw ones would give the block of the
largest scale the whole distance.

Differences from other implementations
--------------------------------------
kadtk (8bda71d) multiplies by 100, and takes σ from its second argument, which its callers fill with the *evaluated*
set, against its own paper: a factor of 3.6 to 5.4 on the arrays it was run on for the tests. With its σ both agree
within 1e-6. It adds 1e-8 to 2σ² and keeps n x n distances on disk.

References
----------
Gretton et al., A kernel two-sample test, 2012, eq. 3; Chung et al., KAD: no more FAD!, 2025, arXiv:2502.15602.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from t2av_bench.errors import MetricError
from t2av_bench.metrics.distances import Rows, StoredRows, checked_rows
from t2av_bench.metrics.influence import Influence
from t2av_bench.metrics.joint import Balance
from t2av_bench.metrics.kernel_bandwidth import median_distance, median_rows_n
from t2av_bench.metrics.kernel_means import Places, Shares, mean_within, means_between
from t2av_bench.metrics.stats import Float64Array, JointStats
from t2av_bench.metrics.uncertainty import checked_clips

STDERR_CLIPS = 3
"""Fewest clips of a side whose kernel distance has a standard error."""


class KernelDistance(NamedTuple):
    """A kernel distance and how it came about.

    Attributes
    ----------
    value
        Unbiased squared MMD; not multiplied by 100.
    bandwidth
        σ, in the unit of the features.
    bandwidth_rows
        Number of reference rows that σ is the median distance of; 0 where it was given.
    seed
        What they were drawn with; None where all rows were used or σ was given.
    influence
        Of every row on the value, with σ fixed. Clip contributions and the standard error clustered by clip are made of
        it: :func:`~t2av_bench.metrics.uncertainty.clustered_stderr`. To first order; see the module.
    own_half
        The same of every row on the value over its own half of the clips alone, where ``halves`` were given, for errors
        of second order (:func:`~t2av_bench.metrics.uncertainty.second_order`).
    """

    value: float
    bandwidth: float
    bandwidth_rows: int
    seed: int | None
    influence: Influence
    own_half: Influence | None = None


def kernel_distance(
    reference: npt.ArrayLike | StoredRows,
    generated: npt.ArrayLike | StoredRows,
    *,
    bandwidth: float | None = None,
    seed: int = 0,
    clips: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
    halves: tuple[Places, Places] | None = None,
) -> KernelDistance:
    """Kernel distance (KAD) between two sets of features.

    Parameters
    ----------
    reference, generated
        Arrays of shape (n, d) and (m, d), at least two rows each, from the same extractor; or rows that are stored
        elsewhere, of which only blocks are held.
    bandwidth
        σ in the unit of the features; None takes the median distance of the reference.
    seed
        Of the rows that the median is taken of, if there are more than 4096.
    clips
        Clip of each row of either side, shapes (n,) and (m,), from at least two clips a side. Pairs of rows of one clip
        are then left out of all three means (see the module). None takes every row for a clip of its own, and those of
        the one side for others than those of the other.
    halves
        Half of the clips, 0 or 1, that each row's clip is in, shapes (n,) and (m,), each with two clips at least. They
        cost nothing.

    Returns
    -------
    KernelDistance
        Its ``value`` is at most 2; lower is better; invariant to rotation, shift and scale of the features.

    Raises
    ------
    MetricError
        If shapes do not fit, a value is not finite, there are fewer than two clips, or the bandwidth is not above zero
        (most of the reference's rows are the same).

    Examples
    --------
    >>> result = kernel_distance([[0.0], [1.0]], [[0.0], [1.0]])
    >>> result.bandwidth, round(result.value, 9)  # exp(-1/2) - 1
    (1.0, -0.39346934)
    """
    x, y = checked_rows(reference, generated)
    rows_n, used_seed = 0, None
    if bandwidth is None:
        rows_n = median_rows_n(len(x))
        used_seed = seed if rows_n < len(x) else None
        bandwidth = median_distance(x, seed=seed)
    if not 0.0 < bandwidth < np.inf:
        raise MetricError(f"the bandwidth must be above zero and finite; got {bandwidth:g} (do the features vary?)")
    ids = _numbered(clips, x, y)
    shares = Shares.of(halves, (len(x), len(y)))
    x_x = mean_within(x, bandwidth, ids and ids[0], shares.x)
    y_y = mean_within(y, bandwidth, ids and ids[1], shares.y)
    x_y, y_x = means_between(x, y, bandwidth, ids, shares)
    value = x_x.value + y_y.value - 2.0 * x_y.value
    means = (x_x, x_y), (y_y, y_x)
    influence = Influence(*(2.0 * (own.influence() - other.influence()) for own, other in means))
    own_half = None
    if halves is not None:
        own_half = Influence(
            *(2.0 * (own.by_half(part) - other.by_half(part)) for (own, other), part in zip(means, halves, strict=True))
        )
    return KernelDistance(value, float(bandwidth), rows_n, used_seed, influence, own_half)


def joint_kernel_distance(
    reference: Mapping[str, npt.ArrayLike],
    generated: Mapping[str, npt.ArrayLike],
    *,
    balance: Balance | None = None,
    bandwidth: float | None = None,
    seed: int = 0,
    clips: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
) -> KernelDistance:
    """Kernel distance between balanced joint features, such as audio with video.

    Parameters
    ----------
    reference, generated
        For each block an array of shape (windows, dimension), rows paired across blocks; ``audio`` among them.
    balance
        Fitted on the reference; None fits it.
    bandwidth, seed, clips
        As for :func:`kernel_distance`; the bandwidth in balanced coordinates.

    Returns
    -------
    KernelDistance
        As of :func:`kernel_distance`. The maps of the balance count as fixed in its influence.

    Raises
    ------
    MetricError
        If blocks differ or are missing, a block does not vary over the reference, or as for :func:`kernel_distance`.
    """
    if list(reference) != list(generated):
        raise MetricError(f"both sides must hold the same blocks; got {list(reference)} and {list(generated)}")
    if "audio" not in reference:
        raise MetricError(f"joint features need the block 'audio'; got {list(reference)}")
    if balance is None:
        balance = _fit_balance(reference)
    unfitted = [block for block in reference if block not in balance.maps]
    if unfitted:
        raise MetricError(f"the balance was not fitted on the block {unfitted[0]!r}; only on {list(balance.maps)}")
    balance.check("the joint distance", list(reference))
    rows = [_balanced_rows(side, balance) for side in (reference, generated)]
    return kernel_distance(rows[0], rows[1], bandwidth=bandwidth, seed=seed, clips=clips)


def _fit_balance(blocks: Mapping[str, npt.ArrayLike]) -> Balance:
    arrays = {block: np.asarray(rows, dtype=np.float64) for block, rows in blocks.items()}
    for block, array in arrays.items():
        if array.ndim != 2:
            raise MetricError(f"block {block!r} must have the shape (windows, dimension); got {array.shape}")
    stats = JointStats({block: array.shape[1] for block, array in arrays.items()})
    stats.update(**arrays)
    return Balance.fit(stats)


def _balanced_rows(blocks: Mapping[str, npt.ArrayLike], balance: Balance) -> Float64Array:
    parts = [np.asarray(rows, dtype=np.float64) for rows in blocks.values()]
    for block, part in zip(blocks, parts, strict=True):
        expected = (len(parts[0]), len(balance.maps[block]))
        if part.shape != expected:
            raise MetricError(f"block {block!r} must have the shape {expected}; got {part.shape}")
    return np.concatenate([part @ balance.maps[block] for block, part in zip(blocks, parts, strict=True)], axis=1)


def _numbered(clips: tuple[npt.ArrayLike, npt.ArrayLike] | None, x: Rows, y: Rows) -> tuple[Places, Places] | None:
    """Return the number of each row's clip, the same clip having the same number on both sides."""
    if clips is None:
        return None
    ids = [
        checked_clips(side, len(rows), f"clips[{number}]", keep_numbers=True)
        for number, (side, rows) in enumerate(zip(clips, (x, y), strict=True))
    ]
    _, numbers = np.unique(np.concatenate(ids), return_inverse=True)
    sides = numbers[: len(x)], numbers[len(x) :]
    if min(len(np.unique(side)) for side in sides) < 2:
        raise MetricError("a kernel distance without pairs of one clip needs at least 2 clips on each side")
    return sides
