r"""Bias and floor of a Fréchet distance from the statistics of groups of clips.

The corrections of :mod:`t2av_bench.metrics.bias` draw many subsets of clips. Where features are many, reading them
again for every subset is what costs; so here clips are put into a few groups of equal size at random, statistics are
gathered once per group, and every subset is a union of groups, whose statistics merge exactly. Those of all clips are
the union of all groups: nothing is computed twice.

Halves
------
Eight groups make seven halvings in which any two groups are together in three and apart in four (the rows of a Hadamard
matrix, as in balanced repeated replication); four groups make three halvings, two make one. A quarter is one group of
four, or two of eight: twelve pairs, each group in three. All 28 pairs would bring hardly more.

Conventions
-----------
Clips, not windows, are grouped, and a group holds the same clips on both sides.

References
----------
McCarthy, Pseudo-replication: half samples, 1969 (balanced halves); otherwise as :mod:`t2av_bench.metrics.bias`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import linalg

from t2av_bench.errors import MetricError
from t2av_bench.metrics.frechet import frechet_distance
from t2av_bench.metrics.stats import JointStats

Groups = npt.NDArray[np.intp]
GROUPS_N = 8
FEWEST_CLIPS = 4
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


def assign_groups(clips_n: int, groups_n: int, seed: int) -> npt.NDArray[np.intp]:
    """Put clips into groups at random.

    Parameters
    ----------
    clips_n
        Number of clips.
    groups_n
        Number of groups, a power of two; fewer are made of fewer clips.
    seed
        Of the draw.

    Returns
    -------
    numpy.ndarray, shape (clips_n,)
        Group of each clip; sizes differ by one at most.
    """
    while groups_n > max(clips_n // 2, 1):
        groups_n //= 2
    groups = np.empty(clips_n, dtype=np.intp)
    groups[np.random.default_rng(seed).permutation(clips_n)] = np.arange(clips_n) % groups_n
    return groups


def clip_number(clip_id: str) -> int:
    """Return a number for a clip, the same everywhere: 63 bits of a hash of its id."""
    return int.from_bytes(blake2b(clip_id.encode(), digest_size=8).digest(), "big") >> 1


def grouped_by_number(numbers: Sequence[int] | npt.NDArray[np.integer], groups_n: int, seed: int) -> Groups:
    """Put clips into groups as :func:`assign_groups`, whatever order they come in.

    Parameters
    ----------
    numbers
        Of the clips (:func:`clip_number`), in any order.
    groups_n, seed
        As for :func:`assign_groups`.
    """
    groups = np.empty(len(numbers), dtype=np.intp)
    groups[np.argsort(np.asarray(numbers), kind="stable")] = assign_groups(len(numbers), groups_n, seed)
    return groups


def united(groups: Sequence[JointStats]) -> JointStats:
    """Return the statistics of all rows of some groups."""
    whole = JointStats(groups[0].dims)
    for group in groups:
        whole.merge(group)
    return whole


@dataclass(frozen=True)
class GroupedSides:
    """Statistics of both sides, group by group, over the features of one distance.

    Attributes
    ----------
    reference, generated
        One per group, of the same clips in the same order.
    """

    reference: Sequence[JointStats]
    generated: Sequence[JointStats]

    def coarser(self, groups_n: int) -> GroupedSides:
        """Return fewer, larger groups, as many as asked for or as there are."""
        count = min(groups_n, len(self.reference))
        return GroupedSides(
            *([united(side[i::count]) for i in range(count)] for side in (self.reference, self.generated))
        )

    @property
    def windows_n(self) -> int:
        """Rows of the smaller side."""
        return min(sum(stats.n for stats in side) for side in (self.reference, self.generated))

    @property
    def d(self) -> int:
        """Dimension."""
        return self.reference[0].d

    def distance(self, members: npt.ArrayLike) -> float:
        """Return the distance between both sides over some of the groups."""
        return frechet_distance(*(_some(side, members) for side in (self.reference, self.generated)))

    def halvings(self) -> Iterator[tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]]:
        """Yield pairs of complementary halves of the groups.

        Raises
        ------
        MetricError
            If there are fewer than two groups.
        """
        if len(self.reference) < 2:
            raise MetricError(f"halving needs at least {FEWEST_CLIPS} clips")
        for signs in linalg.hadamard(len(self.reference))[1:]:
            yield np.flatnonzero(signs > 0), np.flatnonzero(signs < 0)

    @property
    def quarters(self) -> list[tuple[int, ...]]:
        """Groups of every quarter; none if groups are fewer than four or a quarter cannot carry the dimensions."""
        count = len(self.reference)
        if not enough_for_second_order(self.windows_n, self.d, count):
            return []
        if count == 4:
            return [(group,) for group in range(count)]
        # Numbers that differ in one binary digit.
        return [(i, i ^ bit) for bit in (1, 2, 4) for i in range(count) if not i & bit]


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


def enough_for_second_order(windows_n: int, d: int, groups_n: int) -> bool:
    """Say whether halves of the clips carry influence functions of their own: 4 d windows, 8 clips in 4 groups."""
    return windows_n >= 4 * d and groups_n >= 4


def halves_of(numbers: Sequence[int] | npt.NDArray[np.integer], seed: int) -> Groups | None:
    """Return the half, 0 or 1, of each clip that errors of second order take it to be in; None of too few clips.

    Parameters
    ----------
    numbers, seed
        As for :func:`grouped_by_number`.
    """
    groups = grouped_by_number(numbers, GROUPS_N, seed)
    return groups % 2 if len(groups) and groups.max() >= 3 else None


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
        halves = _some(sides.reference, first), _some(sides.reference, second)
        floors.append(frechet_distance(*halves))
        if with_score:
            scores.append(frechet_distance(halves[0], _some(sides.generated, second)))
            scores.append(frechet_distance(halves[1], _some(sides.generated, first)))
    spread = float(np.std(floors, ddof=1)) if len(floors) > 1 else None
    return Floor(float(np.mean(floors)), spread, float(np.mean(scores)) if scores else None, len(floors))


def _some(side: Sequence[JointStats], members: npt.ArrayLike) -> JointStats:
    return united([side[group] for group in np.asarray(members)])
