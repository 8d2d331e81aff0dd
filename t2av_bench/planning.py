"""What of each clip is read, checked and embedded, before anything is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from t2av_bench.cache import EmbeddingCache, entry_key, text_sha256
from t2av_bench.checking import CheckReport, FileNeed
from t2av_bench.embedding import EmbeddingJob, embed_captions
from t2av_bench.errors import Problem
from t2av_bench.manifests import Clip
from t2av_bench.models.extractors import ClipSource, Extractor, TextExtractor
from t2av_bench.predictions import Matching
from t2av_bench.scoring import ClipJobs

_SHORTEST_S = {"window": 0.975, "segment": 0.64}


def too_short_clips(clips: Sequence[Clip], extractors: dict[str, Extractor]) -> list[Problem]:
    """List clips whose nominal duration holds no window, or no segment, of some extractor."""
    return [
        Problem(
            clip.clip_id, "too_short", "", f"the manifest says {clip.duration_s:g} s; a {unit} needs {shortest_s} s"
        )
        for clip in clips
        for unit, shortest_s in _SHORTEST_S.items()
        if any(extractor.unit == unit and extractor.rows_n(clip.duration_s) == 0 for extractor in extractors.values())
    ]


def file_needs(
    clips: Sequence[Clip], media: dict[str, Path], matching: Matching, extractors: dict[str, Extractor]
) -> list[FileNeed]:
    """List what must be read: the reference's range of its file, and the whole of each prediction."""
    video = any(extractor.modality == "video" for extractor in extractors.values())
    needs = []
    for clip in clips:
        if clip.clip_id in media and clip.clip_id in matching.files:
            where = (clip.clip_id, media[clip.clip_id], clip.start_s, clip.duration_s)
            needs.append(FileNeed(*where, audio=True, video=video, may_be_silent=True))
            where = (clip.clip_id, matching.files[clip.clip_id], 0.0, clip.duration_s)
            needs.append(FileNeed(*where, audio=True, video=False, may_be_silent=False))
    return needs


def caption_problems(clips: Sequence[Clip], extractors: dict[str, Extractor], cache: EmbeddingCache) -> list[Problem]:
    """Embed all captions where one may lack a known word, so that it is found before anything costly."""
    problems = []
    for extractor in extractors.values():
        if isinstance(extractor, TextExtractor) and not extractor.takes_any_caption:
            jobs = {clip.clip_id: _caption_job(clip, extractor) for clip in clips}
            failures = embed_captions(list(jobs.values()), cache)
            problems += [
                Problem(clip_id, "caption", "", failures[job.key])
                for clip_id, job in jobs.items()
                if job.key in failures
            ]
    return problems


def _caption_job(clip: Clip, extractor: Extractor) -> EmbeddingJob:
    # A caption has no range; its embedding serves every clip with the same words.
    key = entry_key(text_sha256(clip.caption), 0.0, 0.0, extractor.fingerprint)
    return EmbeddingJob(key, extractor, ClipSource(Path(), 0.0, 0.0, clip.caption))


def clip_jobs(
    clip: Clip,
    media: dict[str, Path],
    matching: Matching,
    checked: CheckReport,
    extractors: dict[str, Extractor],
    captions: Mapping[str, str],
) -> ClipJobs:
    """Say what is embedded of a clip, and under which key it lies in the cache.

    ``captions`` are those, by clip id, that stand on the generated side in place of the clip's own.
    """

    def job(extractor: Extractor, path: Path, start_s: float) -> EmbeddingJob:
        if extractor.modality == "text":
            return _caption_job(clip, extractor)
        key = entry_key(checked.contents[path], start_s, clip.duration_s, extractor.fingerprint)
        return EmbeddingJob(key, extractor, ClipSource(path, start_s, clip.duration_s))

    reference, generated = media[clip.clip_id], matching.files[clip.clip_id]
    side = {
        part: job(extractor, generated, 0.0) for part, extractor in extractors.items() if extractor.modality == "audio"
    }
    if clip.clip_id in captions:
        given = clip._replace(caption=captions[clip.clip_id])
        side |= {
            part: _caption_job(given, extractor)
            for part, extractor in extractors.items()
            if extractor.modality == "text"
        }
    return ClipJobs(
        clip.clip_id, {part: job(extractor, reference, clip.start_s) for part, extractor in extractors.items()}, side
    )


def all_jobs(clips: Sequence[ClipJobs]) -> list[EmbeddingJob]:
    """List the jobs clip by clip: what is of one file stands together, and all networks have work from the start."""
    return [job for clip in clips for side in (clip.reference, clip.generated) for job in side.values()]


def extraction_problems(clips: Sequence[ClipJobs], failures: dict[str, str]) -> list[Problem]:
    """Turn failures of the extraction, by cache key, into problems of their clips."""
    return [
        Problem(clip.clip_id, "unreadable", str(job.source.path), failures[job.key])
        for clip in clips
        for job in [*clip.reference.values(), *clip.generated.values()]
        if job.key in failures
    ]
