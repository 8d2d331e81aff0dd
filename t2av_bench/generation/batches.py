"""Which clips go through the reference system's networks together, what it is given of each, and what comes out.

::

    clips ─► groups of one length ─► a share for each process ─► batches with their pictures ─► sounds
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Generator, Iterator, Mapping, Sequence, Set
from contextlib import closing
from dataclasses import dataclass
from itertools import chain, groupby, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from t2av_bench.distributed.shares import share_out
from t2av_bench.errors import Problem
from t2av_bench.generation.record import Sampling
from t2av_bench.manifests import Clip
from t2av_bench.workers import JobFailure, run_jobs

if TYPE_CHECKING:
    from t2av_bench.models.t2av import T2AVPipeline

Float32Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Studio:
    """What a process generates with."""

    pipeline: T2AVPipeline
    media: Mapping[str, Path]
    target: Path
    settings: dict[str, Any]
    sampling: Sampling
    num_workers: int
    progress: bool


class Share(NamedTuple):
    """What a process generates: the missing ones of the clips, in groups that go through the networks together."""

    groups: Sequence[Sequence[Clip]]
    missing: Set[str]


def shares(clips: Sequence[Clip], missing: Set[str], batch_size: int, n: int) -> list[Share]:
    """Divide the groups that have a missing clip by their duration.

    Groups are cut from all clips, of one length each: a run that goes on where another stopped computes each sound in
    the company it would have had. They are smaller than a batch where that gives every process one.
    """
    size = max(1, min(batch_size, -(-len(clips) // n)))
    by_length: dict[float, list[Clip]] = defaultdict(list)
    for clip in clips:
        by_length[clip.duration_s].append(clip)
    groups = [members[first : first + size] for members in by_length.values() for first in range(0, len(members), size)]
    wanted = [group for group in groups if any(clip.clip_id in missing for clip in group)]
    parts = share_out([sum(clip.duration_s for clip in group) for group in wanted], n)
    return [Share([wanted[place] for place in part], missing) for part in parts]


@dataclass(frozen=True)
class Batch:
    """Clips that go through the networks at once, and their pictures."""

    clips: tuple[Clip, ...]
    pictures: Any  # (clips, frames, height, width, 3) bytes, or None


def batches(
    studio: Studio, groups: Sequence[Sequence[Clip]], missing: Set[str], problems: list[Problem]
) -> Iterator[Batch]:
    """Yield the groups with their pictures; missing clips that cannot be read go to ``problems``."""
    for length_s, alike in groupby(groups, lambda group: group[0].duration_s):
        wanted = list(alike)
        with closing(_read(studio, list(chain(*wanted)), length_s)) as read:
            for group in wanted:
                found = list(islice(read, len(group)))
                for clip, pictures in found:
                    if isinstance(pictures, JobFailure) and clip.clip_id in missing:
                        path = str(studio.media[clip.clip_id])
                        problems.append(Problem(clip.clip_id, "unreadable", path, pictures.reason))
                readable = [(clip, pictures) for clip, pictures in found if not isinstance(pictures, JobFailure)]
                if any(clip.clip_id in missing for clip, _ in readable):
                    yield _batch(readable)


def _batch(members: Sequence[tuple[Clip, Any]]) -> Batch:
    clips, pictures = zip(*members, strict=True)
    return Batch(clips, None if pictures[0] is None else np.stack(pictures))


def _read(studio: Studio, clips: Sequence[Clip], length_s: float) -> Generator[tuple[Clip, Any], None, None]:
    """Yield clips in order with their pictures, None without video; decoding runs ahead in worker processes."""
    from t2av_bench.models.t2av.inputs import checked_length_s
    from t2av_bench.models.t2av.reading import read_pictures

    checked_length_s(length_s)
    if not studio.media:
        yield from ((clip, None) for clip in clips)
        return
    jobs = [studio.pipeline.picture_job(studio.media[clip.clip_id], length_s, clip.start_s) for clip in clips]
    early: dict[int, Any] = {}
    done_n = 0
    with closing(run_jobs(read_pictures, jobs, num_workers=studio.num_workers)) as outcomes:
        for index, outcome in outcomes:
            early[index] = outcome
            # In the order of the clips, so that batches are the same in every run.
            while done_n in early:
                yield clips[done_n], early.pop(done_n)
                done_n += 1


def sounds(studio: Studio, batch: Batch) -> Float32Array:
    """Generate the sounds of a batch, (clips, samples)."""
    from t2av_bench.models.t2av.sampling import clip_generator

    found: Float32Array = studio.pipeline(
        [clip.caption for clip in batch.clips],
        frames=batch.pictures,
        audio_length_in_s=batch.clips[0].duration_s,
        generator=[clip_generator(studio.sampling.seed, clip.clip_id) for clip in batch.clips],
        **studio.sampling.call_options(),
    ).audios
    return found
