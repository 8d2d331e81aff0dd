"""An interval for a bias-corrected Fréchet distance: where the distance of very many clips lies.

The corrected distance ± 1.96 standard errors covers the truth too seldom, because the error depends on the distance:
its variance grows about in proportion (a mean that is off by δ makes a distance of δ² with a variance of 4 δ² σ² / n).
Where the estimate is too low by chance, the error is too small as well, and the truth lies above nearly all intervals
that miss it.

With a variance of a + b T at the distance T, √(a + b T) has the same error everywhere, b / 2. An interval that is
symmetric in it, from √(a + b T) - q b / 2 to √(a + b T) + q b / 2, is, in the distance itself, corrected + q² b / 4 ± q
standard errors. b is the first-order variance of the plain distance over the plain distance: both are inflated alike by
few windows. q is a quantile of Student's t with the errors' degrees of freedom, as in a paired comparison.
``benchmarks/errors.py`` measures how often such intervals cover the truth; :mod:`t2av_bench.metrics.uncertainty` has
the outcome.
"""

from __future__ import annotations

from typing import NamedTuple

from scipy import special

from t2av_bench.errors import MetricError
from t2av_bench.metrics.uncertainty import Errors


class Interval(NamedTuple):
    """Lower and upper end."""

    low: float
    high: float


def corrected_interval(score: float, corrected: float, errors: Errors, confidence: float = 0.95) -> Interval:
    """Return an interval around a bias-corrected distance that covers the distance of very many clips.

    Parameters
    ----------
    score, corrected
        Fréchet distance as it stands, and its corrected value
        (:func:`~t2av_bench.metrics.grouped_bias.grouped_correction`).
    errors
        Of both (:func:`~t2av_bench.metrics.uncertainty.second_order`).
    confidence
        Share of such intervals that cover, in (0, 1).

    Returns
    -------
    Interval
        In squared feature units, around ``corrected`` and further above it than below. Like it, it may reach below 0.
        Both ends are ``corrected`` where the error is 0.

    Raises
    ------
    MetricError
        If the confidence is not between 0 and 1.

    Notes
    -----
    Only where the correction has converged (:func:`~t2av_bench.metrics.grouped_bias.converged`): it knows nothing of
    bias that is left.

    Examples
    --------
    >>> low, high = corrected_interval(0.5, 0.4, Errors(0.1, 0.1, first=0.1, dof=399))
    >>> round(low, 3), round(high, 3)
    (0.223, 0.616)
    """
    if not 0.0 < confidence < 1.0:
        raise MetricError(f"the confidence must be between 0 and 1; got {confidence:g}")
    if errors.corrected == 0.0 or score <= 0.0:
        return Interval(corrected, corrected)
    quantile = float(special.stdtrit(errors.dof, (1.0 + confidence) / 2.0))
    growth = errors.first**2 / score
    step = quantile * growth / 2.0
    # √(a + b T) is no less than 0.
    below = max(errors.corrected - step, 0.0)
    return Interval(
        corrected - (errors.corrected**2 - below**2) / growth,
        corrected + ((errors.corrected + step) ** 2 - errors.corrected**2) / growth,
    )
