"""Places on a leaderboard, with ties inside the error."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from t2av_bench.metrics.stats import Float64Array

# Two-sided 95 % of a normal distribution.
REACH = 1.96
# Decimals: scores of equal sets differ by the rounding of their arithmetic, and tables show less than 5e-10 as 0.
ROUNDED_TO = 9


def places(values: Float64Array, stderrs: Float64Array, *, higher_is_better: bool) -> npt.NDArray[np.int64]:
    """Return each system's place: one more than the number of systems that are better beyond the error.

    System *i* is better than *j* beyond the error if their scores differ by more than
    :math:`1.96 \\sqrt{s_i^2 + s_j^2}`. So systems that cannot be told from the best share place 1, and a place says how
    many are surely ahead. "Not to be told apart" is not transitive, so no other way of sharing places is free of
    contradictions.

    Parameters
    ----------
    values, stderrs
        Scores and their standard errors, shape (systems,). An unknown error counts as 0: only equal scores tie.
    higher_is_better
        Which way is ahead.

    Returns
    -------
    numpy.ndarray, shape (systems,)
        From 1.

    Notes
    -----
    The errors are taken as independent. Systems are scored on the same clips, which usually draws their scores the same
    way, so most true differences are larger against their error than this assumes: places tie too often rather than too
    rarely. ``t2av-bench compare`` has the paired test, from the tables of clips, and adjusts for the number of tests.
    """
    sign = 1.0 if higher_is_better else -1.0
    ahead = sign * (values[:, None] - values[None, :])
    variances = np.square(np.nan_to_num(stderrs, nan=0.0))
    beaten_by = ahead > REACH * np.sqrt(variances[:, None] + variances[None, :])
    return 1 + beaten_by.sum(axis=0)
