"""What the companion metrics share: checked inputs, blocks of rows, squared distances."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from t2av_bench.errors import MetricError
from t2av_bench.metrics.stats import Float64Array

# Squares of larger values overflow.
_LARGEST = 1e150
_BLOCK_ROWS = 1024


class StoredRows(ABC):
    """Rows that lie elsewhere than in an array, such as in a file, and are read a block at a time, as float64."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int]:
        """(rows, dimension)."""

    def __len__(self) -> int:
        return self.shape[0]

    @abstractmethod
    def __getitem__(self, places: slice | npt.NDArray[np.intp]) -> Float64Array:
        """Return the rows of a block, or at some places."""


Rows = Float64Array | StoredRows


class Centred(StoredRows):
    """Rows less one row, such as their mean, made when asked for."""

    def __init__(self, rows: Rows, centre: Float64Array) -> None:
        self._rows, self._centre = rows, centre

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, dimension)."""
        return len(self._rows), self._rows.shape[1]

    def __getitem__(self, places: slice | npt.NDArray[np.intp]) -> Float64Array:
        return self._rows[places] - self._centre


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
    sides = np.asarray(reference, dtype=np.float64), np.asarray(generated, dtype=np.float64)
    _check_sides(*sides, least_n)
    return sides


def checked_rows(
    reference: npt.ArrayLike | StoredRows, generated: npt.ArrayLike | StoredRows, least_n: int = 2
) -> tuple[Rows, Rows]:
    """Do what :func:`checked_sides` does, where a side may also be stored elsewhere."""
    sides = tuple(
        rows if isinstance(rows, StoredRows) else np.asarray(rows, dtype=np.float64) for rows in (reference, generated)
    )
    _check_sides(sides[0], sides[1], least_n)
    return sides[0], sides[1]


def _check_sides(reference: Rows, generated: Rows, least_n: int) -> None:
    for name, rows in (("reference", reference), ("generated", generated)):
        if len(rows.shape) != 2 or rows.shape[1] == 0:
            raise MetricError(f"`{name}` must be an array of shape (n, d); got the shape {rows.shape}")
        if len(rows) < least_n:
            raise MetricError(f"`{name}` must hold at least {least_n} rows; got {len(rows)}")
        blocks = (rows[block] for block in row_blocks(len(rows), _BLOCK_ROWS))
        if not all(max(-block.min(), block.max()) < _LARGEST for block in blocks):  # also false for NaN
            raise MetricError(f"`{name}` must be finite, and below {_LARGEST:g}; got NaN, infinite or larger values")
    if reference.shape[1] != generated.shape[1]:
        raise MetricError(
            "`reference` and `generated` must have the same dimension; got"
            f" {reference.shape[1]} and {generated.shape[1]} (was one set embedded with another extractor?)"
        )


def mean_row(rows: Rows) -> Float64Array:
    """Return the mean of rows (n, d), shape (d,)."""
    total = np.zeros(rows.shape[1])
    for block in row_blocks(len(rows), _BLOCK_ROWS):
        total = np.add.reduce(np.vstack([total, rows[block]]), axis=0)
    return np.asarray(total / len(rows))


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


def squared_distances(x: Float64Array, y: Rows) -> Float64Array:
    """Return squared Euclidean distances of rows (n, d) and (m, d), shape (n, m), never negative.

    By matrix products, so that the error is about 1e-15 of the squared norms: centre the rows first.
    """
    squared = np.empty((len(x), len(y)))
    doubled, x_norms = -2.0 * x, squared_norms(x)[:, None]
    for block in row_blocks(len(y), _BLOCK_ROWS):
        some = y[block]
        part = squared[:, block]
        np.matmul(doubled, some.T, out=part)
        part += x_norms
        part += squared_norms(some)
        np.maximum(part, 0.0, out=part)
    return squared


def squared_norms(rows: Rows) -> Float64Array:
    """Return |row|², shape (n,), without a copy of all rows."""
    return np.concatenate([np.square(rows[block]).sum(axis=1) for block in row_blocks(len(rows), _BLOCK_ROWS)])
