"""Counts, means and scatters of joint embeddings, gathered in one pass.

:class:`JointStats` keeps the rows themselves while they are no more than dimensions, and their mean and scatter
matrix from then on. Both are exact, and memory never exceeds a few d x d matrices however many clips there are. The
Fréchet arithmetic uses whichever is held: few rows in many dimensions need no d x d matrix at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from t2av_bench.errors import MetricError
from t2av_bench.metrics.algebra import algebra

Float64Array = npt.NDArray[np.float64]


class JointStats:
    """Sufficient statistics of a Gaussian over named blocks of features.

    Parameters
    ----------
    dims
        Dimension of each block, in order: ``{"audio": 128, "video": 4096}``.

    Examples
    --------
    >>> stats = JointStats({"audio": 1, "video": 2})
    >>> stats.update(audio=[[0.0], [2.0]], video=[[1.0, 1.0], [1.0, 3.0]])
    >>> stats.n, stats.mean.tolist(), stats.select("video").covariance.tolist()
    (2, [1.0, 1.0, 2.0], [[0.0, 0.0], [0.0, 2.0]])
    """

    def __init__(self, dims: Mapping[str, int]) -> None:
        if not dims or any(dim < 1 for dim in dims.values()):
            raise MetricError(f"`dims` must name at least one block of at least one dimension; got {dict(dims)}")
        self.dims = dict(dims)
        self.n = 0
        self._pending: list[Float64Array] = []  # rows not yet in the moments
        self._moments: tuple[int, Float64Array, Float64Array] | None = None  # count, mean, scatter

    @classmethod
    def from_moments(cls, dims: Mapping[str, int], n: int, mean: npt.ArrayLike, scatter: npt.ArrayLike) -> JointStats:
        """Return the statistics of rows that were counted elsewhere.

        Parameters
        ----------
        dims
            Dimension of each block, in order; d in all.
        n
            Number of rows.
        mean, scatter
            Their mean, shape (d,), and the sum of the outer products of their deviations from it, shape (d, d).

        Raises
        ------
        MetricError
            If a shape does not fit or a value is not finite.
        """
        stats = cls(dims)
        centre, spread = np.array(mean, dtype=np.float64), np.array(scatter, dtype=np.float64)
        if centre.shape != (stats.d,) or spread.shape != (stats.d, stats.d):
            raise MetricError(
                f"moments over {stats.d} dimensions must have the shapes ({stats.d},) and ({stats.d}, {stats.d}); got"
                f" {centre.shape} and {spread.shape}"
            )
        if n < 0 or not (np.isfinite(centre).all() and np.isfinite(spread).all()):
            raise MetricError("moments must be finite and count at least 0 rows")
        if n:
            stats.n, stats._moments = n, (n, centre, spread)
        return stats

    @property
    def d(self) -> int:
        """Total dimension."""
        return sum(self.dims.values())

    def update(self, **features: npt.ArrayLike) -> None:
        """Add windows: one array of shape (windows, dimension) per block, rows paired across blocks.

        Raises
        ------
        MetricError
            If blocks are missing or unknown, shapes disagree, or a value is NaN or infinite.
        """
        self._add(np.concatenate(self._checked_blocks(features), axis=1))

    def merge(self, other: JointStats) -> None:
        """Add all rows another object has seen; equal to having seen them here, up to rounding."""
        if list(self.dims.items()) != list(other.dims.items()):
            raise MetricError(f"only statistics over the same blocks can be merged; got {self.dims} and {other.dims}")
        if other._moments is None:
            for rows in other._pending:
                self._add(rows)
        else:
            other._flush()  # once, not again for every union that it is part of
            self._flush()
            self._moments = _merged(self._moments, other._moments)
            self.n += other.n

    @property
    def rows(self) -> Float64Array | None:
        """All rows, shape (n, d), while they are held; None once only their moments are."""
        if self._moments is not None or self.n == 0:
            return None
        if len(self._pending) > 1:
            self._pending = [np.concatenate(self._pending)]
        return self._pending[0]

    @property
    def mean(self) -> Float64Array:
        """Mean, shape (d,)."""
        rows = self.rows
        return self._flushed()[1] if rows is None else rows.mean(axis=0)

    @property
    def covariance(self) -> Float64Array:
        """Covariance with n - 1, shape (d, d)."""
        rows = self.rows
        count, _, scatter = self._flushed() if rows is None else moments_of(rows)
        covariance: Float64Array = scatter / (count - 1)
        return covariance

    @property
    def total_variance(self) -> float:
        """Trace of the covariance, without forming it while rows are held."""
        rows = self.rows
        if rows is None:
            count, _, scatter = self._flushed()
            return float(np.trace(scatter)) / (count - 1)
        return float(np.square(rows - rows.mean(axis=0)).sum()) / (self._checked_n() - 1)

    @property
    def rank(self) -> int:
        """Numerical rank of the covariance: directions with more variance than rounding leaves in an empty one."""
        rows = self.rows
        if rows is None:
            gram = self._flushed()[2]
            if _is_regular(gram):
                return self.d
        else:
            centred = rows - rows.mean(axis=0)
            few = centred.T if len(centred) < self.d else centred
            gram = algebra(few.shape[1]).scatter(few)
        values = algebra(len(gram)).eigenvalues(gram)
        return int(np.count_nonzero(values > values[-1] * len(values) * np.finfo(np.float64).eps))

    def select(self, *blocks: str) -> JointStats:
        """Return the statistics of some of the blocks, in the given order."""
        unknown = [block for block in blocks if block not in self.dims]
        if unknown or not blocks:
            raise MetricError(f"there is no block {unknown or 'given'}; available: {', '.join(self.dims)}")
        if list(blocks) == list(self.dims):
            return self
        index = np.concatenate([np.arange(*self.span(block)) for block in blocks])
        chosen = JointStats({block: self.dims[block] for block in blocks})
        rows = self.rows
        if rows is not None:
            chosen._add(rows[:, index])
        elif self.n:
            count, mean, scatter = self._flushed()
            chosen.n, chosen._moments = count, (count, mean[index], scatter[np.ix_(index, index)])
        return chosen

    def project(self, maps: Mapping[str, Float64Array]) -> JointStats:
        """Return the statistics of linearly mapped blocks.

        Parameters
        ----------
        maps
            For each block a matrix of shape (dimension, new dimension) that rows are multiplied by.
        """
        projected = JointStats({block: maps[block].shape[1] for block in self.dims})
        rows = self.rows
        if rows is not None:
            parts = [rows[:, slice(*self.span(block))] @ maps[block] for block in self.dims]
            projected._add(np.concatenate(parts, axis=1))
        elif self.n:
            count, mean, scatter = self._flushed()
            spans = [(slice(*self.span(block)), maps[block]) for block in self.dims]
            new_mean = np.concatenate([mean[span] @ matrix for span, matrix in spans])
            new_scatter = np.block([[a.T @ scatter[i, j] @ b for j, b in spans] for i, a in spans])
            projected.n, projected._moments = count, (count, new_mean, new_scatter)
        return projected

    def without_cross(self, block: str) -> JointStats:
        """Return statistics with the covariance between one block and all others set to zero.

        This is what pairing the block's rows with random rows of the others gives on average.
        """
        count, mean, scatter = self._flushed() if self.rows is None else moments_of(self._rows_or_fail())
        inside = np.zeros(self.d, dtype=bool)
        inside[slice(*self.span(block))] = True
        independent = JointStats(self.dims)
        independent.n = count
        independent._moments = (count, mean, np.where(inside[:, None] == inside[None, :], scatter, 0.0))
        return independent

    def span(self, block: str) -> tuple[int, int]:
        """Return the first and one past the last column of a block."""
        names = list(self.dims)
        start = sum(self.dims[name] for name in names[: names.index(block)])
        return start, start + self.dims[block]

    def _checked_blocks(self, features: Mapping[str, npt.ArrayLike]) -> list[Float64Array]:
        if set(features) != set(self.dims):
            raise MetricError(f"`update` needs the blocks {sorted(self.dims)}; got {sorted(features)}")
        arrays = [np.asarray(features[block], dtype=np.float64) for block in self.dims]
        for (block, dim), array in zip(self.dims.items(), arrays, strict=True):
            if array.ndim != 2 or array.shape[1] != dim or len(array) != len(arrays[0]):
                expected = f"({len(arrays[0])}, {dim})"
                raise MetricError(f"block {block!r} must have the shape {expected}; got {array.shape}")
            if not np.isfinite(array).all():
                raise MetricError(
                    f"block {block!r} must be finite; got {np.count_nonzero(~np.isfinite(array))} values"
                    " that are NaN or infinite"
                )
        return arrays

    def _add(self, rows: Float64Array) -> None:
        if len(rows) == 0:
            return
        self._pending.append(rows)
        self.n += len(rows)
        # One large matrix product every d rows instead of one small one per clip: the same result, far fewer passes
        # over a d x d matrix.
        if sum(map(len, self._pending)) > self.d:
            self._flush()

    def _flush(self) -> None:
        if self._pending:
            self._moments = _merged(self._moments, moments_of(np.concatenate(self._pending)))
            self._pending = []

    def _flushed(self) -> tuple[int, Float64Array, Float64Array]:
        self._checked_n()
        self._flush()
        assert self._moments is not None  # n >= 2 rows have been seen and flushed
        return self._moments

    def _rows_or_fail(self) -> Float64Array:
        rows = self.rows
        assert rows is not None
        return rows

    def _checked_n(self) -> int:
        if self.n < 2:
            raise MetricError(f"a covariance needs at least 2 rows; got {self.n}")
        return self.n


def moments_of(rows: Float64Array) -> tuple[int, Float64Array, Float64Array]:
    """Return count, mean (d,) and scatter (d, d) of rows (n, d)."""
    mean = rows.mean(axis=0)
    return len(rows), mean, algebra(rows.shape[1]).scatter(rows - mean)


def _is_regular(gram: Float64Array) -> bool:
    """Say whether a Cholesky factor, far cheaper than eigenvalues, shows that none of them is as small as rounding."""
    largest = min(float(np.trace(gram)), float(np.abs(gram).sum(axis=1).max()))
    least = 4.0 * largest * len(gram) * np.finfo(np.float64).eps
    try:
        algebra(len(gram)).cholesky(gram - least * np.eye(len(gram)))
    except np.linalg.LinAlgError:
        return False
    return True


def _merged(
    first: tuple[int, Float64Array, Float64Array] | None, second: tuple[int, Float64Array, Float64Array]
) -> tuple[int, Float64Array, Float64Array]:
    """Combine two sets of moments (Chan, Golub and LeVeque, 1983)."""
    if first is None:
        return second
    (n1, mean1, scatter1), (n2, mean2, scatter2) = first, second
    n = n1 + n2
    shift = mean2 - mean1
    scatter = np.outer(shift, shift)
    scatter *= n1 * n2 / n  # in place: a matrix may have hundreds of megabytes
    scatter += scatter1
    scatter += scatter2
    return n, mean1 + shift * (n2 / n), scatter


def as_stats(features: JointStats | npt.ArrayLike, what: str) -> JointStats:
    """Return statistics as they are, or those of an array of shape (n, d)."""
    if isinstance(features, JointStats):
        return features
    array: npt.NDArray[Any] = np.asarray(features)
    if array.ndim != 2 or array.shape[1] == 0:
        raise MetricError(f"`{what}` must be an array of shape (n, d) or a JointStats; got the shape {array.shape}")
    stats = JointStats({"features": array.shape[1]})
    stats.update(features=array)
    return stats


def check_same_blocks(reference: JointStats, generated: JointStats) -> None:
    """Raise unless both sides have the same dimensions and at least two rows each."""
    sizes: list[Sequence[int]] = [tuple(stats.dims.values()) for stats in (reference, generated)]
    if sizes[0] != sizes[1]:
        raise MetricError(
            "`reference` and `generated` must have the same feature dimension; got"
            f" {' + '.join(map(str, sizes[0]))} and {' + '.join(map(str, sizes[1]))} (was one set embedded with another"
            " extractor?)"
        )
    for name, stats in (("reference", reference), ("generated", generated)):
        if stats.n < 2:
            raise MetricError(f"`{name}` must hold at least 2 rows; got {stats.n}")
