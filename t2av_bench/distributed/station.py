"""What a process works with when several share a run, and how it is told what to do."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from t2av_bench.cache import EmbeddingCache
from t2av_bench.distributed.team import Processes
from t2av_bench.errors import T2AVBenchError
from t2av_bench.extraction.jobs import EmbeddingJob
from t2av_bench.models.extractors import ClipSource, Extractor

# A job on its way to another process, which has the extractor itself.
Order = tuple[str, str, ClipSource]


def order_of(job: EmbeddingJob) -> Order:
    """Return what another process needs to know of a job."""
    return job.key, job.extractor.fingerprint, job.source


@dataclass(frozen=True)
class Station:
    """What a process brings to a run that several share.

    Attributes
    ----------
    cache
        Where it keeps embeddings.
    extractors
        Those of the run, on this process's device.
    batch_size, num_workers, progress
        Of :func:`~t2av_bench.extraction.embedding.embed_missing`.
    """

    cache: EmbeddingCache
    extractors: Sequence[Extractor]
    batch_size: int
    num_workers: int
    progress: bool

    @classmethod
    def of(
        cls,
        processes: Processes,
        cache: EmbeddingCache,
        extractors: Iterable[Extractor],
        *,
        batch_size: int,
        num_workers: int | None,
        progress: bool,
    ) -> Station:
        """Return what a process of several brings: by default its share of loaders, and bars if it is the first."""
        workers_n = default_workers(processes) if num_workers is None else num_workers
        return cls(cache, list(extractors), batch_size, workers_n, progress and processes.leads)

    def job(self, key: str, fingerprint: str, source: ClipSource) -> EmbeddingJob:
        """Return the job of another process as one of this.

        Raises
        ------
        T2AVBenchError
            If its extractor is not the same here.
        """
        if fingerprint not in self._by_fingerprint:
            raise T2AVBenchError("the processes have different weights, options or versions of the toolkit")
        return EmbeddingJob(key, self._by_fingerprint[fingerprint], source)

    @cached_property
    def _by_fingerprint(self) -> dict[str, Extractor]:
        return {extractor.fingerprint: extractor for extractor in self.extractors}


def default_workers(processes: Processes) -> int:
    """Return how many loader processes there are by default: one per core, at most 8, for all processes together."""
    return max(1, min(os.cpu_count() or 1, 8) // processes.local_n)
