"""What is to be embedded: jobs, and those among them that are missing in the cache, clip by clip."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import compress, groupby
from operator import attrgetter
from typing import NamedTuple

from t2av_bench.cache import EmbeddingCache
from t2av_bench.models.extractors import ClipSource, Extractor, TextExtractor


@dataclass(frozen=True, slots=True)  # there are ten of them per clip
class EmbeddingJob:
    """One clip to be embedded by one extractor.

    Attributes
    ----------
    key
        Where the embeddings lie in the cache; jobs with equal keys are done once.
    extractor
        Turns the source into ``extractor.rows_n(source.duration_s)`` embeddings.
    source
        The clip's media and caption.
    stored
        Whether the embeddings were made elsewhere, as those of a reference pack: they are read and never computed.
    half
        Whether they are rounded to float16 when they are read, as those are that they are set against.
    """

    key: str
    extractor: Extractor
    source: ClipSource
    stored: bool = False
    half: bool = False

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of the embeddings: (rows, dim)."""
        return self.extractor.rows_n(self.source.duration_s), self.extractor.dim


def missing_jobs(jobs: Iterable[EmbeddingJob], cache: EmbeddingCache) -> list[EmbeddingJob]:
    """Return the jobs whose embeddings are not in the cache, one of each key, in their order."""
    return [job for job, is_missing in _judged(jobs, cache) if is_missing]


def _judged(jobs: Iterable[EmbeddingJob], cache: EmbeddingCache) -> Iterator[tuple[EmbeddingJob, bool]]:
    """Yield every job, and whether it is the first of its key and not in the cache."""
    keys: set[str] = set()
    for job in jobs:
        is_missing = job.key not in keys and not cache.holds(job.key, job.shape)
        if is_missing:
            keys.add(job.key)
        yield job, is_missing


def side_by_side(jobs: Iterable[EmbeddingJob]) -> list[EmbeddingJob]:
    """Put the jobs of each clip's file together, so that it is decoded once."""
    by_source: dict[ClipSource, list[EmbeddingJob]] = {}
    for job in jobs:
        by_source.setdefault(job.source, []).append(job)
    return [job for together in by_source.values() for job in together]


class ClipLoad(NamedTuple):
    """One clip, and for the number of each pass that misses it the keys in the cache, in the order of its extractors.

    A key is None where nothing is missing.
    """

    source: ClipSource
    keys: dict[int, list[str | None]]


class Plan:
    """What is missing: passes, each with the extractors that it serves, and clips, each read once.

    Clips are made whenever they are asked for: held, they would take 4 KB each.

    Parameters
    ----------
    jobs
        Those of one clip's file side by side; gone through several times, the same each time.
    cache
        Holds what is not missing.

    Attributes
    ----------
    passes
        The extractors of each pass.
    clips_n, clips_of_passes
        How many clips there are, and of how many each pass misses something.
    """

    def __init__(self, jobs: Iterable[EmbeddingJob], cache: EmbeddingCache) -> None:
        self._jobs, self._is_missing = jobs, bytearray()
        by_pass: dict[str, dict[str, Extractor]] = {}
        for job, is_missing in _judged(jobs, cache):
            self._is_missing.append(is_missing)
            if is_missing:
                by_pass.setdefault(job.extractor.pass_key, {}).setdefault(job.extractor.fingerprint, job.extractor)
        self.passes = [list(served.values()) for served in by_pass.values()]
        self._seats = {
            fingerprint: (number, place)
            for number, served in enumerate(by_pass.values())
            for place, fingerprint in enumerate(served)
        }
        self.clips_n, self.clips_of_passes = 0, [0] * len(self.passes)
        for clip in self.clips():
            self.clips_n += 1
            for number in clip.keys:
                self.clips_of_passes[number] += 1

    def clips(self) -> Iterator[ClipLoad]:
        """Yield the clips of which anything is missing, in the order of the jobs."""
        missing = compress(self._jobs, self._is_missing)
        for source, jobs in groupby(missing, key=attrgetter("source")):
            clip = ClipLoad(source, {})
            for job in jobs:
                number, place = self._seats[job.extractor.fingerprint]
                clip.keys.setdefault(number, [None] * len(self.passes[number]))[place] = job.key
            yield clip

    def is_caption(self, clip: ClipLoad) -> bool:
        """Whether a clip is words only."""
        return all(isinstance(self.passes[number][0], TextExtractor) for number in clip.keys)
