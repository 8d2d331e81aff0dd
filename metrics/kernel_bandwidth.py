"""The bandwidth of a kernel distance: the median distance between the rows of the reference.

See :mod:`t2av_bench.metrics.kernel`.

References
----------
Steele, Lea and Flood, Fast splittable pseudorandom number generators, 2014.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from t2av_bench.metrics.distances import (
    Centred,
    Rows,
    StoredRows,
    checked_rows,
    mean_row,
    row_blocks,
    squared_distances,
)
from t2av_bench.metrics.stats import Float64Array

MEDIAN_ROWS = 4096
_BLOCK_ROWS = 1024
_PAIRED_ROWS = 512  # distances of so many rows with as many others are in memory at once
_GUESSING_ROWS = 512
# Of the distances between these rows, bounds of the brackets; wide ones where the median rarely is.
_LEVELS = (0.0, 0.3, 0.4, 0.44, 0.46, 0.47, 0.48, 0.49, 0.5, 0.51, 0.52, 0.53, 0.54, 0.56, 0.6, 0.7)


def median_rows_n(rows_n: int) -> int:
    """Return how many of the rows the median distance is of."""
    return min(rows_n, MEDIAN_ROWS)


def median_distance(rows: npt.ArrayLike | StoredRows, *, seed: int = 0) -> float:
    """Lower median of the Euclidean distances between different rows.

    Parameters
    ----------
    rows
        Array of shape (n, d), at least two rows; or rows that are stored elsewhere.
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
    checked, _ = checked_rows(rows, rows)
    centred = Centred(checked, mean_row(checked))
    some = centred[_drawn(centred, MEDIAN_ROWS, seed) if len(centred) > MEDIAN_ROWS else slice(None)]
    first, second = _middle_pair(some)
    # That pair's distance once more, without the rounding of the matrix product: exactly 0 for equal rows.
    return float(np.linalg.norm(some[first] - some[second]))


def _middle_pair(rows: Float64Array) -> tuple[int, int]:
    """Return two different rows whose distance is the lower median of all such distances.

    Only those distances are held that are in the same bracket as the median: some 1 % of them.
    """
    n = len(rows)
    rank = (n * (n - 1) // 2 - 1) // 2
    edges = _edges(rows)
    below = np.zeros(len(edges), dtype=np.int64)
    for _, _, squared in _paired_blocks(rows):
        below += [np.count_nonzero(squared < edge) for edge in edges]
    bracket = int(np.searchsorted(below, rank, side="right")) - 1
    held, pairs = _within(rows, edges[bracket], edges[bracket + 1])
    middle = int(pairs[np.argpartition(held, rank - below[bracket])[rank - below[bracket]]])
    return middle // n, middle % n


def _edges(rows: Float64Array) -> list[float]:
    """Return bounds of brackets of squared distances, narrow ones where rows that lie evenly among all have theirs."""
    some = rows[:: max(len(rows) // _GUESSING_ROWS, 1)]
    squared = np.sort(squared_distances(some, some)[np.triu_indices(len(some), k=1)])
    guessed = [float(squared[int(level * len(squared))]) for level in _LEVELS]
    return [-np.inf, *guessed, np.inf]


def _within(rows: Float64Array, low: float, high: float) -> tuple[Float64Array, npt.NDArray[np.int32]]:
    """Return the squared distances from ``low`` to below ``high``, and the pair i, j of each as n i + j."""
    distances, pairs = [], []
    for first, second, squared in _paired_blocks(rows):
        i, j = np.nonzero((squared >= low) & (squared < high))
        distances.append(squared[i, j])
        pairs.append(((i + first) * len(rows) + (j + second)).astype(np.int32))
    return np.concatenate(distances), np.concatenate(pairs)


def _paired_blocks(rows: Float64Array) -> Iterator[tuple[int, int, Float64Array]]:
    """Yield the squared distances of different rows, each pair once, a block at a time: first row, first column, block.

    NaN stands where a pair was already, and for a row with itself.
    """
    blocks = list(row_blocks(len(rows), _PAIRED_ROWS))
    for number, first in enumerate(blocks):
        for second in blocks[number:]:
            squared = squared_distances(rows[first], rows[second])
            if first == second:
                squared[np.tri(len(squared), dtype=bool)] = np.nan
            yield first.start, second.start, squared


def _drawn(rows: Rows, count: int, seed: int) -> npt.NDArray[np.intp]:
    """Draw some of many centred rows by a hash of what they hold, shape (count,).

    Values count to a thousandth of their spread, so that rounding draws no other rows. Rows that are alike to that are
    numbered, so that as many of them are drawn as of others.
    """
    blocks = list(row_blocks(len(rows), _BLOCK_ROWS))
    squares = sum(float(np.square(rows[block]).sum()) for block in blocks)
    scale = float(np.sqrt(squares / len(rows) / rows.shape[1])) * 1e-3 or 1.0
    factors = np.random.default_rng(seed).integers(2**64, size=rows.shape[1], dtype=np.uint64) | np.uint64(1)
    hashes = np.empty(len(rows), dtype=np.uint64)
    for block in blocks:
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
