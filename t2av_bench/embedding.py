"""The extraction engine: loader workers decode, the device runs the network, the cache keeps every clip's embeddings.

Windows of different clips share a batch. Every clip is written to the cache as soon as its last window is embedded, so
a killed run goes on where it stopped, and memory does not grow with the number of clips: afterwards the statistics read
the clips back from the cache one by one, in the manifest's order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from t2av_bench.cache import EmbeddingCache, unchanged
from t2av_bench.errors import ManifestError, MediaError, MetricError, T2AVBenchError
from t2av_bench.models.extractors import ClipSource, Extractor
from t2av_bench.progress import progress_bar
from t2av_bench.workers import JobFailure, run_jobs

Float32Array = npt.NDArray[np.float32]


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


class _Batcher:
    """Fills batches with rows of different clips and hands finished clips to the cache."""

    def __init__(self, extractor: Extractor, batch_size: int, cache: EmbeddingCache) -> None:
        self._extractor, self._batch_size, self._cache = extractor, batch_size, cache
        self._rows: list[npt.NDArray[Any]] = []  # inputs waiting for the network
        self._waiting: list[tuple[str, int]] = []  # clips in order of their rows: key, rows
        self._done: list[Float32Array] = []  # embeddings of the clips in front of _waiting
        # Set while rows and clips may not match: an interruption there must not give a clip another one's embeddings.
        self._torn = False

    def add(self, job: EmbeddingJob, inputs: npt.NDArray[Any]) -> None:
        """Take one clip's rows; run the network when a batch is full."""
        if self._rows and self._rows[0].shape != inputs.shape[1:]:
            self.flush()  # clips of another duration give rows of another shape
        self._torn = True
        self._rows.extend(inputs)
        self._waiting.append((job.key, len(inputs)))
        self._torn = False
        while len(self._rows) >= self._batch_size:
            self._run(self._batch_size)

    def flush(self) -> None:
        """Run the network on what is left; after an interruption in the middle of a batch, on nothing more."""
        if self._rows and not self._torn:
            self._run(len(self._rows))

    def finish(self) -> None:
        """Run the network on what is left and let go of it, to make room for the next one."""
        self.flush()
        self._extractor.release()

    def _run(self, count: int) -> None:
        self._torn = True
        batch, self._rows = np.stack(self._rows[:count]), self._rows[count:]
        self._done.append(self._extractor.embed_batch(batch))
        available = np.concatenate(self._done)
        while self._waiting and self._waiting[0][1] <= len(available):
            key, rows = self._waiting.pop(0)
            self._cache.store(key, np.ascontiguousarray(available[:rows], dtype=np.float32))
            available = available[rows:]
        self._done = [available]
        self._torn = False


def embed_missing(
    jobs: Sequence[EmbeddingJob], cache: EmbeddingCache, *, batch_size: int, num_workers: int, progress: bool
) -> dict[str, str]:
    """Embed every job whose embeddings are not in the cache.

    Returns
    -------
    dict
        Key to reason, for the jobs whose media could not be read.

    Raises
    ------
    CacheError
        Before any work if the cache cannot be written, or as soon as that happens; what is in it stays.
    """
    # One extractor after the other, so that no more than one network is in memory, and each clip once.
    by_extractor: dict[str, list[EmbeddingJob]] = {}
    for job in {job.key: job for job in jobs}.values():
        if cache.load(job.key, job.shape) is None:
            by_extractor.setdefault(job.extractor.fingerprint, []).append(job)
    missing = [job for group in by_extractor.values() for job in group]
    if not missing:
        return {}
    cache.check_writable()
    failures: dict[str, str] = {}
    left = {fingerprint: len(group) for fingerprint, group in by_extractor.items()}
    batchers: dict[str, _Batcher] = {}
    loaded = run_jobs(_load, missing, num_workers=num_workers)
    with (
        progress_bar(len(missing), "embedding", "clip", progress) as bar,
        closing(loaded),
        ThreadPoolExecutor(max_workers=1) as beside,
    ):
        # The first network is built while the workers start and decode their first clips.
        warm = beside.submit(missing[0].extractor.warm_up)
        try:
            for index, inputs in loaded:
                bar.update()
                job = missing[index]
                fingerprint = job.extractor.fingerprint
                if isinstance(inputs, JobFailure):
                    failures[job.key] = inputs.reason
                else:
                    warm.result()
                    if fingerprint not in batchers:
                        batchers[fingerprint] = _Batcher(job.extractor, batch_size, cache)
                        bar.set_description(f"embedding {job.extractor.name}")
                    batchers[fingerprint].add(job, inputs)
                left[fingerprint] -= 1
                if left[fingerprint] == 0 and fingerprint in batchers:
                    batchers.pop(fingerprint).finish()
        finally:
            # Also after an error or Ctrl-C: what the workers have read is kept.
            for batcher in batchers.values():
                batcher.finish()
    return failures


def embed_captions(jobs: Sequence[EmbeddingJob], cache: EmbeddingCache) -> dict[str, str]:
    """Embed captions that are not in the cache, one by one, so that each failure belongs to its clip.

    Returns
    -------
    dict
        Key to reason, for captions that have no embedding.
    """
    failures: dict[str, str] = {}
    for job in {job.key: job for job in jobs}.values():
        if cache.load(job.key, job.shape) is None:
            try:
                embedding = job.extractor.embed_batch(job.extractor.load(job.source))
            except (MetricError, ManifestError) as error:
                failures[job.key] = str(error)
            else:
                cache.store(job.key, embedding)
    return failures


def _load(job: EmbeddingJob) -> npt.NDArray[Any]:
    """Run the CPU part in a worker, and hold it to its promise."""
    with unchanged(job.source.path, job.source.state):
        inputs = job.extractor.load(job.source)
    if len(inputs) != job.shape[0]:
        raise MediaError(
            job.source.path, f"gives {len(inputs)} windows where the clip's duration asks for {job.shape[0]}"
        )
    return inputs


def read_embeddings(jobs: Iterable[EmbeddingJob], cache: EmbeddingCache) -> Iterator[Float32Array]:
    """Yield embeddings from the cache, in the order of the jobs.

    Raises
    ------
    T2AVBenchError
        If an entry vanished or broke since it was written.
    """
    for job in jobs:
        found = cache.load(job.key, job.shape)
        if found is None:
            raise T2AVBenchError(
                f"{cache.folder}: the entry of {job.source.path} ({job.extractor.name}) vanished or broke during the"
                " run; is another program clearing this folder? Run the same command again."
            )
        yield halved(found) if job.half else found


def halved(rows: Float32Array) -> Float32Array:
    """Round to what float16 can hold; numbers beyond its range stay as they are."""
    with np.errstate(over="ignore"):
        rounded = rows.astype(np.float16).astype(np.float32)
    return np.where(np.isfinite(rounded), rounded, rows)
