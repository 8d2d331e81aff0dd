"""The extraction engine: loader workers decode, the device runs the networks, the cache keeps every clip's embeddings.

One job of a loader is a clip: its range of its file is decoded once, sound and pictures, for all extractors that miss
it. So all their networks are in memory together, 0.9 GB for the paper's features and 2.5 GB for every extractor there
is. To have one at a time, the decoded inputs of all clips would have to be kept (170 GB for a benchmark of 17,000
clips), or every file decoded once per extractor, and on a GPU the decoding is what takes longest.

Windows of different clips share a batch (``batching``). Every clip is written to the cache as soon as its
last window is embedded, so a killed run goes on where it stopped, and memory does not grow with the number of clips:
afterwards the statistics read the clips back from the cache one by one, in the manifest's order.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from t2av_bench.cache import EmbeddingCache, unchanged
from t2av_bench.errors import ManifestError, MediaError, MetricError, T2AVBenchError
from t2av_bench.extraction.batching import Batcher
from t2av_bench.models.extractors import ClipSource, Extractor, TextExtractor
from t2av_bench.models.extractors.read_once import ReadOnceSource
from t2av_bench.progress import progress_bar
from t2av_bench.workers import JobFailure, failure_of, run_jobs

Float32Array = npt.NDArray[np.float32]
Inputs = npt.NDArray[Any]

EARLY_BYTES = 64 << 20
"""How much may be loaded for a network that is still being built."""


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
    missing: dict[str, EmbeddingJob] = {}
    for job in jobs:
        if job.key not in missing and not cache.holds(job.key, job.shape):
            missing[job.key] = job
    return list(missing.values())


def embed_missing(
    jobs: Iterable[EmbeddingJob], cache: EmbeddingCache, *, batch_size: int, num_workers: int, progress: bool
) -> dict[str, str]:
    """Embed every job whose embeddings are not in the cache.

    Returns
    -------
    dict
        Key to reason, for the jobs whose media could not be read, or whose inputs do not fit into the memory.

    Raises
    ------
    CacheError
        Before any work if the cache cannot be written, or as soon as that happens; what is in it stays.
    """
    passes, clips = _plan(missing_jobs(jobs, cache))
    if not clips:
        return {}
    cache.check_writable()
    loaded = _loaded(passes, clips, num_workers)
    failures: dict[str, str] = {}
    with (
        progress_bar(len(clips), "embedding", "clip", progress) as bar,
        closing(loaded),
        ThreadPoolExecutor(max_workers=1) as beside,
    ):
        # The networks are built while the workers start and decode their first clips.
        lines = [_Line(extractors, batch_size, cache, beside) for extractors in passes]
        for clip in clips:
            for number in clip.keys:
                lines[number].left_n += 1
        try:
            for clip, outcome in loaded:
                for number, keys in clip.keys.items():
                    found = outcome if isinstance(outcome, JobFailure) else outcome[number]
                    lines[number].take(keys, found, failures)
                bar.update()
        finally:
            # Also after an error or Ctrl-C: what the workers have read is kept.
            for line in lines:
                line.finish(failures)
    return failures


@dataclass(frozen=True)
class _ClipLoad:
    """One clip, and for the number of each pass that misses it the keys in the cache, in the order of its extractors.

    A key is None where nothing is missing.
    """

    source: ClipSource
    keys: dict[int, list[str | None]]


def _plan(missing: Sequence[EmbeddingJob]) -> tuple[list[list[Extractor]], list[_ClipLoad]]:
    """Sort jobs into passes, each with the extractors that it serves, and clips, each read once."""
    passes: dict[str, dict[str, Extractor]] = {}
    for job in missing:
        passes.setdefault(job.extractor.pass_key, {}).setdefault(job.extractor.fingerprint, job.extractor)
    places = {
        fingerprint: (number, place)
        for number, served in enumerate(passes.values())
        for place, fingerprint in enumerate(served)
    }
    served_n = [len(served) for served in passes.values()]
    clips: dict[ClipSource, _ClipLoad] = {}
    for job in missing:
        number, place = places[job.extractor.fingerprint]
        clip = clips.setdefault(job.source, _ClipLoad(job.source, {}))
        clip.keys.setdefault(number, [None] * served_n[number])[place] = job.key
    return [list(served.values()) for served in passes.values()], list(clips.values())


def _loaded(
    passes: Sequence[Sequence[Extractor]], clips: Sequence[_ClipLoad], num_workers: int
) -> Generator[tuple[_ClipLoad, JobFailure | dict[int, Inputs | JobFailure]], None, None]:
    """Yield every clip with the inputs of each pass, or why there are none; captions first, which need no decoder."""
    leads = [extractors[0] for extractors in passes]
    load = partial(_load_clip, leads)
    media = []
    for clip in clips:
        if all(isinstance(leads[number], TextExtractor) for number in clip.keys):
            yield clip, load((clip.source, list(clip.keys)))
        else:
            media.append(clip)
    if media:
        with closing(
            run_jobs(load, [(clip.source, list(clip.keys)) for clip in media], num_workers=num_workers)
        ) as found:
            for index, outcome in found:
                yield media[index], outcome


def _load_clip(
    extractors: Sequence[Extractor], job: tuple[ClipSource, Sequence[int]]
) -> dict[int, Inputs | JobFailure]:
    """Run the CPU part of some extractors on one clip, in a worker."""
    source, numbers = job
    shared = ReadOnceSource.of(source, [extractors[number] for number in numbers])
    inputs: dict[int, Inputs | JobFailure] = {}
    with unchanged(source.path, source.state):
        for number in numbers:
            try:
                inputs[number] = _checked(extractors[number], shared)
            except T2AVBenchError as error:
                inputs[number] = JobFailure(failure_of(error).reason)
    return inputs


def _checked(extractor: Extractor, source: ClipSource) -> Inputs:
    """Load one clip for one extractor, and hold it to its promise."""
    inputs = extractor.load(source)
    wanted_n = extractor.rows_n(source.duration_s)
    if len(inputs) != wanted_n:
        raise MediaError(source.path, f"gives {len(inputs)} windows where the clip's duration asks for {wanted_n}")
    return inputs


class _Line:
    """The way of all clips through one pass: its network is let go of after the last one.

    While the network is built, clips are collected, so that the workers need not wait for it.
    """

    def __init__(
        self, extractors: Sequence[Extractor], batch_size: int, cache: EmbeddingCache, beside: ThreadPoolExecutor
    ) -> None:
        self.left_n = 0
        self._warm: Future[None] = beside.submit(extractors[0].warm_up)
        self._make: Callable[[], Batcher] = partial(Batcher, extractors, batch_size, cache)
        self._batcher: Batcher | None = None
        self._early: list[tuple[Sequence[str | None], Inputs]] = []
        self._early_bytes = 0

    def take(self, keys: Sequence[str | None], inputs: Inputs | JobFailure, failures: dict[str, str]) -> None:
        """Embed one clip, or note why that cannot be done."""
        if isinstance(inputs, JobFailure):
            failures.update({key: inputs.reason for key in keys if key is not None})
        else:
            self._early.append((keys, inputs))
            self._early_bytes += inputs.nbytes
            if self._warm.done() or self._early_bytes > EARLY_BYTES:
                self._embed()
        self.left_n -= 1
        if self.left_n == 0:
            self.finish(failures)

    def _embed(self) -> None:
        """Hand on what has been loaded, once the network is there."""
        self._warm.result()
        early, self._early, self._early_bytes = self._early, [], 0
        if self._batcher is None:
            self._batcher = self._make()
        for keys, inputs in early:
            self._batcher.add(keys, inputs)

    def finish(self, failures: dict[str, str]) -> None:
        """Embed what is left."""
        if self._early and not (self._warm.done() and self._warm.exception()):
            self._embed()
        batcher, self._batcher = self._batcher, None
        if batcher is not None:
            batcher.finish()
            failures.update(batcher.failures)


def embed_captions(jobs: Iterable[EmbeddingJob], cache: EmbeddingCache) -> dict[str, str]:
    """Embed captions that are not in the cache, one by one, so that each failure belongs to its clip.

    Returns
    -------
    dict
        Key to reason, for captions that have no embedding.
    """
    failures: dict[str, str] = {}
    for job in jobs:
        if job.key not in failures and not cache.holds(job.key, job.shape):
            try:
                embedding = job.extractor.embed_batch(job.extractor.load(job.source))
            except (MetricError, ManifestError) as error:
                failures[job.key] = str(error)
            else:
                cache.store(job.key, embedding)
    return failures


def read_embeddings(jobs: Iterable[EmbeddingJob], cache: EmbeddingCache) -> Iterator[Float32Array]:
    """Yield embeddings from the cache, in the order of the jobs.

    An entry that vanished, or turns out to be damaged, is computed once more; it comes out the same to the last bit.

    Raises
    ------
    T2AVBenchError
        If that cannot be done.
    """
    for job in jobs:
        found = cache.load(job.key, job.shape)
        if found is None:
            found = _again(job, cache)
        yield halved(found) if job.half else found


def _again(job: EmbeddingJob, cache: EmbeddingCache) -> Float32Array:
    """Compute an entry that should have been there."""
    gone = f"{cache.folder}: the entry of {job.source.path} ({job.extractor.name}) vanished or broke during the run"
    if job.stored:
        raise T2AVBenchError(f"{gone}; is another program clearing this folder? Run the same command again.")
    try:
        with unchanged(job.source.path, job.source.state):
            inputs = _checked(job.extractor, job.source)
        found = job.extractor.embed_batch(inputs)
    except T2AVBenchError as error:
        raise T2AVBenchError(
            f"{gone}, and cannot be computed again: {error}. Is another program clearing this folder?"
        ) from error
    cache.store(job.key, found)
    return found


def halved(rows: Float32Array) -> Float32Array:
    """Round to what float16 can hold; numbers beyond its range stay as they are."""
    with np.errstate(over="ignore"):
        rounded = rows.astype(np.float16).astype(np.float32)
    return np.where(np.isfinite(rounded), rounded, rows)
