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
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from t2av_bench.cache import EmbeddingCache, unchanged
from t2av_bench.errors import ManifestError, MediaError, MetricError, T2AVBenchError
from t2av_bench.extraction.batching import Batcher
from t2av_bench.extraction.jobs import ClipLoad, EmbeddingJob, Plan, side_by_side
from t2av_bench.models.extractors import ClipSource, Extractor
from t2av_bench.models.extractors.read_once import ReadOnceSource
from t2av_bench.progress import progress_bar
from t2av_bench.workers import JobFailure, failure_of, run_jobs

Float32Array = npt.NDArray[np.float32]
Inputs = npt.NDArray[Any]

EARLY_BYTES = 64 << 20
"""How much may be loaded for a network that is still being built."""


def embed_missing(
    jobs: Iterable[EmbeddingJob], cache: EmbeddingCache, *, batch_size: int, num_workers: int, progress: bool
) -> dict[str, str]:
    """Embed every job whose embeddings are not in the cache.

    Parameters
    ----------
    jobs
        A sequence or an iterator; or an object that makes them again and again, those of one clip's file side by side,
        so that none is held.
    cache
        Gets the embeddings.
    batch_size, num_workers, progress
        As in :func:`t2av_bench.evaluate`.

    Returns
    -------
    dict
        Key to reason, for the jobs whose media could not be read, or whose inputs do not fit into the memory.

    Raises
    ------
    CacheError
        Before any work if the cache cannot be written, or as soon as that happens; what is in it stays.
    """
    plan = Plan(side_by_side(jobs) if isinstance(jobs, (Sequence, Iterator)) else jobs, cache)
    if not plan.clips_n:
        return {}
    cache.check_writable()
    loaded = _loaded(plan, num_workers)
    failures: dict[str, str] = {}
    with (
        progress_bar(plan.clips_n, "embedding", "clip", progress) as bar,
        closing(loaded),
        ThreadPoolExecutor(max_workers=1) as beside,
    ):
        # The networks are built while the workers start and decode their first clips.
        lines = [
            _Line(served, clips_n, batch_size, cache, beside)
            for served, clips_n in zip(plan.passes, plan.clips_of_passes, strict=True)
        ]
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


def _loaded(
    plan: Plan, num_workers: int
) -> Generator[tuple[ClipLoad, JobFailure | dict[int, Inputs | JobFailure]], None, None]:
    """Yield every clip with the inputs of each pass, or why there are none; captions first, which need no decoder."""
    load = partial(_load_clip, [served[0] for served in plan.passes])
    for clip in plan.clips():
        if plan.is_caption(clip):
            yield clip, load(_order(clip))
    under_way: dict[int, ClipLoad] = {}

    def orders() -> Iterator[tuple[ClipSource, list[int]]]:
        media = (clip for clip in plan.clips() if not plan.is_caption(clip))
        for index, clip in enumerate(media):
            under_way[index] = clip
            yield _order(clip)

    with closing(run_jobs(load, orders(), num_workers=num_workers)) as found:
        for index, outcome in found:
            yield under_way.pop(index), outcome


def _order(clip: ClipLoad) -> tuple[ClipSource, list[int]]:
    return clip.source, list(clip.keys)


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
        self,
        extractors: Sequence[Extractor],
        clips_n: int,
        batch_size: int,
        cache: EmbeddingCache,
        beside: ThreadPoolExecutor,
    ) -> None:
        self._left_n = clips_n
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
        self._left_n -= 1
        if self._left_n == 0:
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
