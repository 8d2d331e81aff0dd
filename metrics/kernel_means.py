"""Means of a Gaussian kernel over pairs of rows, and what every row adds to them, over all clips and over its own half.

What they are for is in :mod:`t2av_bench.metrics.kernel`.

Arithmetic
----------
In float64, in blocks of 1024 x 1024 kernel values that one matrix product gives the exponents of. Memory beyond the
input is a few blocks, and the input may be a file: four blocks of the one set are held while those of the other are
read. Rows are centred first, so that their distance from the origin costs no digits. (float32 blocks would be little
faster. Their error is 8e-11 on 20,000 rows of 128 dimensions, but grows with the distance of rows from each other.)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from t2av_bench.metrics.distances import Rows, StoredRows, mean_row, row_blocks
from t2av_bench.metrics.stats import Float64Array

Places = npt.NDArray[np.intp]
_BLOCK = 1024  # rows and columns of a block: 8 MB, which stays in the processor's cache
_HELD = 4  # blocks of the one set that every block of the other is read once for
_CLIPS = 256  # clips whose rows are read at once


class Shares(NamedTuple):
    """Which half each row of either side is in, as columns of 0 and 1, shapes (n, halves) and (m, halves)."""

    x: npt.NDArray[np.int8]
    y: npt.NDArray[np.int8]

    @classmethod
    def of(cls, halves: tuple[Places, Places] | None, rows_n: tuple[int, int]) -> Shares:
        """Return the columns of these halves, or of one that all rows are in."""
        parts = tuple(np.zeros(n, dtype=np.intp) for n in rows_n) if halves is None else halves
        return cls(*(np.eye(1 if halves is None else 2, dtype=np.int8)[part] for part in parts))


class PairMean(NamedTuple):
    """A mean over pairs of rows, as sums over the pairs of each row of one set and their numbers, by half of the other.

    Shapes (n, halves).
    """

    sums: Float64Array
    pairs: npt.NDArray[np.int32]

    @property
    def value(self) -> float:
        """The mean."""
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
            own = slice(half, half + 1)
            found[chosen] = PairMean(self.sums[chosen, own], self.pairs[chosen, own]).influence()
        return found


def mean_within(rows: Rows, bandwidth: float, ids: Places | None, share: npt.NDArray[np.int8]) -> PairMean:
    """Mean kernel value of different rows of a set."""
    factors, values_of = _Factors(rows, mean_row(rows), bandwidth), _Kernel()
    sums, pairs = np.zeros(share.shape), share.sum(axis=0, dtype=np.int32) - share
    blocks = list(row_blocks(len(rows), _BLOCK))
    for start in range(0, len(blocks), _HELD):
        held = [(first, _turned(factors[first])) for first in blocks[start : start + _HELD]]
        for number, second in enumerate(blocks[start:]):
            right = factors[second]
            for first, left in held[: number + 1]:
                kernel = values_of(left, right)
                if first == second:
                    np.fill_diagonal(kernel, 0.0)
                else:
                    sums[second] += kernel.T @ share[first]
                sums[first] += kernel @ share[second]
    for own, right in () if ids is None else _by_clip(factors, ids, ids.max() + 1):
        kernel = values_of(_turned(right), right)
        np.fill_diagonal(kernel, 0.0)
        sums[own] -= kernel @ share[own]
        pairs[own] -= share[own].sum(axis=0, dtype=np.int32) - share[own]
    return PairMean(sums, pairs)


def means_between(
    x: Rows, y: Rows, bandwidth: float, ids: tuple[Places, Places] | None, shares: Shares
) -> tuple[PairMean, PairMean]:
    """Mean kernel value of rows of two sets, by the rows of either."""
    centre = mean_row(x)  # where rows lie that have a kernel value above zero
    x_factors, y_factors = _Factors(x, centre, bandwidth), _Factors(y, centre, bandwidth)
    values_of = _Kernel()
    x_mean, y_mean = (
        PairMean(np.zeros(own.shape), np.tile(others.sum(axis=0, dtype=np.int32), (len(own), 1)))
        for own, others in (shares, shares[::-1])
    )
    blocks = list(row_blocks(len(x), _BLOCK))
    for start in range(0, len(blocks), _HELD):
        held = [(first, _turned(x_factors[first])) for first in blocks[start : start + _HELD]]
        for second in row_blocks(len(y), _BLOCK):
            right = y_factors[second]
            for first, left in held:
                kernel = values_of(left, right)
                x_mean.sums[first] += kernel @ shares.y[second]
                y_mean.sums[second] += kernel.T @ shares.x[first]
    if ids is None:
        return x_mean, y_mean
    clips_n = max(side.max() for side in ids) + 1
    sides = _by_clip(x_factors, ids[0], clips_n), _by_clip(y_factors, ids[1], clips_n)
    for (own, left), (others, right) in zip(*sides, strict=True):
        kernel = values_of(_turned(left), right)
        x_mean.sums[own] -= kernel @ shares.y[others]
        y_mean.sums[others] -= kernel.T @ shares.x[own]
        x_mean.pairs[own] -= shares.y[others].sum(axis=0, dtype=np.int32)
        y_mean.pairs[others] -= shares.x[own].sum(axis=0, dtype=np.int32)
    return x_mean, y_mean


def _by_clip(rows: StoredRows, ids: Places, clips_n: int) -> Iterator[tuple[Places, Float64Array]]:
    """Yield the places of each clip's rows, and the rows."""
    order = np.argsort(ids, kind="stable")
    ends = np.cumsum(np.bincount(ids, minlength=clips_n))
    start = 0
    for first in range(0, clips_n, _CLIPS):
        some = ends[first : first + _CLIPS]
        places, inner = order[start : some[-1]], some[:-1] - start
        yield from zip(np.split(places, inner), np.split(rows[places], inner), strict=True)
        start = some[-1]


class _Factors(StoredRows):
    """Rows so extended that one matrix product, with :func:`_turned` ones on the left, gives the kernel's exponents.

    With u = (x - centre) / √2σ the exponent is 2 u·v - |u|² - |v|². They are made when asked for.
    """

    def __init__(self, rows: Rows, centre: Float64Array, bandwidth: float) -> None:
        self._rows, self._centre, self._unit = rows, centre, np.sqrt(2.0) * bandwidth

    @property
    def shape(self) -> tuple[int, int]:
        return len(self._rows), self._rows.shape[1] + 2

    def __getitem__(self, places: slice | Places) -> Float64Array:
        units = (self._rows[places] - self._centre) / self._unit
        return np.hstack([units, np.ones((len(units), 1)), -np.square(units).sum(axis=1, keepdims=True)])


def _turned(factors: Float64Array) -> Float64Array:
    return np.hstack([2.0 * factors[:, :-2], factors[:, -1:], factors[:, -2:-1]])


class _Kernel:
    """Kernel values of two blocks, which lie in the same memory every time: asking for 8 MB anew takes time."""

    def __init__(self) -> None:
        self._memory = np.empty(_BLOCK * _BLOCK)

    def __call__(self, left: Float64Array, right: Float64Array) -> Float64Array:
        size = len(left) * len(right)
        if size > len(self._memory):  # a clip of very many rows
            self._memory = np.empty(size)
        exponents = self._memory[:size].reshape(len(left), len(right))
        np.matmul(left, right.T, out=exponents)
        # Rows that lie very many bandwidths out have norms whose rounding could exceed 0 by far.
        np.minimum(exponents, 0.0, out=exponents)
        np.exp(exponents, out=exponents)
        return exponents
