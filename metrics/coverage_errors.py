r"""Standard errors of precision, recall, density and coverage, from halves and quarters of the clips.

A score of nearest neighbours has no derivative with respect to a row, and leaving out each clip in turn gives up to
twice its spread. Disjoint parts of the clips are independent of each other, whatever the score is made of: half the
mean square of the difference of two halves' scores is the variance :math:`V_{n/2}` of the score of n / 2 clips, and
that among four quarters is :math:`V_{n/4}`. Were the variance a constant / n, half of the first would be the answer. It
is not: with fewer rows balls are larger, fewer rows are outside of all of them, and in many dimensions a few rows are
everybody's neighbour. So what n times the variance grows by from quarters to halves, it is taken to grow by once more:

.. math:: V_n = \frac{V_{n/2}}{2} \cdot \frac{2 V_{n/2}}{V_{n/4}}

with the second factor between ½ and 2. Both are means over 20 random quarterings, whose quarters pair to halves in
three ways each. Distances are those of the scores; of each row's nearest rows it is looked up who is in which part.

How well it holds
-----------------
``benchmarks/companion_errors.py`` draws 200 sets each of equal, near and far normal laws, of a spectrum that falls and
of a mixture of classes, 100 to 400 clips of one row or 100 of four, d = 4 to 128. Mean errors are 0.84 to 1.20 times
the scores' spread, and ± 1.96 errors hold the scores' mean in 88 to 99 % of the runs; for 25 clips of four rows, 0.93
to 1.26 times and 89 to 99 %. Errors are noisy, for 100 clips by a quarter of themselves. The mean is that of scores of
as many clips: what more of them would give, in smaller balls, is another matter.

There is no error of a share that fewer than three clips make, or miss.

References
----------
McCarthy, Pseudo-replication: half samples, 1969; Efron and Stein, The jackknife estimate of variance, 1981.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from t2av_bench.errors import MetricError
from t2av_bench.metrics.coverage import SupportScores, centred_sides, compared, distance_blocks
from t2av_bench.metrics.distances import Rows, StoredRows, squared_distances
from t2av_bench.metrics.stats import Float64Array
from t2av_bench.metrics.uncertainty import ClipIds, checked_clips

QUARTERINGS = 20
# Fewest clips that must be inside the other set's balls, and outside: a spread is not to be had from rarer cases.
FEWEST_CASES = 3
FEWEST_CLIPS = 24
# Rows that a quarter must have, in units of k + 1.
_QUARTER_ROWS = 4
# Neighbours of a row that are looked up, in units of those among which k and the row itself are of its part on average.
_KNOWN = 4
_LARGEST_GROWTH = 2.0

Parts = npt.NDArray[np.int8]
ClipNumbers = npt.NDArray[np.intp]


class SupportErrors(NamedTuple):
    """Standard errors over clips; None where too few clips are inside or outside of the other set's balls."""

    precision: float | None
    recall: float | None
    density: float | None
    coverage: float | None


def support_errors(
    reference: npt.ArrayLike | StoredRows,
    generated: npt.ArrayLike | StoredRows,
    reference_clips: ClipIds,
    generated_clips: ClipIds,
    *,
    k: int = 5,
    seed: int = 0,
) -> tuple[SupportScores, SupportErrors]:
    """Compare the supports of two sets of features, and estimate how far the scores spread.

    Parameters
    ----------
    reference, generated, k
        As for :func:`~t2av_bench.metrics.support_scores`.
    reference_clips, generated_clips
        Clip of each row, shapes (n,) and (m,); the same clips on both sides. All rows of a clip, of both sides, are
        in the same part.
    seed
        Of the quarterings.

    Returns
    -------
    SupportScores, SupportErrors
        The scores, to the last bit those of :func:`~t2av_bench.metrics.support_scores`, and their standard errors.

    Raises
    ------
    MetricError
        If there are fewer than 24 clips or 16 (k + 1) rows on a side, the sides hold different clips, or as
        :func:`~t2av_bench.metrics.support_scores`.
    """
    x, y = centred_sides(reference, generated, k)
    places = _checked_places((reference_clips, generated_clips), (len(x), len(y)), k)
    draws = _Draws((x, y), places, _drawn_parts(places[0].max() + 1, seed), k)
    found = compared(x, y, draws.x_radii, draws.y_radii, draws.add)
    variances = _extrapolated(*(scores.var(axis=1, ddof=1).mean(axis=0) for scores in draws.scores()))
    is_real = found.balls_around > 0
    known = (
        _has_cases(is_real, places[1]) and _has_cases(~is_real, places[1]),
        _has_cases(found.inside, places[0]) and _has_cases(~found.inside, places[0]),
        _has_cases(is_real, places[1]),
        _has_cases(found.used, places[0]) and _has_cases(~found.used, places[0]),
    )
    errors = (float(np.sqrt(variance)) if has else None for variance, has in zip(variances, known, strict=True))
    return found.scores(k), SupportErrors(*errors)


def _drawn_parts(clips_n: int, seed: int) -> dict[int, Parts]:
    """Return the part of each clip in every draw, shape (draws, clips): of two halves, and of four quarters."""
    quarters = np.tile(np.arange(clips_n, dtype=np.int8) % 4, (QUARTERINGS, 1))
    quarters = np.random.default_rng(seed).permuted(quarters, axis=1)
    # Four quarters pair in three ways.
    first, second = quarters % 2, quarters // 2
    return {2: np.concatenate([first, second, first ^ second]), 4: quarters}


class _Radii(NamedTuple):
    """Squared radii of balls: among all rows, shape (n,), and by number of parts in every draw, (draws, n).

    Those of parts are float32, rounded up so that rows on a ball's surface stay inside: there are 80 of each row.
    """

    whole: Float64Array
    of_parts: dict[int, npt.NDArray[np.float32]]


def _radii_of(rows: Rows, block: slice, clips: ClipNumbers, drawn: dict[int, Parts], k: int) -> _Radii:
    """Find the k-th neighbour of each row of a block among all rows, and among those of its own part in every draw."""
    rows_n = block.stop - block.start
    found = _Radii(
        np.empty(rows_n), {n: np.empty((len(parts), rows_n), dtype=np.float32) for n, parts in drawn.items()}
    )
    count = min(max(drawn) * _KNOWN * (k + 1), len(rows))
    for piece in distance_blocks(rows_n, len(rows)):
        own = slice(block.start + piece.start, block.start + piece.stop)
        squared = squared_distances(rows[own], rows)
        places = np.argpartition(squared, count - 1, axis=1)[:, :count]
        order = np.argsort(np.take_along_axis(squared, places, axis=1), axis=1)
        places = np.take_along_axis(places, order, axis=1)
        near = np.take_along_axis(squared, places, axis=1)
        found.whole[piece] = near[:, k]
        for parts_n, parts in drawn.items():
            known = parts_n * _KNOWN * (k + 1)
            near_clips = clips[places[:, :known]]
            for draw, part in enumerate(parts):
                radii = _own_radii(part[near_clips] == part[clips[own], None], near[:, :known], k)
                found.of_parts[parts_n][draw, piece] = _rounded_up(radii)
    return found


def _own_radii(is_own: npt.NDArray[np.bool_], near: Float64Array, k: int) -> Float64Array:
    """Return the distance of the k-th of those that are of a row's own part, shape (rows,), itself not counted."""
    ranks = is_own.cumsum(axis=1, dtype=np.int16)
    ranks[:, -1] = k + 1  # the farthest that is known stands for one that is not
    radii: Float64Array = near[np.arange(len(near)), np.argmax(ranks > k, axis=1)]
    return radii


def _rounded_up(values: Float64Array) -> npt.NDArray[np.float32]:
    single = values.astype(np.float32)
    return np.where(single < values, np.nextafter(single, np.float32(np.inf)), single)


class _Draws:
    """The scores of all parts of all draws, gathered while the whole sets are compared.

    Of the generated side only one block's radii are there at a time.
    """

    def __init__(
        self, sides: tuple[Rows, Rows], clips: tuple[ClipNumbers, ClipNumbers], drawn: dict[int, Parts], k: int
    ) -> None:
        self._y, self._y_clips, self._drawn, self._k = sides[1], clips[1], drawn, k
        radii = _radii_of(sides[0], slice(0, len(sides[0])), clips[0], drawn, k)
        self.x_radii = radii.whole
        self._tallies = {n: _Tally(n, parts, clips, radii.of_parts[n]) for n, parts in drawn.items()}
        self._of_block: dict[int, npt.NDArray[np.float32]] = {}

    def y_radii(self, block: slice) -> Float64Array:
        """Return the radii of a block of generated rows, and keep those of the parts until :meth:`add`."""
        radii = _radii_of(self._y, block, self._y_clips, self._drawn, self._k)
        self._of_block = radii.of_parts
        return radii.whole

    def add(self, block: slice, squared: Float64Array) -> None:
        """Count a block of generated rows, given their squared distances to all rows of the reference."""
        for parts_n, tally in self._tallies.items():
            tally.add(block, squared, self._of_block[parts_n])

    def scores(self) -> Iterator[Float64Array]:
        """Yield the scores of halves, then of quarters, shape (draws, parts, 4)."""
        return (tally.scores(self._k) for tally in self._tallies.values())


class _Tally:
    """Whose balls hold whom within each part of each draw, gathered block by block."""

    def __init__(
        self,
        parts_n: int,
        parts: Parts,
        clips: tuple[ClipNumbers, ClipNumbers],
        x_radii: npt.NDArray[np.float32],
    ) -> None:
        self._parts_n, self._parts, self._clips, self._x_radii = parts_n, parts, clips, x_radii
        self._x_reach = x_radii.max(axis=0)
        # By draw and part: how many generated rows there are inside of balls, and balls around them.
        self._real_n, self._balls_n = (np.zeros((len(parts), parts_n), dtype=np.intp) for _ in range(2))
        self._inside, self._used = (np.zeros(x_radii.shape, dtype=bool) for _ in range(2))

    def add(self, block: slice, squared: Float64Array, y_radii: npt.NDArray[np.float32]) -> None:
        """Count a block of generated rows, given the radii of their balls, shape (draws, block)."""
        x_clips, y_clips = self._clips[0], self._clips[1][block]
        rows, columns = np.nonzero(squared <= self._x_reach)
        near, near_clips = squared[rows, columns], x_clips[columns]
        for draw, part in enumerate(self._parts):
            y_part = part[y_clips]
            held = (part[near_clips] == y_part[rows]) & (near <= self._x_radii[draw, columns])
            balls_around = np.bincount(rows[held], minlength=len(squared))
            self._real_n[draw] += np.bincount(y_part[balls_around > 0], minlength=self._parts_n)
            self._balls_n[draw] += np.bincount(y_part, weights=balls_around, minlength=self._parts_n).astype(np.intp)
            self._used[draw, columns[held]] = True
        rows, columns = np.nonzero(squared <= y_radii.max(axis=0)[:, None])
        near, near_clips, own_clips = squared[rows, columns], x_clips[columns], y_clips[rows]
        for draw, part in enumerate(self._parts):
            held = (part[near_clips] == part[own_clips]) & (near <= y_radii[draw, rows])
            self._inside[draw, columns[held]] = True

    def scores(self, k: int) -> Float64Array:
        """Return the scores of every part, shape (draws, parts, 4)."""
        found = np.empty((len(self._parts), self._parts_n, 4))
        for draw, part in np.ndindex(found.shape[:2]):
            x_held, y_held = (self._parts[draw][clips] == part for clips in self._clips)
            rows_n = np.count_nonzero(y_held)
            found[draw, part] = (
                self._real_n[draw, part] / rows_n,
                np.mean(self._inside[draw, x_held]),
                self._balls_n[draw, part] / rows_n / k,
                np.mean(self._used[draw, x_held]),
            )
        return found


def _extrapolated(of_halves: Float64Array, of_quarters: Float64Array) -> Float64Array:
    """Return the variance of each score over all clips from those over halves and quarters of them, shapes (4,)."""
    growth = np.divide(2.0 * of_halves, of_quarters, out=np.ones(len(of_halves)), where=of_quarters > 0.0)
    found: Float64Array = of_halves / 2.0 * np.clip(growth, 1.0 / _LARGEST_GROWTH, _LARGEST_GROWTH)
    return found


def _has_cases(rows: npt.NDArray[np.bool_], places: npt.NDArray[np.intp]) -> bool:
    return len(np.unique(places[rows])) >= FEWEST_CASES


def _checked_places(ids: tuple[ClipIds, ClipIds], rows_n: tuple[int, int], k: int) -> tuple[ClipNumbers, ClipNumbers]:
    """Return the number of each row's clip, of both sides, from 0 and in the order of the clips' ids."""
    reference = checked_clips(ids[0], rows_n[0], "reference_clips")
    generated = checked_clips(ids[1], rows_n[1], "generated_clips")
    clips, x_places = np.unique(reference, return_inverse=True)
    others, y_places = np.unique(generated, return_inverse=True)
    if not np.array_equal(clips, others):
        raise MetricError("both sides must hold the same clips, so that the same ones can be drawn from both")
    least_n = 4 * _QUARTER_ROWS * (k + 1)
    if len(clips) < FEWEST_CLIPS or min(rows_n) < least_n:
        raise MetricError(
            f"errors of scores of the {k} nearest neighbours need at least {FEWEST_CLIPS} clips and {least_n} rows on"
            f" either side; got {len(clips)} clips of {min(rows_n)} rows"
        )
    return x_places, y_places
