"""Which process checks and embeds which files: by work, so that all are done at about the same time.

::

    jobs ─► what is missing ─► who has it already ─► shares by estimated time ─► embedded everywhere ─► gathered

With a single process this is ``check_files`` and ``embed_missing`` of :mod:`t2av_bench.extraction`.

The cache may be one folder that all processes share, or a folder of its own on each machine. Nothing needs to know
which: what the first process cannot read afterwards, the others send it, a bounded amount at a time.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from t2av_bench.cache import entry_key, file_sha256, file_state
from t2av_bench.distributed.own_caches import gather, held_by, own_caches, spread
from t2av_bench.distributed.station import Order, Station, default_workers, order_of
from t2av_bench.distributed.team import Processes
from t2av_bench.errors import MediaError
from t2av_bench.extraction.checking import CheckReport, FileNeed, check_files, is_known, united
from t2av_bench.extraction.embedding import embed_missing
from t2av_bench.extraction.jobs import EmbeddingJob, missing_jobs
from t2av_bench.models.extractors.network import import_torch

__all__ = [
    "Station",
    "check_everywhere",
    "default_workers",
    "embed_everywhere",
    "embedding_s",
    "embedding_shares",
    "share_out",
    "spread",
]


# Seconds of one core that an embedding takes per second of media, rounded from `benchmarks/processes.py --costs`. Only
# their ratios matter, and only where the files of a run differ in what is missing.
_NETWORKS = {"vggish": 0.1, "panns": 0.1, "panns-logits": 0.1, "c3d": 0.7, "i3d": 1.1}
_OTHER_NETWORKS = 0.3
# Pictures of usual size take longer to decode than those of the mini world.
_DESCRIPTORS = {"audio": 0.005, "video": 0.03}
_CAPTION_S = 0.001


def share_out(costs: Sequence[float], n: int) -> list[list[int]]:
    """Divide pieces of work among ``n``: the largest first, each to whoever has least so far.

    Returns
    -------
    list of list of int
        The places of each one's pieces, in order; empty for whoever gets none. No sum of costs exceeds the least
        possible maximum by more than a third (Graham 1969).

    Examples
    --------
    >>> share_out([3.0, 1.0, 1.0, 1.0], 2)
    [[0], [1, 2, 3]]
    """
    loads = [(0.0, number) for number in range(n)]
    shares: list[list[int]] = [[] for _ in range(n)]
    for place in sorted(range(len(costs)), key=lambda place: -costs[place]):
        load, number = loads[0]
        shares[number].append(place)
        heapq.heapreplace(loads, (load + costs[place], number))
    return [sorted(share) for share in shares]


def check_everywhere(needs: Iterable[FileNeed], station: Station, processes: Processes) -> CheckReport:
    """Check all files as ``check_files`` does, in every process a share of the unknown."""
    if processes.n == 1:
        return _check(station, needs)
    needs = list(needs)
    costs = [0.0 if is_known(need, station.cache) else _checking_s(need) for need in needs]
    shares = share_out(costs, processes.n)
    reports = processes.each(_check, station, [[needs[place] for place in share] for share in shares])
    return united(reports, needs)


def embed_everywhere(jobs: Iterable[EmbeddingJob], station: Station, processes: Processes) -> dict[str, str]:
    """Embed what is not in the cache as ``embed_missing`` does, in every process a share.

    Afterwards the first process's cache holds everything.

    Returns
    -------
    dict
        Key to reason, for the jobs whose media could not be read by the process that had them.
    """
    if processes.n == 1:
        return _embed(station, jobs)
    missing = missing_jobs(jobs, station.cache)
    if not missing:
        return {}
    orders = [order_of(job) for job in missing]
    strange = own_caches(station, processes)
    held = processes.each(held_by, station, [orders if own else [] for own in strange])
    shares = embedding_shares(missing, held)
    found = processes.each(_embed_orders, station, [[orders[place] for place in share] for share in shares])
    failures = {key: reason for part in found for key, reason in part.items()}
    gather([[missing[place] for place in share] for share in shares[1:]], failures, station, processes)
    return failures


def embedding_shares(jobs: Sequence[EmbeddingJob], held: Sequence[Sequence[int]]) -> list[list[int]]:
    """Divide jobs by estimated time: those of one file stay together, as it is decoded once.

    Parameters
    ----------
    jobs
        Of different keys.
    held
        For each process, the places of those that are in its cache already: they are its own, at no cost.

    Returns
    -------
    list of list of int
        The places of each process's jobs, in order.
    """
    holders = {place: number for number, places in reversed(list(enumerate(held))) for place in places}
    files: dict[tuple[Path, str], list[int]] = {}
    for place, job in enumerate(jobs):
        if place not in holders:
            # Captions have no file.
            files.setdefault((job.source.path, job.key if job.extractor.modality == "text" else ""), []).append(place)
    pieces = list(files.values())
    shares = share_out([sum(embedding_s(jobs[place]) for place in piece) for piece in pieces], len(held))
    divided = [[place for piece in share for place in pieces[piece]] for share in shares]
    for place, number in holders.items():
        divided[number].append(place)
    return [sorted(share) for share in divided]


def embedding_s(job: EmbeddingJob) -> float:
    """Estimate the time a job takes, in seconds of one core; right to its order of magnitude at best."""
    extractor = job.extractor
    if extractor.modality == "text":
        return _CAPTION_S
    default = _OTHER_NETWORKS if extractor.has_network else _DESCRIPTORS[extractor.modality]
    return _NETWORKS.get(extractor.name, default) * job.source.duration_s


# Reading and hashing a file, and decoding its sound.
_BYTES_PER_S, _AUDIO_S_PER_S = 500e6, 100.0


def _checking_s(need: FileNeed) -> float:
    try:
        size_bytes = need.path.stat().st_size
    except OSError:
        return 0.0
    return size_bytes / _BYTES_PER_S + need.duration_s / _AUDIO_S_PER_S


def _check(station: Station, needs: Iterable[FileNeed]) -> CheckReport:
    return check_files(
        needs,
        station.cache,
        num_workers=station.num_workers,
        progress=station.progress,
        meanwhile=partial(import_torch, station.extractors),
    )


def _embed(station: Station, jobs: Iterable[EmbeddingJob]) -> dict[str, str]:
    return embed_missing(
        jobs,
        station.cache,
        batch_size=station.batch_size,
        num_workers=station.num_workers,
        progress=station.progress,
    )


def _as_here(job: EmbeddingJob) -> EmbeddingJob:
    """Return a job with the file's state as this machine sees it: a copy has times of its own, and may differ."""
    source = job.source
    try:
        if not source.state or (state := file_state(source.path)) == source.state:
            return job
        content = file_sha256(source.path)
    except (MediaError, OSError):
        return job  # which reading it will explain
    is_same = entry_key(content, source.start_s, source.duration_s, job.extractor.fingerprint) == job.key
    return replace(job, source=replace(source, state=state)) if is_same else job


def _embed_orders(station: Station, orders: Sequence[Order]) -> dict[str, str]:
    return _embed(station, [_as_here(station.job(*order)) for order in orders])
