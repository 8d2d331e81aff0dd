"""How far a Fréchet score may be off: its bias, and what reality scores against itself.

Standard errors come from the contributions of clips (:mod:`t2av_bench.contributions`); the rest comes from statistics
that were gathered by group of clips (:mod:`t2av_bench.metrics.groups`). Subsets hold the same clips on both sides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Literal

from t2av_bench.errors import MetricError
from t2av_bench.metrics import METRICS, Balance, MetricSpec
from t2av_bench.metrics.groups import GroupedSides, grouped_correction, grouped_floor, grouped_infinity
from t2av_bench.metrics.joint import score_stats
from t2av_bench.results import Score
from t2av_bench.scoring import GroupedStats, SideStats
from t2av_bench.threads import SMALL_DIM

Uncertainty = Literal["auto", "full", "stderr", "none"]
GROUPS_N = 8
# A distance is large, and takes long, when its matrices have more than SMALL_DIM rows: fewer groups then.
_LARGE_GROUPS_N = 4
_NOT_COMPUTED = "not computed with --uncertainty none (uncertainty='none')"
_LEFT_OUT = "takes long for {rows_n} windows with d = {d}: computed with --uncertainty full (uncertainty='full')"


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
    found = {}
    for name, score in scores.items():
        spec = METRICS[name]
        found[name] = score if spec.kind == "index" else _judged(score, spec, sides, balance, level, seed)
    return found


def uncertainty_notes(scores: Mapping[str, Score]) -> list[str]:
    """Say for which distances the correction and the extrapolation were left out because they take long."""
    left_out = [name for name, score in scores.items() if "--uncertainty full" in score.withheld.get("corrected", "")]
    if not left_out:
        return []
    return [f"No corrected value and no extrapolation for {', '.join(left_out)}: they take long (--uncertainty full)."]


def _judged(
    score: Score,
    spec: MetricSpec,
    sides: tuple[GroupedStats, GroupedStats],
    balance: Balance | None,
    level: Uncertainty,
    seed: int,
) -> Score:
    """Add what the level asks for to one distance."""
    d = score.d or 0
    is_large = min(score.n_windows, d) > SMALL_DIM
    halves = _grouped(spec, [side.halves if is_large else side.groups for side in sides], balance)
    numbers: dict[str, float | None] = {}
    withheld = dict(score.withheld)

    def add(key: str, compute: Callable[[], float]) -> None:
        try:
            numbers[key] = compute()
        except MetricError as error:
            withheld[key] = str(error)

    try:
        floor = grouped_floor(halves, with_score=not is_large or level == "full")
        numbers |= {"floor": floor.value, "floor_spread": floor.spread, "floor_score": floor.score}
    except MetricError as error:
        withheld["floor"] = str(error)
    if level == "full" or (level == "auto" and not is_large):
        groups = (
            _grouped(spec, [side.groups for side in sides], balance).coarser(_LARGE_GROUPS_N) if is_large else halves
        )
        add("corrected", lambda: grouped_correction(groups, score.value))
        add("fd_infinity", lambda: grouped_infinity(groups, score.value, seed))
    elif level == "auto":
        withheld |= dict.fromkeys(("corrected", "fd_infinity"), _LEFT_OUT.format(rows_n=score.n_windows, d=d))
    return replace(score, **numbers, withheld=withheld)  # type: ignore[arg-type]  # all are fields of numbers


def _grouped(spec: MetricSpec, sides: Sequence[Sequence[SideStats]], balance: Balance | None) -> GroupedSides:
    """Return one distance's statistics by group, in the coordinates of the score."""
    return GroupedSides(*([score_stats(spec, group.of(spec), balance) for group in side] for side in sides))
