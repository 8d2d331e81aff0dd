"""What the companion metrics share: checked inputs, blocks of rows, squared distances."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from t2av_bench.errors import MetricError
from t2av_bench.metrics.stats import Float64Array

# Squares of larger values overflow.
_LARGEST = 1e150


def checked_sides(
    reference: npt.ArrayLike, generated: npt.ArrayLike, least_n: int = 2
) -> tuple[Float64Array, Float64Array]:
    """Return both sides as float64 arrays of shapes (n, d) and (m, d).

    Raises
    ------
    MetricError
        If a side is no such array, has fewer than ``least_n`` rows or holds a value that is not finite, or if the
        dimensions differ.
    """
    sides = []
    for name, rows in (("reference", reference), ("generated", generated)):
        array = np.asarray(rows, dtype=np.float64)
        if array.ndim != 2 or array.shape[1] == 0:
            raise MetricError(f"`{name}` must be an array of shape (n, d); got the shape {array.shape}")
        if len(array) < least_n:
            raise MetricError(f"`{name}` must hold at least {least_n} rows; got {len(array)}")
        if not max(-array.min(), array.max()) < _LARGEST:  # also false for NaN
            raise MetricError(f"`{name}` must be finite, and below {_LARGEST:g}; got NaN, infinite or larger values")
        sides.append(array)
    if sides[0].shape[1] != sides[1].shape[1]:
        raise MetricError(
            "`reference` and `generated` must have the same dimension; got"
            f" {sides[0].shape[1]} and {sides[1].shape[1]} (was one set embedded with another extractor?)"
        )
    return sides[0], sides[1]


def checked_vector(values: npt.ArrayLike, name: str) -> Float64Array:
    """Return values as a float64 array of shape (n,); it may be empty.

    Raises
    ------
    MetricError
        If it has another shape or holds a value that is not finite.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise MetricError(f"`{name}` must be one-dimensional; got the shape {array.shape}")
    if not np.isfinite(array).all():
        raise MetricError(f"`{name}` must be finite; got NaN or infinite values")
    return array


def row_blocks(rows_n: int, block_n: int) -> Iterator[slice]:
    """Cut rows into blocks of at most ``block_n``, in order."""
    for start in range(0, rows_n, block_n):
        yield slice(start, min(start + block_n, rows_n))


def squared_distances(x: Float64Array, y: Float64Array) -> Float64Array:
    """Return squared Euclidean distances of rows (n, d) and (m, d), shape (n, m), never negative.

    By one matrix product, so that the error is about 1e-15 of the squared norms: centre the rows first.
    """
    squared: Float64Array = x @ (-2.0 * y.T)
    squared += np.square(x).sum(axis=1)[:, None]
    squared += np.square(y).sum(axis=1)[None, :]
    np.maximum(squared, 0.0, out=squared)
    return squared
