"""Caches that processes do not share, as where each machine has a disk of its own: telling, and exchanging embeddings.

Arrays travel a bounded amount at a time, and arrive with the same bits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

from t2av_bench.cache import EmbeddingCache
from t2av_bench.distributed.station import Order, Station, order_of
from t2av_bench.distributed.team import Processes
from t2av_bench.extraction.embedding import Float32Array
from t2av_bench.extraction.jobs import EmbeddingJob
from t2av_bench.files import replacing

# What all processes together may send the first one, or it may send them, at once.
GATHERED_BYTES = 64 << 20


class _SeenError(Exception):
    """Keeps a mark from taking the place of a file."""


def own_caches(station: Station, processes: Processes) -> list[bool]:
    """Tell of each process whether its cache is another than the first one's: then it does not see a mark there."""
    strange = [False] + [True] * (processes.n - 1)
    folder = station.cache.folder
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    with suppress(_SeenError), replacing(folder / "mark") as mark:
        with suppress(OSError):  # which storing embeddings will explain
            mark.touch()
        strange = [not seen for seen in processes.each(_sees, station, [mark.name] * processes.n)]
        raise _SeenError
    return [False, *strange[1:]]


def _sees(station: Station, name: str) -> bool:
    return (station.cache.folder / name).exists()


def held_by(station: Station, orders: Sequence[Order]) -> list[int]:
    """Return the places of those jobs whose embeddings a process has; to be called in each."""
    jobs = [station.job(*order) for order in orders]
    return [place for place, job in enumerate(jobs) if station.cache.holds(job.key, job.shape)]


def _entries(station: Station, orders: Sequence[Order]) -> list[Float32Array | None]:
    return [station.cache.load(job.key, job.shape) for job in (station.job(*order) for order in orders)]


def gather(
    shares: Sequence[Sequence[EmbeddingJob]], failures: Mapping[str, str], station: Station, processes: Processes
) -> None:
    """Have the other processes send what the first one cannot read of their shares, and store it."""
    lacking = [_unreadable(share, failures, station.cache) for share in shares]
    for asked in _together(lacking):
        orders = [[], *([order_of(job) for job in part] for part in asked)]
        sent = processes.each(_entries, station, orders)[1:]
        for part, arrays in zip(asked, sent, strict=True):
            for job, array in zip(part, arrays, strict=True):
                if array is not None:  # else it broke meanwhile, which reading it for the scores will say
                    station.cache.store(job.key, array)


def spread(jobs: Sequence[EmbeddingJob], station: Station, processes: Processes) -> None:
    """Put what the first process's cache holds of some jobs into the caches of all others."""
    orders = [order_of(job) for job in jobs]
    strange = own_caches(station, processes)
    held = processes.each(held_by, station, [orders if own else [] for own in strange])
    lacking = [_others(jobs, places) if own else iter(()) for own, places in zip(strange, held, strict=True)]
    for wanted in _together(lacking[1:]):
        arrays = [[(job.key, station.cache.load(job.key, job.shape)) for job in part] for part in wanted]
        processes.each(_store, station, [[], *arrays])


def _unreadable(
    jobs: Sequence[EmbeddingJob], failures: Mapping[str, str], cache: EmbeddingCache
) -> Iterator[EmbeddingJob]:
    return (job for job in jobs if job.key not in failures and not cache.holds(job.key, job.shape))


def _store(station: Station, entries: Sequence[tuple[str, Float32Array | None]]) -> None:
    for key, array in entries:
        if array is not None:
            station.cache.store(key, array)


def _others(jobs: Sequence[EmbeddingJob], places: Sequence[int]) -> Iterator[EmbeddingJob]:
    known = set(places)
    return (job for place, job in enumerate(jobs) if place not in known)


def _together(jobs: Sequence[Iterator[EmbeddingJob]]) -> Iterator[list[list[EmbeddingJob]]]:
    """Yield what is to be sent at once, for each of the other processes."""
    parts = [_parts(each, GATHERED_BYTES // max(1, len(jobs))) for each in jobs]
    while any(part := [next(each, []) for each in parts]):
        yield part


def _parts(jobs: Iterator[EmbeddingJob], at_most_bytes: int) -> Iterator[list[EmbeddingJob]]:
    """Yield jobs together whose embeddings are of that size at most, or one."""
    part: list[EmbeddingJob] = []
    size = 0
    for job in jobs:
        job_bytes = 4 * job.shape[0] * job.shape[1]
        if part and size + job_bytes > at_most_bytes:
            yield part
            part, size = [], 0
        part.append(job)
        size += job_bytes
    if part:
        yield part
