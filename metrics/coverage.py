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
There are none. A score of nearest neighbours has no derivative with respect to a row, and what could stand for it is
wrong both ways: the spread of the rows' indicators, with all balls held fixed, is too small, for coverage most; leaving
out each row in turn gives up to twice the spread of the score (``benchmarks/companion_errors.py``).

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

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from t2av_bench.errors import MetricError
from t2av_bench.metrics.distances import checked_sides, row_blocks, squared_distances
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


def support_scores(reference: npt.ArrayLike, generated: npt.ArrayLike, *, k: int = 5) -> SupportScores:
    """Compare the supports of two sets of features.

    Parameters
    ----------
    reference, generated
        Arrays of shape (n, d) and (m, d), more than k rows each, from the same extractor.
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
    if k < 1:
        raise MetricError(f"`k` must be at least 1; got {k}")
    x, y = checked_sides(reference, generated, least_n=k + 1)
    centre = x.mean(axis=0)
    x, y = x - centre, y - centre
    x_radii, y_radii = _squared_radii(x, k), _squared_radii(y, k)
    x_slack, y_slack = (_SLACK * np.square(rows).sum(axis=1) for rows in (x, y))
    balls_around_y = np.zeros(len(y), dtype=np.intp)
    x_ball_used, x_inside = np.zeros(len(x), dtype=bool), np.zeros(len(x), dtype=bool)
    for block in row_blocks(len(y), max(_BLOCK_VALUES // len(x), 1)):
        squared = squared_distances(y[block], x)
        squared -= x_slack + y_slack[block, None]
        in_x_ball = squared <= x_radii
        balls_around_y[block] = in_x_ball.sum(axis=1)
        x_ball_used |= in_x_ball.any(axis=0)
        x_inside |= (squared <= y_radii[block, None]).any(axis=0)
    return SupportScores(
        precision=float(np.mean(balls_around_y > 0)),
        recall=float(np.mean(x_inside)),
        density=float(np.mean(balls_around_y)) / k,
        coverage=float(np.mean(x_ball_used)),
        k=k,
    )


def _squared_radii(rows: Float64Array, k: int) -> Float64Array:
    """Squared distance of each row to its k-th nearest neighbour, shape (n,)."""
    radii = np.empty(len(rows))
    for block in row_blocks(len(rows), max(_BLOCK_VALUES // len(rows), 1)):
        squared = squared_distances(rows[block], rows)
        # The row itself is at rank 0, so rank k is its k-th neighbour.
        squared.partition(k, axis=1)
        radii[block] = squared[:, k]
    return radii
