"""Bias and floor of a Fréchet distance from the statistics of groups of clips.

The corrections of :mod:`t2av_bench.metrics.bias`, whose subsets are here unions of the groups of
:mod:`t2av_bench.metrics.groups`: for features that are too many to be read again for every subset.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from t2av_bench.errors import MetricError
from t2av_bench.metrics.frechet import frechet_distance
from t2av_bench.metrics.groups import GroupedSides, union

# Subsets per size that the extrapolation draws.
_REPEATS = 4
# Part that the second term may have in the whole correction: below it, less than half a standard error of bias is left
# in simulation, above it several (``benchmarks/bias.py``).
_SECOND_TERM = 0.12


class Floor(NamedTuple):
    """Distance of reality from itself, and of the system on the same footing.

    Attributes
    ----------
    value, spread
        Mean distance between two disjoint halves of the reference, and its standard deviation over the halvings; None
        for a single halving.
    score
        Mean distance between one half of the reference and the generated clips of the *other* half; None where it was
        not asked for.
    halvings_n
        Number of halvings.
    """

    value: float
    spread: float | None
    score: float | None
    halvings_n: int


def check_correctable(windows_n: int, d: int) -> None:
    """Raise :class:`MetricError` if half of the windows cannot carry the dimensions."""
    if windows_n < 2 * d:
        raise MetricError(f"needs at least 2 d windows; got {windows_n} with d = {d}")


def check_extrapolable(windows_n: int, d: int, groups_n: int) -> int:
    """Return the fewest groups with as many windows as dimensions, at least a quarter of all.

    Raises
    ------
    MetricError
        If only all groups together have as many.
    """
    fewest = max(groups_n // 4, int(np.ceil(groups_n * d / windows_n)), 1)
    if fewest >= groups_n:
        raise MetricError(f"needs more windows than dimensions in every subset; got {windows_n} with d = {d}")
    return fewest


class Correction(NamedTuple):
    """A squared Fréchet distance without the leading terms of its bias.

    Attributes
    ----------
    value
        The distance.
    method
        How it was made.
    half_split
        What halves alone give.
    """

    value: float
    method: Literal["quarter-split", "half-split"]
    half_split: float


def grouped_correction(sides: GroupedSides, whole: float) -> Correction:
    """Squared Fréchet distance without the leading terms of its bias.

    Parameters
    ----------
    sides
        Statistics by group.
    whole
        Distance over all groups.

    Returns
    -------
    Correction
        In squared feature units. Where a quarter of the clips can carry the dimensions (4 d windows, 8 clips), without
        the two leading terms, (8 · FD(n) - 6 · mean FD(n / 2) + mean FD(n / 4)) / 3, as
        :func:`~t2av_bench.metrics.bias.quarter_split_corrected`; elsewhere without the first,
        2 · FD(n) - mean FD(n / 2), as :func:`~t2av_bench.metrics.bias.half_split_corrected`.

    Raises
    ------
    MetricError
        If half the windows are fewer than the dimensions, or there is a single group.
    """
    check_correctable(sides.windows_n, sides.d)
    of_halves = float(np.mean([sides.distance(half) for pair in sides.halvings() for half in pair]))
    half_split = 2.0 * whole - of_halves
    if not sides.quarters:
        return Correction(half_split, "half-split", half_split)
    of_quarters = float(np.mean([sides.distance(quarter) for quarter in sides.quarters]))
    return Correction((8.0 * whole - 6.0 * of_halves + of_quarters) / 3.0, "quarter-split", half_split)


def converged(whole: float, corrected: float, half_split: float, stderr: float) -> bool:
    """Say whether a quarter-split correction leaves no bias that matters.

    The bias is a series in 1 / n, whose terms fall off where clips are many. Halves take off the first and quarters the
    second, so both together show how large the second was. Where it is more than an eighth of what was taken off, and
    more than a standard error, the third and all others matter as well: windows of one clip resemble each other, and
    the clips alone are too few for the dimensions. ``benchmarks/bias.py`` has the second term and the bias that is left
    for 64 to 256 clips of 1 to 10 windows.

    Parameters
    ----------
    whole, corrected, half_split
        Distance over all clips, and its corrections by quarters and by halves alone.
    stderr
        Standard error of the corrected distance.
    """
    second = half_split - corrected
    return second <= max(_SECOND_TERM * (whole - corrected), stderr)


def grouped_infinity(sides: GroupedSides, whole: float, seed: int) -> float:
    """Squared Fréchet distance extrapolated to infinitely many clips.

    Parameters
    ----------
    sides, whole
        As for :func:`grouped_correction`.
    seed
        Of the draws: unions of groups, without replacement, from a quarter of them to all.

    Returns
    -------
    float
        Intercept of the least-squares line through distance against 1 / n; as
        :func:`~t2av_bench.metrics.bias.frechet_infinity`.

    Raises
    ------
    MetricError
        If windows are too few for subsets of at least two sizes to have as many as dimensions.
    """
    groups_n = len(sides.reference)
    fewest = check_extrapolable(sides.windows_n, sides.d, groups_n)
    rng = np.random.default_rng(seed)
    members = [rng.permutation(groups_n)[:count] for count in range(fewest, groups_n) for _ in range(_REPEATS)]
    distances = [*map(sides.distance, members), *[whole] * _REPEATS]
    inverse_n = [1.0 / len(chosen) for chosen in members] + [1.0 / groups_n] * _REPEATS
    return float(np.polyfit(inverse_n, distances, deg=1)[1])


def grouped_floor(sides: GroupedSides, *, with_score: bool = True) -> Floor:
    """Distance between disjoint halves of the reference; see :func:`~t2av_bench.metrics.bias.real_floor`.

    Parameters
    ----------
    sides
        Statistics by group.
    with_score
        Whether the generated side's distance on the same footing is computed too, which costs twice as much again.

    Raises
    ------
    MetricError
        If there is a single group.
    """
    floors, scores = [], []
    for first, second in sides.halvings():
        halves = union(sides.reference, first), union(sides.reference, second)
        floors.append(frechet_distance(*halves))
        if with_score:
            scores.append(frechet_distance(halves[0], union(sides.generated, second)))
            scores.append(frechet_distance(halves[1], union(sides.generated, first)))
    spread = float(np.std(floors, ddof=1)) if len(floors) > 1 else None
    return Floor(float(np.mean(floors)), spread, float(np.mean(scores)) if scores else None, len(floors))
