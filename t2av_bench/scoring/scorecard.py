"""Every score of an evaluation, from embeddings in the cache.

::

    statistics of groups of clips ─► Fréchet scores ─► alignment indices ─► bias ─► contributions of clips ─► errors
    arrays of clips ─► companion scores, with contributions of their own
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from t2av_bench.cache import EmbeddingCache
from t2av_bench.companions.peers import measures_of
from t2av_bench.companions.scores import cached_clips, score_companions
from t2av_bench.companions.synchrony import shuffled_note
from t2av_bench.manifests import Clip
from t2av_bench.metrics import Balance
from t2av_bench.metrics.groups import clip_number, grouped_by_number
from t2av_bench.metrics.stats import Float64Array
from t2av_bench.models.extractors import Extractor
from t2av_bench.protocol import Protocol
from t2av_bench.results import Score
from t2av_bench.scoring.alignment import with_indices
from t2av_bench.scoring.contributions import ClipContributions, clip_contributions, with_stderr
from t2av_bench.scoring.distances import ClipJobs, GroupedStats, sample_notes, score_all
from t2av_bench.scoring.uncertainty import Uncertainty, groups_wanted, half_maps, uncertainty_notes, with_bias


class Scorecard(NamedTuple):
    """What :func:`score_clips` returns, by score, in the protocol's order.

    Attributes
    ----------
    scores
        With standard errors where there are any.
    absent
        Name to reason, for scores that are undefined here.
    contributions
        What each clip adds to each score, shape (clips,), in the unit of the score.
    own_half
        The same by the influence functions of the clip's own half, of scores whose errors are of second order.
    clip_values
        The clips' own values of scores that are means over clips; NaN where a clip has none.
    """

    scores: dict[str, Score]
    absent: dict[str, str]
    contributions: dict[str, Float64Array]
    own_half: dict[str, Float64Array]
    clip_values: dict[str, Float64Array]


def score_clips(
    clips: Sequence[Clip],
    jobs: Sequence[ClipJobs],
    cache: EmbeddingCache,
    choices: Protocol,
    extractors: Mapping[str, Extractor],
    *,
    events: Mapping[str, Float64Array] | None,
    uncertainty: Uncertainty,
    seed: int,
) -> Scorecard:
    """Compute every score of the protocol.

    Parameters
    ----------
    clips, jobs
        Those that are scored, in the same order, and where their embeddings are.
    cache
        Holds all of these.
    choices, extractors
        Which scores, and what made the embeddings, by part.
    events
        Clip id to the times of its events, where the manifest knows them.
    uncertainty, seed
        As in :func:`t2av_bench.evaluate`.
    """
    distances = _score_distances(clips, jobs, cache, choices, uncertainty, seed)
    clip_set = cached_clips(clips, jobs, cache, choices.pooling, distances.balance, events)
    companions = score_companions(choices.metrics, clip_set, seed, extractors, measures=measures_of(choices))
    return Scorecard(
        choices.in_order(distances.scores, companions.scores),
        choices.in_order(distances.absent, companions.absent),
        choices.in_order(distances.contributions.whole, companions.contributions),
        choices.in_order(distances.contributions.own_half, companions.own_half),
        companions.clip_values,
    )


class _Distances(NamedTuple):
    """Fréchet scores and indices with their errors, and what remains of how they came about."""

    scores: dict[str, Score]
    absent: dict[str, str]
    contributions: ClipContributions
    balance: Balance | None


def _score_distances(
    clips: Sequence[Clip],
    jobs: Sequence[ClipJobs],
    cache: EmbeddingCache,
    choices: Protocol,
    uncertainty: Uncertainty,
    seed: int,
) -> _Distances:
    """Compute what comes of the statistics; these, and the influence functions, are let go of at the end."""
    groups = grouped_by_number([clip_number(clip.clip_id) for clip in clips], groups_wanted(uncertainty), seed)
    reference = GroupedStats.gather(jobs, cache, choices, groups, generated=False)
    generated = GroupedStats.gather(jobs, cache, choices, groups, generated=True)
    sides = reference.whole, generated.whole
    influence = uncertainty != "none"
    plain = score_all(choices, *sides, len(jobs), influence=influence)
    plain = with_indices(plain, choices, jobs, cache, sides, seed, influence=influence)
    judged = with_bias(plain.scores, (reference, generated), plain.balance, uncertainty, seed)
    halves = half_maps(plain, (reference, generated), groups, uncertainty)
    found = clip_contributions(jobs, cache, choices.pooling, sides, plain, halves)
    return _Distances(with_stderr(judged, found), plain.absent, found, plain.balance)


def score_notes(scores: dict[str, Score]) -> list[str]:
    """Say what a reader of the scores should know."""
    return [*sample_notes(scores), *uncertainty_notes(scores), *shuffled_note(scores)]
