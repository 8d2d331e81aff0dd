"""The bandwidth of a kernel distance: the median distance between the rows of the reference.

See :mod:`t2av_bench.metrics.kernel`.

References
----------
Steele, Lea and Flood, Fast splittable pseudorandom number generators, 2014.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from t2av_bench.metrics.distances import checked_sides, row_blocks, squared_distances
from t2av_bench.metrics.stats import Float64Array

MEDIAN_ROWS = 4096
_HASHED_ROWS = 1024  # at a time


def median_rows_n(rows_n: int) -> int:
    """Return how many of the rows the median distance is of."""
    return min(rows_n, MEDIAN_ROWS)


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
    first, second = np.triu_indices(len(array), k=1)
    squared = squared_distances(array, array)[first, second]
    middle = np.argpartition(squared, (len(squared) - 1) // 2)[(len(squared) - 1) // 2]
    # That pair's distance once more, without the rounding of the matrix product: exactly 0 for equal rows.
    return float(np.linalg.norm(array[first[middle]] - array[second[middle]]))


def _drawn(rows: Float64Array, count: int, seed: int) -> npt.NDArray[np.intp]:
    """Draw some of many centred rows by a hash of what they hold, shape (count,).

    Values count to a thousandth of their spread, so that rounding draws no other rows. Rows that are alike to that are
    numbered, so that as many of them are drawn as of others.
    """
    scale = float(np.sqrt(np.square(rows).mean())) * 1e-3 or 1.0
    factors = np.random.default_rng(seed).integers(2**64, size=rows.shape[1], dtype=np.uint64) | np.uint64(1)
    hashes = np.empty(len(rows), dtype=np.uint64)
    for block in row_blocks(len(rows), _HASHED_ROWS):
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
