"""How far a Fréchet score may be off: its bias, and what reality scores against itself.

Standard errors come from the contributions of clips (``contributions``); the rest comes from statistics
that were gathered by group of clips (:mod:`t2av_bench.metrics.groups`). Subsets hold the same clips on both sides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from t2av_bench.errors import MetricError
from t2av_bench.metrics import METRICS, Balance, MetricSpec
from t2av_bench.metrics.grouped_bias import (
    check_correctable,
    check_extrapolable,
    grouped_correction,
    grouped_floor,
    grouped_infinity,
)
from t2av_bench.metrics.groups import GROUPS_N, GroupedSides, enough_for_second_order
from t2av_bench.metrics.influence import InfluenceMap
from t2av_bench.metrics.joint import score_stats
from t2av_bench.results import Score
from t2av_bench.scoring.distances import GroupedStats, HalfMaps, Scored, SideStats
from t2av_bench.threads import SMALL_DIM

Uncertainty = Literal["auto", "full", "stderr", "none"]
# A distance is large, and takes long, when its matrices have more than SMALL_DIM rows: fewer groups then.
_LARGE_GROUPS_N = 4
_NOT_COMPUTED = "not computed with --uncertainty none (uncertainty='none')"
_LEFT_OUT = "takes long for {n} windows with d = {d}: computed with --uncertainty full (uncertainty='full')"


def groups_wanted(level: Uncertainty) -> int:
    """Return the number of groups of clips that a level needs statistics of."""
    return 1 if level == "none" else GROUPS_N


def half_maps(
    scored: Scored,
    sides: tuple[GroupedStats, GroupedStats],
    groups: npt.NDArray[np.intp],
    level: Uncertainty,
) -> HalfMaps:
    """Fit the influence functions that errors of second order need.

    They are for distances of at least 4 d windows and 8 clips, and as quick as the correction; others keep errors of
    first order, which are too large rather than too small, and so do indices, where these are near the spread.

    Parameters
    ----------
    scored
        The scores with their influence functions.
    sides
        Statistics of the reference and of the generated side.
    groups
        Group of each clip; the halves are those of :class:`~t2av_bench.scoring.distances.GroupedStats`.
    level
        As for :func:`with_bias`.
    """
    maps = {}
    for name in scored.maps:
        score, spec = scored.scores[name], METRICS[name]
        quick = level == "full" or not is_large(score)
        enough = enough_for_second_order(score.n_windows, score.d or 0, len(sides[0].groups))
        if score.kind == "index" or not quick or not enough:
            continue
        halves = (
            [score_stats(spec, half.of(spec), scored.balance) for half in pair]
            for pair in zip(*(side.halves for side in sides), strict=True)
        )
        first, second = (InfluenceMap.fit(*pair) for pair in halves)
        maps[name] = first, second
    return HalfMaps(maps, groups % 2)


def is_large(score: Score) -> bool:
    """Say whether a distance takes long."""
    return min(score.n_windows, score.d or 0) > SMALL_DIM


def with_bias(
    scores: Mapping[str, Score],
    sides: tuple[GroupedStats, GroupedStats],
    balance: Balance | None,
    level: Uncertainty,
    seed: int,
) -> dict[str, Score]:
    """Return the scores with floor, correction and extrapolation, each None with its reason where it is undefined.

    Parameters
    ----------
    scores
        Fréchet scores; indices stay as they are.
    sides
        Statistics of the reference and of the generated side.
    balance
        Behind the balanced scores; held fixed.
    level
        ``full`` computes everything, ``auto`` leaves out what takes long, ``stderr`` all but the floor.
    seed
        Of the extrapolation's draws.
    """
    if level == "none":
        return {name: replace(score, withheld={"stderr": _NOT_COMPUTED}) for name, score in scores.items()}
    return {
        name: score if score.kind == "index" else _Judge(score, METRICS[name], sides, balance, level, seed).judged()
        for name, score in scores.items()
    }


def uncertainty_notes(scores: Mapping[str, Score]) -> list[str]:
    """Say for which distances the correction and the extrapolation were left out because they take long."""
    left_out = [name for name, score in scores.items() if "--uncertainty full" in score.withheld.get("corrected", "")]
    if not left_out:
        return []
    return [f"No corrected value and no extrapolation for {', '.join(left_out)}: they take long (--uncertainty full)."]


@dataclass(frozen=True)
class _Judge:
    """One distance, and what its floor and corrections are computed from."""

    score: Score
    spec: MetricSpec
    sides: tuple[GroupedStats, GroupedStats]
    balance: Balance | None
    level: Uncertainty
    seed: int

    def judged(self) -> Score:
        """Return the score with all that its level asks for."""
        computations = [("floor", self._floor)]
        if self.level != "stderr":
            computations += [("corrected", self._corrected), ("fd_infinity", self._fd_infinity)]
        found: dict[str, Any] = {}
        withheld = dict(self.score.withheld)
        for key, compute in computations:
            try:
                found |= compute()
            except MetricError as error:
                withheld[key] = str(error)
        return replace(self.score, **found, withheld=withheld)

    def _floor(self) -> dict[str, float | None]:
        halves = self._grouped([side.halves for side in self.sides]) if is_large(self.score) else self._groups
        floor = grouped_floor(halves, with_score=not is_large(self.score) or self.level == "full")
        return {"floor": floor.value, "floor_spread": floor.spread, "floor_score": floor.score}

    def _corrected(self) -> dict[str, Any]:
        check_correctable(self.score.n_windows, self.score.d or 0)
        corrected = grouped_correction(self._subsets(), self.score.value)
        settings = {**self.score.settings, "correction": corrected.method}
        if corrected.method == "quarter-split":
            settings["half_split_corrected"] = corrected.half_split
        return {"corrected": corrected.value, "settings": settings}

    def _fd_infinity(self) -> dict[str, float | None]:
        check_extrapolable(self.score.n_windows, self.score.d or 0, len(self.sides[0].groups))
        return {"fd_infinity": grouped_infinity(self._subsets(), self.score.value, self.seed)}

    def _subsets(self) -> GroupedSides:
        if not is_large(self.score):
            return self._groups
        if self.level == "auto":
            raise MetricError(_LEFT_OUT.format(n=self.score.n_windows, d=self.score.d))
        return self._groups.coarser(_LARGE_GROUPS_N)

    @cached_property
    def _groups(self) -> GroupedSides:
        return self._grouped([side.groups for side in self.sides])

    def _grouped(self, sides: Sequence[Sequence[SideStats]]) -> GroupedSides:
        """Return statistics by group in the coordinates of the score."""
        return GroupedSides(
            *([score_stats(self.spec, group.of(self.spec), self.balance) for group in side] for side in sides)
        )
