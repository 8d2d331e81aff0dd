"""Which clips of a benchmark are worth looking at: the worst, the best, and some at random."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

import numpy as np

from t2av_bench.errors import UsageError
from t2av_bench.results import Result

Kind = Literal["harm", "help", "random"]
# Places in a ranking that are worth a word beside the clip.
NAMED_PLACES = 3


class Reason(NamedTuple):
    """Why a clip is in the gallery.

    Attributes
    ----------
    kind
        It is among those that ``harm`` a score most (draw a distance up, an index down), or ``help`` it most, or was
        drawn at ``random`` from all scored clips.
    score, system, place
        The score, the index of the system, and the clip's place in that ranking, from 1; of no meaning for ``random``.
    """

    kind: Kind
    score: str = ""
    system: int = 0
    place: int = 0


def select_clips(
    results: Sequence[Result], clip_ids: Sequence[str], count: int | None, seed: int
) -> dict[str, list[Reason]]:
    """Choose clips and say why.

    Half of them are those with the largest contributions: the first of every score and system, then every second, and
    so on; a quarter the best, in the same way. A quarter is drawn at random from all clips, so that it shows what the
    system usually does; what the three have in common is made up for at random.

    Parameters
    ----------
    results
        With contributions of clips.
    clip_ids
        Clips to choose from, in the order to return them in.
    count
        How many, 1 or more; None for all.
    seed
        Of the random ones.

    Returns
    -------
    dict
        Clip id to reasons. The places up to the third are told of any clip that is chosen.
    """
    if count is not None and count < 1:
        raise UsageError(f"the number of clips must be 1 or more; got {count}")
    total = len(clip_ids) if count is None else min(count, len(clip_ids))
    kinds: tuple[Kind, ...] = ("harm", "help")
    rankings = {kind: _rankings(results, set(clip_ids), kind) for kind in kinds}
    drawn = [clip_ids[i] for i in np.random.default_rng(seed).permutation(len(clip_ids))]
    at_random = drawn[: max(1, total // 4)]
    chosen = dict.fromkeys(at_random)
    chosen |= dict.fromkeys(_first(rankings["harm"].values(), min(total // 2, total - len(chosen))))
    chosen |= dict.fromkeys(_first(rankings["help"].values(), min(total // 4, total - len(chosen))))
    more = [clip_id for clip_id in drawn if clip_id not in chosen][: total - len(chosen)]
    chosen |= dict.fromkeys(more)

    reasons: dict[str, list[Reason]] = {clip_id: [] for clip_id in clip_ids if clip_id in chosen}
    for kind, ranked in rankings.items():
        for (score, system), ids in ranked.items():
            for place, clip_id in enumerate(ids[:NAMED_PLACES], start=1):
                if clip_id in reasons:
                    reasons[clip_id].append(Reason(kind, score, system, place))
    for clip_id in [*at_random, *more]:
        reasons[clip_id].append(Reason("random"))
    return reasons


def _rankings(results: Sequence[Result], known: set[str], kind: Kind) -> dict[tuple[str, int], list[str]]:
    """Return the clips that harm, or help, each score of each system, those that do it most first."""
    ranked = {}
    for system, result in enumerate(results):
        for name, score in result.scores.items():
            sign = (1.0 if kind == "harm" else -1.0) * (-1.0 if score.higher_is_better else 1.0)
            scored = ((clip_id, own[name]) for clip_id, own in result.per_clip.items() if name in own)
            found = [(sign * value, clip_id) for clip_id, value in scored if clip_id in known]
            ranked[name, system] = [clip_id for harm, clip_id in sorted(found, key=lambda f: -f[0]) if harm > 0.0]
    return ranked


def _first(rankings: Iterable[list[str]], count: int) -> list[str]:
    """Return so many different clips: the first of every ranking, then every second, and so on."""
    rankings = list(rankings)
    found: dict[str, None] = {}
    for place in range(max(map(len, rankings), default=0)):
        for ranking in rankings:
            if len(found) >= count:
                return list(found)
            if place < len(ranking):
                found[ranking[place]] = None
    return list(found)
