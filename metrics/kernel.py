r"""Kernel distance of features (KAD): unbiased squared MMD with a Gaussian kernel, plain and joint.

.. math:: \mathrm{KAD} = \frac{1}{n(n-1)}\sum_{i\ne j} k(x_i, x_j) + \frac{1}{m(m-1)}\sum_{i\ne j} k(y_i, y_j)
          - \frac{2}{nm}\sum_{i,j} k(x_i, y_j), \qquad k(a, b) = \exp\frac{-\lVert a - b\rVert^2}{2\sigma^2}

Conventions
-----------
Reference x first, generated y second. The bandwidth σ is the median distance between two different rows of the
*reference*, the lower one of the two middle values where their number is even. Of a reference of more than 4096 rows,
the median is that of 4096 rows drawn without replacement by a seed, and the record says so: between seeds σ varies by
0.1 % and the value by 0.3 % (20,000 rows of 128 dimensions). The draw goes by what rows hold, so it does not depend on
their order. The value has no unit and is never multiplied by 100, unlike that of the KAD toolkit and of tables made
with it. Its expectation is 0 for equal distributions and at most 2; for a finite set it may be negative, and for a set
against itself it always is.

Unlike a Fréchet distance it assumes no Gaussians and has no bias from few rows, for rows that are independent. Those of
a benchmark are not: windows of one clip resemble each other, and reference and generated sound of one clip share its
video and caption. Given the clip of each row, pairs of rows of one clip are therefore left out of all three means; the
rest are independent, and a set against itself scores 0. (128 clips of the mini world, joint distance of audio and
video: sound of the same events with another noise scores -0.0015 with all pairs and -0.000001 without; sound 0.5 s late
0.0000 and 0.0013 with a standard error of 0.0002.)

Copies of the reference score below 0: a distance without bias presumes that the sets are drawn independently of each
other, and a copy lies nearer to its original than any two independent rows do. Where every generated row is the
reference's of another clip, with one window a clip, the value is exactly -2 (1 - k̄) / (n - 1), with k̄ the mean kernel
value of each reference row and the copy in its place: about -1 / n, below the noise of independent sets of few rows,
and many standard errors with thousands. So a kernel distance far below 0 says that sounds were copied, not that they
are better than real; ``swapped`` sounds of the mini world show it, and ``validate-metrics`` marks it.

Standard errors
---------------
Those of first order, from the influence of every row, are 1.0 to 1.1 times the spread where the distance is well above
its noise, and up to 1.5 times for equal distributions. Of second order, with the influences on the value over either
half of the clips, they are 0.93 to 1.11 times the spread; a paired test of two equally good systems then rejects in 3
to 5 % of runs at the 5 % level, where that of first order does in 0 to 2 % (simulated, 300 and 400 runs, 30 to 100
clips of one and four windows).

Joint KAD is the same on balanced joint rows (:mod:`t2av_bench.metrics.joint`): the raw ones would give the block of the
largest scale the whole distance.

Arithmetic
----------
In float64, in blocks of 1024 x 1024 kernel values that one matrix product gives the exponents of: memory beyond the
input is a few copies of it, so that 200,000 rows of 128 dimensions stay below 2 GB. Rows are centred first, so that
their distance from the origin costs no digits. (float32 blocks would be little faster. Their error is 8e-11 on 20,000
rows of 128 dimensions, but grows with the distance of rows from each other.)

Differences from other implementations
--------------------------------------
kadtk (8bda71d) multiplies by 100, and takes σ from its second argument, which its callers fill with the *evaluated*
set, against its own paper: a factor of 3.6 to 5.4 on the arrays it was run on for the tests. With its σ both agree
within 1e-6. It adds 1e-8 to 2σ² and keeps n x n distances on disk.

References
----------
Gretton et al., A kernel two-sample test, 2012, eq. 3; Chung et al., KAD: no more FAD!, 2025, arXiv:2502.15602; Steele,
Lea and Flood, Fast splittable pseudorandom number generators, 2014.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from t2av_bench.errors import MetricError
from t2av_bench.metrics.distances import checked_sides, row_blocks, squared_distances
from t2av_bench.metrics.influence import Influence
from t2av_bench.metrics.joint import Balance
from t2av_bench.metrics.stats import Float64Array, JointStats
from t2av_bench.metrics.uncertainty import checked_clips

Places = npt.NDArray[np.intp]
MEDIAN_ROWS = 4096
_BLOCK = 1024  # rows and columns of a block: 8 MB, which stays in the processor's cache


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
    reference: npt.ArrayLike,
    generated: npt.ArrayLike,
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
        Arrays of shape (n, d) and (m, d), at least two rows each, from the same extractor.
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
    x, y = checked_sides(reference, generated)
    rows_n, used_seed = 0, None
    if bandwidth is None:
        rows_n, used_seed = min(len(x), MEDIAN_ROWS), seed if len(x) > MEDIAN_ROWS else None
        bandwidth = median_distance(x, seed=seed)
    if not 0.0 < bandwidth < np.inf:
        raise MetricError(f"the bandwidth must be above zero and finite; got {bandwidth:g} (do the features vary?)")
    ids = _numbered(clips, x, y)
    parts = tuple(np.zeros(len(rows), dtype=np.intp) for rows in (x, y)) if halves is None else halves
    shares = _Shares(*(np.eye(1 if halves is None else 2)[part] for part in parts))
    x_x = _within(x, bandwidth, ids and ids[0], shares.x)
    y_y = _within(y, bandwidth, ids and ids[1], shares.y)
    x_y, y_x = _between(x, y, bandwidth, ids, shares)
    value = x_x.value + y_y.value - 2.0 * x_y.value
    means = (x_x, x_y), (y_y, y_x)
    influence = Influence(*(2.0 * (own.influence() - other.influence()) for own, other in means))
    own_half = None
    if halves is not None:
        own_half = Influence(
            *(2.0 * (own.by_half(part) - other.by_half(part)) for (own, other), part in zip(means, parts, strict=True))
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


def median_distance(rows: npt.ArrayLike, *, seed: int = 0) -> float:
    """Lower median of the Euclidean distances between different rows.

    Parameters
    ----------
    rows
        Array of shape (n, d), at least two rows.
    seed
        Draws 4096 rows without replacement where there are more; the same ones in whatever order they come.

    Returns
    -------
    float
        In the unit of the features.

    Raises
    ------
    MetricError
        If there are fewer than two rows or a value is not finite.

    Examples
    --------
    >>> median_distance([[0.0], [1.0], [10.0], [12.0]])  # of 1, 2, 9, 10, 11, 12
    9.0
    """
    array, _ = checked_sides(rows, rows)
    array = array - array.mean(axis=0)
    if len(array) > MEDIAN_ROWS:
        array = array[_drawn(array, MEDIAN_ROWS, seed)]
    first, second = _middle_pair(array)
    # That pair's distance once more, without the rounding of the matrix product: exactly 0 for equal rows.
    return float(np.linalg.norm(array[first] - array[second]))


def _middle_pair(rows: Float64Array) -> tuple[int, int]:
    """Return two different rows whose distance is the lower median of all such distances.

    Only distances within a bracket are held, which some of the rows have guessed; all of them if the guess was wrong.
    """
    n = len(rows)
    rank, blocks = (n * (n - 1) // 2 - 1) // 2, list(row_blocks(n, _BLOCK))
    for low, high in (_bracket(rows), (0.0, np.inf)):
        below, distances, pairs = 0, [], []
        for number, first in enumerate(blocks):
            for second in blocks[number:]:
                squared = squared_distances(rows[first], rows[second])
                if first == second:
                    squared[np.tril_indices(len(squared))] = np.nan  # each pair once, and no row with itself
                below += int(np.count_nonzero(squared < low))
                i, j = np.nonzero((squared >= low) & (squared <= high))
                distances.append(squared[i, j])
                pairs.append((i + first.start) * n + (j + second.start))
        held = np.concatenate(distances)
        if below <= rank < below + len(held):
            break
    middle = np.concatenate(pairs)[np.argpartition(held, rank - below)[rank - below]]
    return int(middle // n), int(middle % n)


def _bracket(rows: Float64Array) -> tuple[float, float]:
    """Guess squared distances below and above the median one, from rows that lie evenly among all."""
    if len(rows) <= _BLOCK:
        return 0.0, np.inf
    some = rows[:: len(rows) // (_BLOCK // 2)]
    squared = np.sort(squared_distances(some, some)[np.triu_indices(len(some), k=1)])
    return float(squared[int(0.45 * len(squared))]), float(squared[int(0.55 * len(squared))])


def _drawn(rows: Float64Array, count: int, seed: int) -> Places:
    """Draw some of many centred rows by a hash of what they hold, shape (count,).

    Values count to a thousandth of their spread, so that rounding draws no other rows. Rows that are alike to that are
    numbered, so that as many of them are drawn as of others.
    """
    scale = float(np.sqrt(np.square(rows).mean())) * 1e-3 or 1.0
    factors = np.random.default_rng(seed).integers(2**64, size=rows.shape[1], dtype=np.uint64) | np.uint64(1)
    hashes = np.empty(len(rows), dtype=np.uint64)
    for block in row_blocks(len(rows), _BLOCK):
        steps = np.rint(rows[block] / scale).clip(-(2.0**62), 2.0**62).astype(np.int64)
        hashes[block] = (steps.view(np.uint64) * factors).sum(axis=1, dtype=np.uint64)
    order = np.argsort(hashes, kind="stable")
    places = np.arange(len(rows))
    first = np.r_[True, np.diff(hashes[order].view(np.int64)) != 0]
    numbers = np.empty(len(rows), dtype=np.uint64)
    numbers[order] = (places - np.maximum.accumulate(np.where(first, places, 0))).astype(np.uint64)
    keys = _mixed(_mixed(hashes) + numbers)
    return np.argpartition(keys, count - 1)[:count]


def _mixed(numbers: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Spread numbers evenly over 64 bits (the finaliser of SplitMix64; Steele, Lea and Flood 2014)."""
    numbers = numbers + np.uint64(0x9E3779B97F4A7C15)
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return numbers ^ (numbers >> np.uint64(31))


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


class _Shares(NamedTuple):
    """Which half each row of either side is in, as columns of 0 and 1, shapes (n, halves) and (m, halves)."""

    x: Float64Array
    y: Float64Array


class _Mean(NamedTuple):
    """A mean over pairs of rows, as sums over the pairs of each row of one set and their numbers, by half of the other.

    Shapes (n, halves).
    """

    sums: Float64Array
    pairs: Float64Array

    @property
    def value(self) -> float:
        return float(self.sums.sum() / self.pairs.sum())

    def influence(self) -> Float64Array:
        """Return what a change of each row's weight changes, one side of the pairs counted."""
        change = self.sums.sum(axis=1) - self.value * self.pairs.sum(axis=1)
        return np.asarray(len(self.sums) * change / self.pairs.sum())

    def by_half(self, halves: Places) -> Float64Array:
        """Return the influence of each row on the mean over the pairs of its own half."""
        found = np.empty(len(self.sums))
        for half in (0, 1):
            chosen = halves == half
            found[chosen] = _Mean(self.sums[chosen, half : half + 1], self.pairs[chosen, half : half + 1]).influence()
        return found


def _within(rows: Float64Array, bandwidth: float, ids: Places | None, share: Float64Array) -> _Mean:
    """Mean kernel value of different rows of a set."""
    left, right = _factors(rows, rows.mean(axis=0), bandwidth)
    sums, pairs = np.zeros(share.shape), share.sum(axis=0) - share
    blocks = list(row_blocks(len(rows), _BLOCK))
    for number, first in enumerate(blocks):
        for second in blocks[number:]:
            kernel = _kernel(left[first], right[second])
            if first == second:
                np.fill_diagonal(kernel, 0.0)
            else:
                sums[second] += kernel.T @ share[first]
            sums[first] += kernel @ share[second]
    for own in [] if ids is None else _members(ids, ids.max() + 1):
        kernel = _kernel(left[own], right[own])
        np.fill_diagonal(kernel, 0.0)
        sums[own] -= kernel @ share[own]
        pairs[own] -= share[own].sum(axis=0) - share[own]
    return _Mean(sums, pairs)


def _between(
    x: Float64Array, y: Float64Array, bandwidth: float, ids: tuple[Places, Places] | None, shares: _Shares
) -> tuple[_Mean, _Mean]:
    """Mean kernel value of rows of two sets, by the rows of either."""
    centre = x.mean(axis=0)  # where rows lie that have a kernel value above zero
    left, right = _factors(x, centre, bandwidth)[0], _factors(y, centre, bandwidth)[1]
    x_mean = _Mean(np.zeros(shares.x.shape), np.tile(shares.y.sum(axis=0), (len(x), 1)))
    y_mean = _Mean(np.zeros(shares.y.shape), np.tile(shares.x.sum(axis=0), (len(y), 1)))
    for first in row_blocks(len(x), _BLOCK):
        for second in row_blocks(len(y), _BLOCK):
            kernel = _kernel(left[first], right[second])
            x_mean.sums[first] += kernel @ shares.y[second]
            y_mean.sums[second] += kernel.T @ shares.x[first]
    clips_n = 0 if ids is None else max(side.max() for side in ids) + 1
    for own, others in zip(*(_members(side, clips_n) for side in ids or ()), strict=True):
        kernel = _kernel(left[own], right[others])
        x_mean.sums[own] -= kernel @ shares.y[others]
        y_mean.sums[others] -= kernel.T @ shares.x[own]
        x_mean.pairs[own] -= shares.y[others].sum(axis=0)
        y_mean.pairs[others] -= shares.x[own].sum(axis=0)
    return x_mean, y_mean


def _numbered(
    clips: tuple[npt.ArrayLike, npt.ArrayLike] | None, x: Float64Array, y: Float64Array
) -> tuple[Places, Places] | None:
    """Return the number of each row's clip, the same clip having the same number on both sides."""
    if clips is None:
        return None
    names = checked_clips(clips[0], len(x), "clips[0]"), checked_clips(clips[1], len(y), "clips[1]")
    _, numbers = np.unique(np.concatenate(names), return_inverse=True)
    sides = numbers[: len(x)], numbers[len(x) :]
    if min(len(np.unique(side)) for side in sides) < 2:
        raise MetricError("a kernel distance without pairs of one clip needs at least 2 clips on each side")
    return sides


def _members(ids: Places, clips_n: int) -> list[Places]:
    """Return the places of every clip's rows."""
    bounds = np.cumsum(np.bincount(ids, minlength=clips_n))[:-1]
    return np.split(np.argsort(ids, kind="stable"), bounds)


def _factors(rows: Float64Array, centre: Float64Array, bandwidth: float) -> tuple[Float64Array, Float64Array]:
    """Rows so extended that one matrix product of left and right ones gives the kernel's exponents.

    With u = (x - centre) / √2σ the exponent is 2 u·v - |u|² - |v|².
    """
    units = (rows - centre) / (np.sqrt(2.0) * bandwidth)
    norms, ones = np.square(units).sum(axis=1, keepdims=True), np.ones((len(rows), 1))
    return np.hstack([2.0 * units, -norms, ones]), np.hstack([units, ones, -norms])


def _kernel(left: Float64Array, right: Float64Array) -> Float64Array:
    exponents: Float64Array = left @ right.T
    # Rows that lie very many bandwidths out have norms whose rounding could exceed 0 by far.
    np.minimum(exponents, 0.0, out=exponents)
    np.exp(exponents, out=exponents)
    return exponents
