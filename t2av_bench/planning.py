"""What of each clip is read, checked and embedded, before anything is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from t2av_bench.cache import EmbeddingCache, entry_key, text_sha256
from t2av_bench.errors import Problem
from t2av_bench.extraction.checking import CheckReport, FileNeed
from t2av_bench.extraction.embedding import embed_captions
from t2av_bench.extraction.jobs import EmbeddingJob, side_by_side
from t2av_bench.manifests import Clip
from t2av_bench.models.extractors import ClipSource, Extractor, TextExtractor
from t2av_bench.naming import locate_media
from t2av_bench.on_demand import OnDemand
from t2av_bench.predictions import Matching
from t2av_bench.scoring.distances import ClipJobs

_NO_FILE = Path()
_SHORTEST_S = {"window": 0.975, "segment": 0.64}


class References(Protocol):
    """Where the reference side of an evaluation comes from: media, or a reference pack."""

    @property
    def problems(self) -> Sequence[Problem]:
        """One for each clip that has no reference."""

    def __contains__(self, clip_id: str) -> bool:
        """Whether the clip has a reference."""

    def needs(self, clip: Clip, extractors: Mapping[str, Extractor]) -> list[FileNeed]:
        """List what must be read of a clip that has one."""

    def jobs(self, clip: Clip, checked: CheckReport, extractors: Mapping[str, Extractor]) -> dict[str, EmbeddingJob]:
        """Say where a clip's embeddings are, by part."""

    def beside(self, job: EmbeddingJob) -> EmbeddingJob:
        """Return a job of the generated side as it is to be read beside the reference."""

    def uncaptioned(self, clips: Sequence[Clip]) -> Sequence[Clip]:
        """Return those among the clips whose captions must be embedded here."""

    def reported(self, checked: CheckReport, matching: Matching) -> CheckReport:
        """Return what checking the files found, with what was found in files that are not here."""


class MediaReferences:
    """References that are files in a folder.

    Attributes
    ----------
    media
        Clip id to file.
    problems
        One for each clip whose file is missing.

    Raises
    ------
    T2AVBenchError
        If the folder does not exist.
    """

    def __init__(self, clips: Sequence[Clip], data_dir: str | Path) -> None:
        self.media, self.problems = locate_media(clips, data_dir)

    def __contains__(self, clip_id: str) -> bool:
        return clip_id in self.media

    def needs(self, clip: Clip, extractors: Mapping[str, Extractor]) -> list[FileNeed]:
        """Ask for the clip's range of its file."""
        video = any(extractor.modality == "video" for extractor in extractors.values())
        where = (clip.clip_id, self.media[clip.clip_id], clip.start_s, clip.duration_s)
        return [FileNeed(*where, audio=True, video=video, may_be_silent=True)]

    def jobs(self, clip: Clip, checked: CheckReport, extractors: Mapping[str, Extractor]) -> dict[str, EmbeddingJob]:
        """Say under which key each part lies in the cache."""
        path = self.media[clip.clip_id]
        return _jobs(clip, extractors, path, clip.start_s, checked)

    def beside(self, job: EmbeddingJob) -> EmbeddingJob:
        """Return the job itself."""
        return job

    def uncaptioned(self, clips: Sequence[Clip]) -> Sequence[Clip]:
        """Return all clips."""
        return clips

    def reported(self, checked: CheckReport, matching: Matching) -> CheckReport:
        """Return the report itself: all files are here."""
        return checked


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


class FileNeeds(Iterable[FileNeed]):
    """What must be read: of the reference what it says, and the whole of each prediction.

    They are made whenever they are gone through: held, they would take 1 KB a clip.

    Parameters
    ----------
    clips
        Those of the manifest; of one without a reference or a prediction nothing is read.
    references, matching, extractors
        Say which files.
    """

    def __init__(
        self, clips: Sequence[Clip], references: References, matching: Matching, extractors: Mapping[str, Extractor]
    ) -> None:
        self._clips, self._references, self._matching, self._extractors = clips, references, matching, extractors

    def __iter__(self) -> Iterator[FileNeed]:
        for clip in self._clips:
            if clip.clip_id in self._references and clip.clip_id in self._matching.files:
                yield from self._references.needs(clip, self._extractors)
                where = (clip.clip_id, self._matching.files[clip.clip_id], 0.0, clip.duration_s)
                yield FileNeed(*where, audio=True, video=False, may_be_silent=False)


def caption_problems(clips: Sequence[Clip], extractors: dict[str, Extractor], cache: EmbeddingCache) -> list[Problem]:
    """Embed all captions where one may lack a known word, so that it is found before anything costly."""
    problems = []
    for extractor in extractors.values():
        if isinstance(extractor, TextExtractor) and not extractor.takes_any_caption:
            failures = embed_captions((_caption_job(clip, extractor) for clip in clips), cache)
            if failures:
                keys = ((clip.clip_id, _caption_job(clip, extractor).key) for clip in clips)
                problems += [Problem(clip_id, "caption", "", failures[key]) for clip_id, key in keys if key in failures]
    return problems


def _caption_job(clip: Clip, extractor: Extractor) -> EmbeddingJob:
    # A caption has no range; its embedding serves every clip with the same words.
    key = entry_key(text_sha256(clip.caption), 0.0, 0.0, extractor.fingerprint)
    return EmbeddingJob(key, extractor, ClipSource(_NO_FILE, 0.0, 0.0, clip.caption))


def _jobs(
    clip: Clip, extractors: Mapping[str, Extractor], path: Path, start_s: float, checked: CheckReport
) -> dict[str, EmbeddingJob]:
    """Return the jobs of one clip's file and caption, by part; those of the file share what says where it is."""
    file = checked.files[str(path)]
    source = ClipSource(path, start_s, clip.duration_s, state=file.state)
    return {
        part: _caption_job(clip, extractor)
        if extractor.modality == "text"
        else EmbeddingJob(entry_key(file.sha256, start_s, clip.duration_s, extractor.fingerprint), extractor, source)
        for part, extractor in extractors.items()
    }


def clip_jobs(
    clip: Clip,
    references: References,
    matching: Matching,
    checked: CheckReport,
    extractors: dict[str, Extractor],
    captions: Mapping[str, str],
) -> ClipJobs:
    """Say what is embedded of a clip, and under which key it lies in the cache.

    ``captions`` are those, by clip id, that stand on the generated side in place of the clip's own.
    """
    given = clip._replace(caption=captions.get(clip.clip_id, clip.caption))
    own = ("audio", "text") if clip.clip_id in captions else ("audio",)
    heard = {part: extractor for part, extractor in extractors.items() if extractor.modality in own}
    jobs = _jobs(given, heard, matching.files[clip.clip_id], 0.0, checked)
    side = {part: references.beside(job) for part, job in jobs.items()}
    return ClipJobs(clip.clip_id, references.jobs(clip, checked, extractors), side)


def planned_clips(clips: Sequence[Clip], plan: Callable[[Clip], ClipJobs]) -> Sequence[ClipJobs]:
    """Return the jobs of each clip, made whenever they are asked for: held, they would take some 3 KB a clip.

    ``plan`` returns a clip's jobs, always the same: :func:`clip_jobs` of everything but the clip.
    """
    return OnDemand(range(len(clips)), lambda place: plan(clips[place]))


class AllJobs(Iterable[EmbeddingJob]):
    """The jobs of all clips, without what is stored already; they can be gone through again and again.

    What is of one file stands together, and all networks have work from the start.
    """

    def __init__(self, clips: Iterable[ClipJobs]) -> None:
        self._clips = clips

    def __iter__(self) -> Iterator[EmbeddingJob]:
        for clip in self._clips:
            for side in (clip.reference, clip.generated):
                # A caption may stand between two parts of the file's sound.
                yield from side_by_side(job for job in side.values() if not job.stored)


def extraction_problems(clips: Iterable[ClipJobs], failures: dict[str, str]) -> list[Problem]:
    """Turn failures of the extraction, by cache key, into problems of their clips."""
    return [
        Problem(clip.clip_id, "unreadable", str(job.source.path), failures[job.key])
        for clip in clips
        for job in [*clip.reference.values(), *clip.generated.values()]
        if job.key in failures
    ]
