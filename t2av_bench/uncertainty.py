"""How far a Fréchet score may be off: its bias, and what reality scores against itself.

Standard errors come from the contributions of clips (:mod:`t2av_bench.contributions`); the rest comes from statistics
that were gathered by group of clips (:mod:`t2av_bench.metrics.groups`). Subsets hold the same clips on both sides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

from t2av_bench.errors import MetricError
from t2av_bench.metrics import METRICS, Balance, MetricSpec
from t2av_bench.metrics.groups import (
    GroupedSides,
    check_correctable,
    check_extrapolable,
    grouped_correction,
    grouped_floor,
    grouped_infinity,
)
from t2av_bench.metrics.joint import score_stats
from t2av_bench.results import Score
from t2av_bench.scoring import GroupedStats, SideStats
from t2av_bench.threads import SMALL_DIM

Uncertainty = Literal["auto", "full", "stderr", "none"]
GROUPS_N = 8
# A distance is large, and takes long, when its matrices have more than SMALL_DIM rows: fewer groups then.
_LARGE_GROUPS_N = 4
_NOT_COMPUTED = "not computed with --uncertainty none (uncertainty='none')"
_LEFT_OUT = "takes long for {n} windows with d = {d}: computed with --uncertainty full (uncertainty='full')"


def groups_wanted(level: Uncertainty) -> int:
    """Return the number of groups of clips that a level needs statistics of."""
    return 1 if level == "none" else GROUPS_N


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
        halves = self._grouped([side.halves for side in self.sides]) if self._is_large else self._groups
        floor = grouped_floor(halves, with_score=not self._is_large or self.level == "full")
        return {"floor": floor.value, "floor_spread": floor.spread, "floor_score": floor.score}

    def _corrected(self) -> dict[str, Any]:
        check_correctable(self.score.n_windows, self.score.d or 0)
        corrected = grouped_correction(self._subsets(), self.score.value)
        return {"corrected": corrected.value, "settings": {**self.score.settings, "correction": corrected.method}}

    def _fd_infinity(self) -> dict[str, float | None]:
        check_extrapolable(self.score.n_windows, self.score.d or 0, len(self.sides[0].groups))
        return {"fd_infinity": grouped_infinity(self._subsets(), self.score.value, self.seed)}

    @property
    def _is_large(self) -> bool:
        return min(self.score.n_windows, self.score.d or 0) > SMALL_DIM

    def _subsets(self) -> GroupedSides:
        if not self._is_large:
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
