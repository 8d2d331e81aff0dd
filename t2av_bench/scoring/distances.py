"""From embeddings in the cache to scores: one pass over the clips, then the formulas."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from t2av_bench.cache import EmbeddingCache
from t2av_bench.errors import MetricError
from t2av_bench.extraction.embedding import read_embeddings
from t2av_bench.extraction.jobs import EmbeddingJob
from t2av_bench.metrics import Balance, JointStats, MetricSpec, frechet_distance
from t2av_bench.metrics.groups import united
from t2av_bench.metrics.index_influence import RePairedIndexMap
from t2av_bench.metrics.influence import InfluenceMap
from t2av_bench.metrics.joint import score_stats
from t2av_bench.protocol import Pooling, Protocol
from t2av_bench.results import Score

Float32Array = npt.NDArray[np.float32]
JOINT_PARTS = ("audio", "video", "text")
FRECHET_PARTS = (*JOINT_PARTS, "clip_audio")


@dataclass(frozen=True, slots=True)
class ClipJobs:
    """Where one clip's embeddings are, by part, on both sides.

    Attributes
    ----------
    clip_id
        The clip.
    reference
        Every part that the protocol uses, of the reference.
    generated
        The parts that are of sound, of the prediction; conditions are the reference's, unless other captions are given.
    """

    clip_id: str
    reference: Mapping[str, EmbeddingJob]
    generated: Mapping[str, EmbeddingJob]

    def side(self, generated: bool) -> Mapping[str, EmbeddingJob]:
        """Return the jobs of one side, with the conditions that both share."""
        return {**self.reference, **self.generated} if generated else self.reference


@dataclass(frozen=True)
class SideStats:
    """Statistics of one side: over windows jointly, and over clips for FD; None if no score needs it."""

    joint: JointStats | None
    clip_audio: JointStats | None

    def of(self, spec: MetricSpec) -> JointStats:
        """Return the statistics a score is computed from."""
        stats = self.clip_audio if "clip_audio" in spec.blocks else self.joint
        assert stats is not None  # the protocol admits only scores whose parts it has
        return stats


def clip_rows(jobs: Mapping[str, EmbeddingJob], cache: EmbeddingCache, pooling: Pooling) -> dict[str, Float32Array]:
    """Read one clip's embeddings as rows that pair across parts.

    A caption's embedding is repeated for every window. Returns arrays of shape (windows, dim), or (1, dim) with
    ``pooling="clip"``; ``clip_audio`` is always one row; parts that only companions use are as in the cache.
    """
    parts = dict(zip(jobs, read_embeddings(jobs.values(), cache), strict=True))
    rows = {part: parts[part] for part in JOINT_PARTS if part in parts}
    if pooling == "clip":
        rows = {part: _mean_row(found) for part, found in rows.items()}
    else:
        windows_n = max((len(found) for found in rows.values()), default=1)
        rows = {part: np.repeat(found, windows_n, axis=0) if len(found) == 1 else found for part, found in rows.items()}
    if "clip_audio" in parts:
        rows["clip_audio"] = _mean_row(parts["clip_audio"])
    return parts | rows


def frechet_jobs(clip: ClipJobs, generated: bool) -> dict[str, EmbeddingJob]:
    """Return the jobs of one side whose rows the statistics are over."""
    return {part: job for part, job in clip.side(generated).items() if part in FRECHET_PARTS}


def _mean_row(rows: Float32Array) -> Float32Array:
    mean: Float32Array = rows.mean(axis=0, keepdims=True, dtype=np.float64).astype(np.float32)
    return mean


def gather(
    clips: Sequence[ClipJobs],
    cache: EmbeddingCache,
    protocol: Protocol,
    *,
    generated: bool,
    places: Iterable[int] | None = None,
) -> SideStats:
    """Accumulate the statistics of one side over all clips, or over those at some places, in their order."""
    dims = {part: job.extractor.dim for part, job in clips[0].reference.items()}
    joint_dims = {part: dims[part] for part in JOINT_PARTS if part in dims}
    joint = JointStats(joint_dims) if "audio" in joint_dims else None
    clip_audio = JointStats({"clip_audio": dims["clip_audio"]}) if "clip_audio" in dims else None
    for place in range(len(clips)) if places is None else places:
        rows = clip_rows(frechet_jobs(clips[place], generated), cache, protocol.pooling)
        if clip_audio is not None:
            clip_audio.update(clip_audio=rows.pop("clip_audio"))
        if joint is not None:
            joint.update(**rows)
    return SideStats(joint, clip_audio)


@dataclass(frozen=True)
class GroupedStats:
    """Statistics of one side by group of clips, and of all clips together.

    Attributes
    ----------
    groups
        One per group.
    halves
        The groups united into two, or one if there is one: as matrices of moments these are what costs most, so they
        are kept.
    whole
        Of all clips.
    """

    groups: Sequence[SideStats]
    halves: Sequence[SideStats]
    whole: SideStats

    @classmethod
    def gather(
        cls,
        clips: Sequence[ClipJobs],
        cache: EmbeddingCache,
        protocol: Protocol,
        assigned: npt.NDArray[np.intp],
        *,
        generated: bool,
    ) -> GroupedStats:
        """Accumulate the statistics of one side over the clips of every group (:func:`gather`)."""
        groups = [
            gather(clips, cache, protocol, generated=generated, places=np.flatnonzero(assigned == group).tolist())
            for group in range(assigned.max() + 1)
        ]
        halves = [_united(groups[::2]), _united(groups[1::2])] if len(groups) > 1 else groups
        return cls(groups, halves, _united(halves))


def _united(sides: Sequence[SideStats]) -> SideStats:
    joint = [side.joint for side in sides if side.joint is not None]
    clip_audio = [side.clip_audio for side in sides if side.clip_audio is not None]
    return SideStats(united(joint) if joint else None, united(clip_audio) if clip_audio else None)


class Scored(NamedTuple):
    """What :func:`score_all` returns.

    Attributes
    ----------
    scores
        By name, in the protocol's order; without standard errors.
    absent
        Name to reason, for scores that are undefined here.
    balance
        Fitted on the reference, if a score needed it.
    maps
        By name, the influence function of each score, if it was asked for.
    """

    scores: dict[str, Score]
    absent: dict[str, str]
    balance: Balance | None
    maps: dict[str, InfluenceMap | RePairedIndexMap]


class HalfMaps(NamedTuple):
    """Influence functions fitted on either half of the clips alone.

    Attributes
    ----------
    maps
        Score name to those of the first half and of the second; only scores whose errors are of second order.
    halves
        Half of each clip, 0 or 1, shape (clips,).
    """

    maps: dict[str, tuple[InfluenceMap, InfluenceMap]]
    halves: npt.NDArray[np.intp]


def score_all(
    protocol: Protocol, reference: SideStats, generated: SideStats, n_clips: int, *, influence: bool = True
) -> Scored:
    """Compute every Fréchet distance of the protocol; :mod:`t2av_bench.scoring.alignment` adds the indices.

    The standard errors come from ``contributions``; ``influence`` fits the influence functions that these
    are made of. Large distances come from them at no further cost.
    """
    found = Scored({}, {}, None, {})
    for spec in protocol.frechet:
        name = spec.name
        if spec.kind == "index":
            continue
        ref, gen = reference.of(spec), generated.of(spec)
        try:
            if spec.kind != "raw" and found.balance is None:
                found = found._replace(balance=Balance.fit(ref))
            over = score_stats(spec, ref, found.balance), score_stats(spec, gen, found.balance)
            value = None
            if influence:
                found.maps[name] = fitted = InfluenceMap.fit(*over)
                value = fitted.distance
            if value is None:
                value = frechet_distance(*over)
            sizes = n_clips, over[0].n, over[0].d, over[0].rank
            found.scores[name] = Score(value, None, spec.kind, spec.higher_is_better, spec.version, *sizes)
        except MetricError as error:
            found.absent[name] = str(error)
    return found


def sides_of(
    clip: ClipJobs, parts: Sequence[str], cache: EmbeddingCache, pooling: Pooling
) -> list[dict[str, Float32Array]]:
    """Read some parts of one clip, of the reference and of the generated side; parts without jobs are left out."""
    return [
        clip_rows({part: job for part, job in clip.side(generated).items() if part in parts}, cache, pooling)
        for generated in (False, True)
    ]


def sample_notes(scores: Mapping[str, Score]) -> list[str]:
    """Say which raw distances have too few samples for their dimension to be more than a comparison at equal n."""
    few = [f"{name} (d = {s.d})" for name, s in scores.items() if s.kind == "raw" and s.d and s.n_windows < 2 * s.d]
    if not few:
        return []
    n = max(s.n_windows for s in scores.values() if s.kind == "raw")
    return [
        f"Fewer than 2 d samples (at most {n}) for {', '.join(few)}: biased upwards; compare only at the same clips."
    ]
