"""Alignment indices: how much of the real tie between sound and condition the generated sound has.

Their zero point is measured: the mean of a few random pairings of whole clips (:mod:`t2av_bench.metrics.pairing`). That
needs each clip's rows, not only the statistics of all, so two more passes over the cache are made, in balanced
coordinates: one that writes the conditions (at most 64 axes) to a file, and one that puts each sound with those of
other clips.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from t2av_bench.cache import EmbeddingCache
from t2av_bench.errors import MetricError
from t2av_bench.metrics import METRICS, Balance, MetricSpec
from t2av_bench.metrics.index_influence import RePairedIndexMap
from t2av_bench.metrics.joint import IndexDistances, index_distances, score_stats
from t2av_bench.metrics.pairing import DRAWS, RePairing
from t2av_bench.metrics.stats import Float64Array
from t2av_bench.protocol import Protocol
from t2av_bench.results import Score
from t2av_bench.scoring.contributions import BATCH_CLIPS
from t2av_bench.scoring.distances import ClipJobs, Float32Array, Scored, SideStats, clip_rows
from t2av_bench.scratch import RowFile


def with_indices(
    plain: Scored,
    protocol: Protocol,
    clips: Sequence[ClipJobs],
    cache: EmbeddingCache,
    sides: tuple[SideStats, SideStats],
    seed: int,
    *,
    influence: bool = True,
) -> Scored:
    """Add the protocol's alignment indices to the Fréchet scores.

    Parameters
    ----------
    plain
        Of :func:`~t2av_bench.scoring.distances.score_all`; its balance is used.
    protocol, clips, cache
        The choices, and where the embeddings are.
    sides
        Statistics of the reference and of the generated side.
    seed
        Of the re-pairings. Every index is over the same ones.
    influence
        Whether to fit the influence functions.

    Returns
    -------
    Scored
        A new one. An index that is undefined is among ``absent``.
    """
    specs = [spec for spec in METRICS.values() if spec.kind == "index" and spec in protocol.frechet]
    if not specs:
        return plain
    scores, absent, maps = dict(plain.scores), dict(plain.absent), dict(plain.maps)
    balance = plain.balance
    try:
        balance = balance or Balance.fit(sides[0].of(specs[0]))
        pairings = _re_pairings(specs, clips, cache, protocol, balance, seed)
    except MetricError as error:
        return plain._replace(absent=absent | {spec.name: str(error) for spec in specs})
    for spec in specs:
        try:
            over = [score_stats(spec, side.of(spec), balance) for side in sides]
            if influence:
                fitted = maps[spec.name] = RePairedIndexMap.fit(over[0], over[1], pairings[spec.name])
                distances = fitted.distances
            else:
                distances = index_distances(*over, null="re-pairing", re_paired=pairings[spec.name].stats)
            sizes = len(clips), over[0].n, over[0].d, over[0].rank
            score = Score(distances.alignment, None, spec.kind, spec.higher_is_better, spec.version, *sizes)
            scores[spec.name] = replace(score, settings=_settings(seed, distances))
        except MetricError as error:
            absent[spec.name] = str(error)
    return Scored(scores, absent, balance, maps)


def _settings(seed: int, distances: IndexDistances) -> dict[str, Any]:
    # With the distance that is the zero point, anyone can recompute the index from the result's other scores.
    return {"null": "re-pairing", "draws": DRAWS, "seed": seed, "random_pairing": distances.unpaired}


def _re_pairings(
    specs: Sequence[MetricSpec],
    clips: Sequence[ClipJobs],
    cache: EmbeddingCache,
    protocol: Protocol,
    balance: Balance,
    seed: int,
) -> dict[str, RePairing]:
    """Pair the generated sounds with the conditions of other clips, for every index."""
    conditions = {spec.name: RowFile() for spec in specs}
    for clip in clips:
        rows = _generated_rows(clip, {block for spec in specs for block in spec.blocks}, cache, protocol)
        for spec in specs:
            block = spec.blocks[1]
            conditions[spec.name].append(_projected(rows[block], balance.maps[block]))
    audio_dim = balance.maps["audio"].shape[1]
    found = {
        spec.name: RePairing(conditions[spec.name].by_clip, audio_dim, block=spec.blocks[1], seed=seed)
        for spec in specs
    }
    for first in range(0, len(clips), BATCH_CLIPS):
        sounds = [
            _generated_rows(clip, {"audio"}, cache, protocol)["audio"] @ balance.maps["audio"]
            for clip in clips[first : first + BATCH_CLIPS]
        ]
        for pairing in found.values():
            pairing.add(first, sounds)
    return found


def _generated_rows(
    clip: ClipJobs, blocks: set[str], cache: EmbeddingCache, protocol: Protocol
) -> dict[str, Float32Array]:
    jobs = {part: job for part, job in clip.side(True).items() if part in blocks}
    return clip_rows(jobs, cache, protocol.pooling)


def _projected(rows: Float32Array, matrix: Float64Array) -> Float64Array:
    """Return balanced rows; those of a caption, which are all the same, are multiplied once."""
    if (rows == rows[:1]).all():
        return np.broadcast_to(rows[:1] @ matrix, (len(rows), matrix.shape[1]))
    return np.asarray(rows @ matrix)
