"""Precision, recall, density and coverage: how real the generated set is, and how much of reality it spans.

Each row has a ball around it that reaches to its k-th nearest neighbour in its own set, itself not counted; the balls
of a set stand for its support.

precision
    Share of generated rows inside at least one reference ball: are they realistic?
recall
    Share of reference rows inside at least one generated ball: is all of reality generated?
density
    Mean number of reference balls around a generated row, over k. Like precision, but an outlier's large ball counts
    for little. 1 in expectation for equal distributions, not bounded by 1.
coverage
    Share of reference balls with at least one generated row inside. Like recall, but no outlier of the generated set
    can raise it.

Conventions
-----------
Reference first, generated second: exchanging them exchanges precision and recall. Distances are Euclidean; balls hold
their surface (so that equal sets have precision, recall and coverage of exactly 1). k is recorded; scores of different
k or of different numbers of rows are not comparable. For equal distributions of many rows, as many on both sides,
coverage expects 1 - 2^-k, whatever the dimension.

Standard errors
---------------
A score of nearest neighbours has no derivative with respect to a row, so nothing that each clip adds to it is known.
:mod:`t2av_bench.metrics.coverage_errors` estimates its spread from scores of halves and quarters of the clips.

Differences from other implementations
--------------------------------------
Kynkäänniemi et al. use k = 3 and closed balls, Naeem et al. k = 5 and open ones; that differs only for rows at exactly
a ball's radius. Precision and recall of torch-fidelity are equal, given its k = 3. These codes hold all n x m distances
in memory; here they come in blocks of 8 MB.

References
----------
Kynkäänniemi et al., Improved precision and recall metric for assessing generative models, 2019, arXiv:1904.06991; Naeem
et al., Reliable fidelity and diversity metrics for generative models, 2020, arXiv:2002.09797.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from t2av_bench.errors import MetricError
from t2av_bench.metrics.distances import (
    Centred,
    Rows,
    StoredRows,
    checked_rows,
    mean_row,
    row_blocks,
    squared_distances,
    squared_norms,
)
from t2av_bench.metrics.stats import Float64Array

_BLOCK_VALUES = 2**20  # distances held at a time: 8 MB
# Distances equal to a radius must not fall outside by rounding; in units of the rows' squared norms.
_SLACK = 1e-13


class SupportScores(NamedTuple):
    """Precision, recall, density and coverage, with the k they belong to; see the module."""

    precision: float
    recall: float
    density: float
    coverage: float
    k: int


def support_scores(
    reference: npt.ArrayLike | StoredRows, generated: npt.ArrayLike | StoredRows, *, k: int = 5
) -> SupportScores:
    """Compare the supports of two sets of features.

    Parameters
    ----------
    reference, generated
        Arrays of shape (n, d) and (m, d), more than k rows each, from the same extractor; or rows that are stored
        elsewhere.
    k
        Neighbour that a ball reaches to.

    Returns
    -------
    SupportScores
        Shares from 0 to 1, and a density of at least 0; higher is better. Invariant to rotation, shift and scale.

    Raises
    ------
    MetricError
        If there are no more than k rows, shapes do not fit or a value is not finite.

    Notes
    -----
    O((n + m)² d). A generated set that only repeats reference rows scores perfectly: these scores see no memorising.

    Examples
    --------
    >>> support_scores([[0.0], [1.0], [2.0]], [[0.1], [0.2], [9.0]], k=1).precision.__round__(3)
    0.667
    """
    x, y = centred_sides(reference, generated, k)
    return compared(x, y, _squared_radii(x, slice(0, len(x)), k), partial(_squared_radii, y, k=k)).scores(k)


def centred_sides(
    reference: npt.ArrayLike | StoredRows, generated: npt.ArrayLike | StoredRows, k: int
) -> tuple[Centred, Centred]:
    """Return both sides as :func:`support_scores` takes them, with the reference's mean at 0; raise as it does."""
    if k < 1:
        raise MetricError(f"`k` must be at least 1; got {k}")
    x, y = checked_rows(reference, generated, least_n=k + 1)
    centre = mean_row(x)
    return Centred(x, centre), Centred(y, centre)


class Compared(NamedTuple):
    """Whose balls hold whom.

    Attributes
    ----------
    balls_around
        Number of reference balls around each generated row, shape (m,).
    inside
        Whether each reference row is inside a generated ball, shape (n,).
    used
        Whether a generated row is inside the ball of each reference row, shape (n,).
    """

    balls_around: npt.NDArray[np.intp]
    inside: npt.NDArray[np.bool_]
    used: npt.NDArray[np.bool_]

    def scores(self, k: int) -> SupportScores:
        """Return the scores, for balls that reach to the k-th neighbour."""
        return SupportScores(
            precision=float(np.mean(self.balls_around > 0)),
            recall=float(np.mean(self.inside)),
            density=float(np.mean(self.balls_around)) / k,
            coverage=float(np.mean(self.used)),
            k=k,
        )


def compared(
    x: Rows,
    y: Rows,
    x_radii: Float64Array,
    y_radii: Callable[[slice], Float64Array],
    watch: Callable[[slice, Float64Array], None] = lambda block, squared: None,
) -> Compared:
    """Find whose balls hold whom.

    Parameters
    ----------
    x, y
        Centred rows of the reference and the generated side, shapes (n, d) and (m, d).
    x_radii
        Squared radii of the balls around the rows of ``x``, shape (n,).
    y_radii
        Returns those around a block of rows of ``y``.
    watch
        Is shown every block of rows of ``y`` with their squared distances to all rows of ``x``, less what rounding may
        have added to them.
    """
    x_slack, y_slack = (_SLACK * squared_norms(rows) for rows in (x, y))
    found = Compared(np.zeros(len(y), dtype=np.intp), np.zeros(len(x), dtype=bool), np.zeros(len(x), dtype=bool))
    for block in distance_blocks(len(y), len(x)):
        radii = y_radii(block)
        squared = squared_distances(y[block], x)
        squared -= x_slack + y_slack[block, None]
        in_x_ball = squared <= x_radii
        found.balls_around[block] = in_x_ball.sum(axis=1)
        found.used[:] |= in_x_ball.any(axis=0)
        found.inside[:] |= (squared <= radii[:, None]).any(axis=0)
        watch(block, squared)
        del squared, in_x_ball  # finding the next block's radii takes as much memory
    return found


def distance_blocks(rows_n: int, others_n: int) -> Iterator[slice]:
    """Cut rows into blocks whose distances to all of some others take 8 MB."""
    return row_blocks(rows_n, max(_BLOCK_VALUES // others_n, 1))


def _squared_radii(rows: Rows, block: slice, k: int) -> Float64Array:
    """Squared distance of each row of a block to its k-th nearest neighbour among all rows, shape (block,)."""
    radii = np.empty(block.stop - block.start)
    for piece in distance_blocks(len(radii), len(rows)):
        squared = squared_distances(rows[block.start + piece.start : block.start + piece.stop], rows)
        # The row itself is at rank 0, so rank k is its k-th neighbour.
        squared.partition(k, axis=1)
        radii[piece] = squared[:, k]
    return radii
