"""Building a reference pack: a manifest's media are checked, embedded into the cache, and written one clip at a time.

A killed build goes on from the cache. Memory does not grow with the number of clips.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from t2av_bench._version import __version__
from t2av_bench.cache import EmbeddingCache, text_sha256
from t2av_bench.distributed import ALONE, Processes, same_outcome
from t2av_bench.distributed.shares import Station, check_everywhere, embed_everywhere
from t2av_bench.errors import SKIP_ADVICE, Problem, ProblemsError, UsageError
from t2av_bench.evaluation import OnError
from t2av_bench.extraction.checking import CheckReport
from t2av_bench.extraction.choice import DEFAULT_MANIFEST, make_extractors, protocol_for
from t2av_bench.extraction.embedding import read_embeddings
from t2av_bench.extraction.jobs import EmbeddingJob
from t2av_bench.home import home
from t2av_bench.manifests import Clip, Manifest, event_times, load_manifest
from t2av_bench.models.extractors import Extractor
from t2av_bench.models.extractors.arithmetic import FULL
from t2av_bench.naming import media_folder
from t2av_bench.packs.layout import CODES, COLUMNS, SCHEMA_VERSION, Content, StoredTensor, whole, write_pack
from t2av_bench.packs.reading import ReferencePack
from t2av_bench.packs.survey import choose_dtype, survey
from t2av_bench.planning import MediaReferences, caption_problems, too_short_clips
from t2av_bench.progress import progress_bar
from t2av_bench.protocol import OURS, Protocol
from t2av_bench.results.records import extractor_record, manifest_record

Dtype = Literal["float16", "float32"]
LICENCE = (
    "Numbers computed from media and captions that belong to others, with weights under licences of their own: what the"
    " manifest's licence and theirs say about such numbers binds whoever passes this file on. It holds no media."
)


class BuiltPack(NamedTuple):
    """What :func:`build_pack` wrote: the file, the SHA-256 that identifies it, and what it says of itself."""

    path: Path
    sha256: str
    record: dict[str, Any]


@same_outcome
def build_pack(
    path: str | Path,
    manifest: str | Path | Manifest = DEFAULT_MANIFEST,
    data_dir: str | Path | None = None,
    *,
    dtype: Dtype = "float16",
    features: str | None = None,
    metrics: Sequence[str] | None = None,
    protocol: str = OURS,
    weights: str = "published",
    device: str = "auto",
    precision: str = FULL,
    compile: bool = False,
    batch_size: int = 32,
    num_workers: int | None = None,
    cache_dir: str | Path | None = None,
    on_error: OnError = "fail",
    seed: int = 0,
    progress: bool = True,
    processes: Processes = ALONE,
) -> BuiltPack:
    """Write the reference embeddings of a manifest into one file.

    Parameters
    ----------
    path
        The file to write; it appears when it is complete.
    manifest, data_dir
        The clips and the folder of their media, as in :func:`t2av_bench.evaluate`.
    dtype
        ``float16`` halves the file; parts that it would damage are stored in float32, and the pack says which and why.
    features, metrics, protocol, weights, precision, compile, seed
        As in :func:`t2av_bench.evaluate`, which must be given the same: the pack holds every feature that these scores
        need.
    device, batch_size, num_workers, cache_dir, progress, processes
        As there.
    on_error
        ``fail`` if a clip cannot be embedded; ``skip`` leaves such clips out of the pack.

    Returns
    -------
    BuiltPack
        Path, SHA-256 and record; the same in every process.

    Raises
    ------
    UsageError
        If an option names something that does not exist.
    ProblemsError
        If clips cannot be embedded; holds all of them.
    PackError
        If the file cannot be written.
    """
    if dtype not in get_args(Dtype):
        raise UsageError(f"dtype must be 'float16' or 'float32'; got {dtype!r}")
    benchmark = manifest if isinstance(manifest, Manifest) else load_manifest(manifest)
    folder = media_folder(benchmark, data_dir)
    events = event_times(benchmark)
    choices = protocol_for(
        benchmark,
        name=protocol,
        features=features,
        metrics=metrics,
        weights=weights,
        seed=seed,
        has_events=events is not None,
    )
    cache = EmbeddingCache(cache_dir or home() / "embeddings")
    made = make_extractors(choices, processes.device(device), precision=precision, compile=compile)
    extractors = {extractor.name: extractor for extractor in made.values()}
    station = Station.of(
        processes, cache, extractors.values(), batch_size=batch_size, num_workers=num_workers, progress=progress
    )
    if not processes.leads:
        served: BuiltPack = processes.serve(station)
        return served

    clips = list(benchmark.clips())
    references = MediaReferences(clips, folder)
    problems = [*too_short_clips(clips, extractors), *references.problems, *caption_problems(clips, extractors, cache)]
    needs = [need for clip in clips if clip.clip_id in references for need in references.needs(clip, extractors)]
    checked = check_everywhere(needs, station, processes)
    problems += checked.problems
    packed = _settle(clips, problems, on_error)

    jobs = {clip.clip_id: references.jobs(clip, checked, extractors) for clip in packed}
    wanted = sorted((job for clip in jobs.values() for job in clip.values()), key=lambda job: job.extractor.name)
    failures = embed_everywhere(wanted, station, processes)
    if failures:
        problems += [
            Problem(clip_id, "unreadable", str(job.source.path), failures[job.key])
            for clip_id, of_clip in jobs.items()
            for job in of_clip.values()
            if job.key in failures
        ]
        packed = _settle(clips, problems, on_error)

    order = [jobs[clip.clip_id] for clip in packed]
    contents, stored = _embeddings(order, extractors, cache, dtype, station.progress)
    if events is not None:
        contents += _events([events[clip.clip_id] for clip in packed])
    contents.append(whole("clips", "U8", _table(packed, references, checked)))
    record = _record(benchmark, choices, stored, len(packed), dtype)
    write_pack(Path(path), record, sorted(contents, key=lambda content: _ORDER.index(content.tensor.code)))
    return BuiltPack(Path(path), ReferencePack.open(path).sha256, record)


# Wide numbers first, so that each begins at a multiple of its size.
_ORDER = ("I64", "F64", "F32", "F16", "U8")


def _settle(clips: Sequence[Clip], problems: Sequence[Problem], on_error: str) -> list[Clip]:
    faulty = {problem.clip_id for problem in problems}
    good = [clip for clip in clips if clip.clip_id not in faulty]
    if faulty and (on_error == "fail" or not good):
        raise ProblemsError(f"{len(faulty)} of {len(clips)} clips cannot be embedded", problems, SKIP_ADVICE)
    return good


def _embeddings(
    clips: Sequence[Mapping[str, EmbeddingJob]],
    extractors: Mapping[str, Extractor],
    cache: EmbeddingCache,
    dtype: Dtype,
    progress: bool,
) -> tuple[list[Content], dict[str, Any]]:
    """Return offsets and rows of every extractor, the rows to be read as they are written, and their records."""
    contents, stored = [], {}
    for name, extractor in extractors.items():
        jobs = [clip[name] for clip in clips]
        with progress_bar(len(jobs), f"looking at {name}", "clip", progress) as bar:
            found = survey(_counted(read_embeddings(jobs, cache), bar))
        chosen, because = choose_dtype(dtype, extractor.dim, found)
        offsets = np.concatenate([[0], np.cumsum([job.shape[0] for job in jobs])])
        tensor = StoredTensor(f"embeddings/{name}", CODES[chosen], (int(offsets[-1]), extractor.dim))
        contents += [whole(f"offsets/{name}", "I64", offsets), Content(tensor, read_embeddings(jobs, cache))]
        facts = extractor_record(extractor)
        del facts["name"]
        rounding = found.rounding if chosen == "float16" else 0.0
        stored[name] = facts | {"dtype": chosen, "because": because, "rounding": rounding, "largest": found.largest}
    return contents, stored


def _counted(rows: Iterator[Any], bar: Any) -> Iterator[Any]:
    for found in rows:
        yield found
        bar.update()


def _events(times_s: Sequence[Any]) -> list[Content]:
    offsets = np.concatenate([[0], np.cumsum([len(found) for found in times_s])])
    return [whole("events/offsets", "I64", offsets), whole("events/times_s", "F64", np.concatenate(times_s))]


def _table(clips: Sequence[Clip], references: MediaReferences, checked: CheckReport) -> npt.NDArray[np.uint8]:
    """Return the table of clips as the bytes of a CSV."""
    padded, silent = set(checked.padded), set(checked.silent)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for clip in clips:
        hashes = checked.files[str(references.media[clip.clip_id])].sha256, text_sha256(clip.caption)
        flags = int(clip.clip_id in padded), int(clip.clip_id in silent)
        writer.writerow([clip.clip_id, f"{clip.start_s:.6f}", f"{clip.duration_s:.6f}", *hashes, *flags])
    return np.frombuffer(text.getvalue().encode(), np.uint8)


def _record(
    benchmark: Manifest, choices: Protocol, stored: dict[str, Any], clips_n: int, dtype: Dtype
) -> dict[str, Any]:
    protocol = choices.to_json()
    del protocol["pooling"]  # decides nothing before the statistics
    return {
        "schema_version": SCHEMA_VERSION,
        "tool_version": __version__,
        "manifest": manifest_record(benchmark),
        "protocol": protocol,
        "extractors": stored,
        "clips": clips_n,
        "dtype": dtype,
        "licence": LICENCE,
    }
