r"""Statistics of groups of clips, of which those of any subset of the groups follow.

Whatever looks at many subsets of clips would read their features again for every subset. So clips are put into a few
groups of equal size at random, statistics are gathered once per group, and every subset is a union of groups, whose
statistics merge exactly. Those of all clips are the union of all groups: nothing is computed twice.
:mod:`t2av_bench.metrics.grouped_bias` is what is made of them.

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
McCarthy, Pseudo-replication: half samples, 1969 (balanced halves).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import numpy.typing as npt
from scipy import linalg

from t2av_bench.errors import MetricError
from t2av_bench.metrics.frechet import frechet_distance
from t2av_bench.metrics.stats import JointStats

Groups = npt.NDArray[np.intp]
GROUPS_N = 8
FEWEST_CLIPS = 4


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


def union(side: Sequence[JointStats], members: npt.ArrayLike) -> JointStats:
    """Return the statistics of all rows of those groups of a side whose places are given."""
    return united([side[group] for group in np.asarray(members)])


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
        return frechet_distance(*(union(side, members) for side in (self.reference, self.generated)))

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
