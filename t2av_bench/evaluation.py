"""The main flow: from a folder of predictions to scores.

::

    Manifest ─► match predictions ─► check every file ─► embed reference + predictions ─► statistics ─► scores
    ─► contributions of clips, standard errors ─► Result

Read :func:`evaluate` from top to bottom; each step is a function of the module it names.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

from t2av_bench._version import __version__
from t2av_bench.cache import EmbeddingCache, entry_key, text_sha256
from t2av_bench.checking import CheckReport, FileNeed, check_files
from t2av_bench.contributions import by_clip, clip_contributions, with_stderr
from t2av_bench.embedding import EmbeddingJob, embed_captions, embed_missing
from t2av_bench.environment import environment
from t2av_bench.errors import Problem, ProblemsError, UsageError
from t2av_bench.home import home
from t2av_bench.manifests import Clip, Manifest, load_manifest
from t2av_bench.models.extractors import ClipSource, Extractor, get_extractor
from t2av_bench.naming import locate_media
from t2av_bench.predictions import Matching, match_predictions
from t2av_bench.protocol import PROTOCOLS, Protocol, make_protocol
from t2av_bench.results import Result
from t2av_bench.scoring import ClipJobs, gather, sample_notes, score_all

OnError = Literal["fail", "skip"]
DEFAULT_MANIFEST = "t2av-mini"


def evaluate(
    pred_dir: str | Path,
    manifest: str | Path | Manifest = DEFAULT_MANIFEST,
    data_dir: str | Path | None = None,
    *,
    features: str | None = None,
    metrics: Sequence[str] | None = None,
    pooling: str = "window",
    protocol: str = PROTOCOLS[0],
    weights: str = "published",
    device: str = "auto",
    batch_size: int = 32,
    num_workers: int | None = None,
    cache_dir: str | Path | None = None,
    system: str | None = None,
    description: str = "",
    on_error: OnError = "fail",
    seed: int = 0,
    progress: bool = True,
) -> Result:
    """Score a folder of predictions against a manifest.

    Parameters
    ----------
    pred_dir
        Folder with one media file per clip, named after the clip's id, or with a ``predictions.csv``.
    manifest
        A name, the path of a CSV or JSONL file, or a :class:`~t2av_bench.Manifest`.
    data_dir
        Folder with the reference media; by default the one the manifest knows.
    features
        ``paper``, ``lite`` or extractor names separated by commas. By default ``lite`` for the mini world and
        ``paper`` for everything else; never one in place of the other.
    metrics
        Names from :data:`t2av_bench.metrics.METRICS`; by default all that the features allow.
    pooling
        ``window`` (each window is a sample) or ``clip`` (each clip's mean is).
    protocol
        Name of the set of choices; see :mod:`t2av_bench.protocol`.
    weights
        ``published``, or ``random`` (drawn from ``seed``), which makes the result not comparable.
    device
        ``auto``, ``cpu``, ``cuda`` or ``cuda:1``.
    batch_size
        Windows per pass of a network.
    num_workers
        Loader processes; by default one per core, at most 8. 0 decodes in this process.
    cache_dir
        Where embeddings are kept; by default ``embeddings/`` in the home folder.
    system, description
        Name (by default the folder's) and description of what is scored.
    on_error
        ``fail`` stops before the costly part if any clip cannot be scored; ``skip`` leaves such clips out on both
        sides and marks the result incomplete.
    seed
        Of everything random.
    progress
        Whether to show progress bars when stderr is a terminal.

    Returns
    -------
    Result
        Scores with their sample sizes, and everything that decides what they mean.

    Raises
    ------
    UsageError
        If an option names something that does not exist.
    ProblemsError
        If clips cannot be scored; holds all of them.
    T2AVBenchError
        If anything else stands in the way.
    """
    benchmark = manifest if isinstance(manifest, Manifest) else load_manifest(manifest)
    choices = make_protocol(
        name=protocol,
        features=features or default_features(benchmark),
        metrics=list(metrics) if metrics else None,
        pooling=pooling,
        weights=weights,
        seed=seed,
    )
    _check_options(on_error, batch_size, num_workers)
    workers_n = min(os.cpu_count() or 1, 8) if num_workers is None else num_workers
    cache = EmbeddingCache(cache_dir or home() / "embeddings")
    extractors = make_extractors(choices, device)

    clips = list(benchmark.clips())
    matching = match_predictions(clips, pred_dir)
    media, absent_media = locate_media(clips, _data_dir(benchmark, data_dir))
    problems = [*_too_short_for_a_window(clips, extractors), *matching.problems, *absent_media]
    problems += _embed_captions(clips, extractors, cache)

    needs = _needs(clips, media, matching, choices)
    checked = check_files(needs, cache, num_workers=workers_n, progress=progress)
    problems += checked.problems
    scored = _settle(clips, problems, on_error)

    jobs = [_clip_jobs(clip, media, matching, checked, extractors) for clip in scored]
    failures = embed_missing(_all_jobs(jobs), cache, batch_size=batch_size, num_workers=workers_n, progress=progress)
    if failures:
        problems += _extraction_problems(jobs, failures)
        scored = _settle(clips, problems, on_error)
        jobs = [job for job in jobs if job.clip_id in {clip.clip_id for clip in scored}]

    reference = gather(jobs, cache, choices, generated=False)
    generated = gather(jobs, cache, choices, generated=True)
    plain = score_all(choices, reference, generated, len(scored))
    contributions = clip_contributions(jobs, cache, choices.pooling, (reference, generated), plain)
    scores = with_stderr(plain.scores, contributions)

    return Result(
        scores=scores,
        absent=plain.absent,
        system={"name": system or Path(pred_dir).resolve().name or "system", "description": description},
        manifest=_manifest_record(benchmark),
        protocol=choices.to_json(),
        extractors={part: _extractor_record(extractor) for part, extractor in extractors.items()},
        counts={
            "clips": len(clips),
            "scored": len(scored),
            "unknown_files": len(matching.unknown),
            "padded_files": checked.padded_n,
            "silent_references": checked.silent_n,
        },
        problems=[vars(problem) for problem in problems],
        not_comparable_because=_not_comparable(benchmark, choices, extractors, len(scored), len(clips)),
        notes=sample_notes(scores) + _file_notes(matching, checked),
        environment=environment(device),
        seed=seed,
        command=shlex.join(sys.argv),
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        tool_version=__version__,
        per_clip=by_clip(jobs, contributions),
    )


def default_features(benchmark: Manifest) -> str:
    """Return the feature preset used without ``features``: ``lite`` for the mini world, else ``paper``."""
    return "lite" if benchmark.name == DEFAULT_MANIFEST else "paper"


def make_extractors(protocol: Protocol, device: str) -> dict[str, Extractor]:
    """Make the extractor of each part; parts that share a name share the extractor.

    Raises
    ------
    PrerequisiteError
        If weights are missing: at once, and not after the files have been checked.
    """
    from t2av_bench.models.extractors.registry import extractor_class

    made: dict[str, Extractor] = {}
    for name in dict.fromkeys(protocol.extractors.values()):
        options: dict[str, Any] = {}
        if extractor_class(name).has_network:
            options = {"weights": protocol.weights, "seed": protocol.weights_seed, "device": device}
        made[name] = get_extractor(name, **options)
        made[name].check()
    return {part: made[name] for part, name in protocol.extractors.items()}


def _check_options(on_error: str, batch_size: int, num_workers: int | None) -> None:
    if on_error not in ("fail", "skip"):
        raise UsageError(f"on_error must be 'fail' or 'skip'; got {on_error!r}")
    if batch_size < 1:
        raise UsageError(f"batch_size must be at least 1; got {batch_size}")
    if num_workers is not None and num_workers < 0:
        raise UsageError(f"num_workers must be at least 0; got {num_workers}")


def _data_dir(benchmark: Manifest, chosen: str | Path | None) -> Path:
    found = chosen or benchmark.data_dir
    if found is None:
        raise UsageError(f"the manifest {benchmark.name} needs the folder of its media: --data-dir (data_dir=...)")
    return Path(found)


def _too_short_for_a_window(clips: Sequence[Clip], extractors: dict[str, Extractor]) -> list[Problem]:
    windowed = [extractor for extractor in extractors.values() if extractor.unit == "window"]
    return [
        Problem(clip.clip_id, "too_short", "", f"the manifest says {clip.duration_s:g} s; a window needs 0.975 s")
        for clip in clips
        if any(extractor.rows_n(clip.duration_s) == 0 for extractor in windowed)
    ]


def _needs(clips: Sequence[Clip], media: dict[str, Path], matching: Matching, protocol: Protocol) -> list[FileNeed]:
    """List what must be read: the reference's range of its file, and the whole of each prediction."""
    video = "video" in protocol.extractors
    needs = []
    for clip in clips:
        if clip.clip_id in media and clip.clip_id in matching.files:
            where = (clip.clip_id, media[clip.clip_id], clip.start_s, clip.duration_s)
            needs.append(FileNeed(*where, audio=True, video=video, may_be_silent=True))
            where = (clip.clip_id, matching.files[clip.clip_id], 0.0, clip.duration_s)
            needs.append(FileNeed(*where, audio=True, video=False, may_be_silent=False))
    return needs


def _settle(clips: Sequence[Clip], problems: Sequence[Problem], on_error: OnError) -> list[Clip]:
    """Return the clips that are scored, or raise: on any problem with ``fail``, on fewer than two clips always."""
    faulty = {problem.clip_id for problem in problems}
    good = [clip for clip in clips if clip.clip_id not in faulty]
    if faulty and on_error == "fail":
        raise ProblemsError(f"{len(faulty)} of {len(clips)} clips cannot be scored", problems)
    if len(good) < 2:
        raise ProblemsError(f"a distance between sets needs at least 2 clips; {len(good)} can be scored", problems)
    return good


def _embed_captions(clips: Sequence[Clip], extractors: dict[str, Extractor], cache: EmbeddingCache) -> list[Problem]:
    """Embed all captions, which is cheap, so that one without a known word is found before anything costly."""
    if "text" not in extractors:
        return []
    jobs = {clip.clip_id: _caption_job(clip, extractors["text"]) for clip in clips}
    failures = embed_captions(list(jobs.values()), cache)
    return [Problem(clip_id, "caption", "", failures[job.key]) for clip_id, job in jobs.items() if job.key in failures]


def _caption_job(clip: Clip, extractor: Extractor) -> EmbeddingJob:
    # A caption has no range; its embedding serves every clip with the same words.
    key = entry_key(text_sha256(clip.caption), 0.0, 0.0, extractor.fingerprint)
    return EmbeddingJob(key, extractor, ClipSource(Path(), 0.0, 0.0, clip.caption))


def _clip_jobs(
    clip: Clip, media: dict[str, Path], matching: Matching, checked: CheckReport, extractors: dict[str, Extractor]
) -> ClipJobs:
    """Say what is embedded of a clip, and under which key it lies in the cache."""

    def job(extractor: Extractor, path: Path, start_s: float) -> EmbeddingJob:
        if extractor.modality == "text":
            return _caption_job(clip, extractor)
        key = entry_key(checked.contents[path], start_s, clip.duration_s, extractor.fingerprint)
        return EmbeddingJob(key, extractor, ClipSource(path, start_s, clip.duration_s))

    reference, generated = media[clip.clip_id], matching.files[clip.clip_id]
    return ClipJobs(
        clip.clip_id,
        {part: job(extractor, reference, clip.start_s) for part, extractor in extractors.items()},
        {
            part: job(extractor, generated, 0.0)
            for part, extractor in extractors.items()
            if extractor.modality == "audio"
        },
    )


def _all_jobs(clips: Sequence[ClipJobs]) -> list[EmbeddingJob]:
    """List the jobs extractor by extractor."""
    jobs = [job for clip in clips for side in (clip.reference, clip.generated) for job in side.values()]
    return sorted(jobs, key=lambda job: job.extractor.name)


def _extraction_problems(clips: Sequence[ClipJobs], failures: dict[str, str]) -> list[Problem]:
    return [
        Problem(clip.clip_id, "unreadable", str(job.source.path), failures[job.key])
        for clip in clips
        for job in [*clip.reference.values(), *clip.generated.values()]
        if job.key in failures
    ]


def _manifest_record(benchmark: Manifest) -> dict[str, Any]:
    return {
        "name": benchmark.name,
        "version": benchmark.version,
        "sha256": benchmark.sha256,
        "licence": benchmark.licence,
        "official": benchmark.official,
        "clips": len(benchmark),
    }


def _extractor_record(extractor: Extractor) -> dict[str, Any]:
    return {
        "name": extractor.name,
        "version": extractor.version,
        "dim": extractor.dim,
        "unit": extractor.unit,
        "fingerprint": extractor.fingerprint,
        "weights_sha256": extractor.weights_sha256,
        "options": extractor.options(),
    }


def _not_comparable(
    benchmark: Manifest, protocol: Protocol, extractors: dict[str, Extractor], scored_n: int, clips_n: int
) -> list[str]:
    """List what speaks against putting the result beside others on a leaderboard."""
    reasons = []
    if protocol.features != "paper":
        reasons.append(f"the features are {protocol.features}, not paper")
    reasons += [f"{e.name}: {e.not_comparable}" for e in dict.fromkeys(extractors.values()) if e.not_comparable]
    if protocol.pooling != "window":
        reasons.append(f"the pooling is {protocol.pooling}, not window")
    if not benchmark.official:
        reasons.append(f"the manifest {benchmark.name} is the user's own")
    if scored_n < clips_n:
        reasons.append(f"incomplete: {clips_n - scored_n} of {clips_n} clips were left out")
    return reasons


def _file_notes(matching: Matching, checked: CheckReport) -> list[str]:
    notes = []
    if matching.unknown:
        names = ", ".join(path.name for path in matching.unknown[:3])
        notes.append(f"{len(matching.unknown)} files belong to no clip of the manifest and were not scored: {names}")
    if checked.padded_n:
        notes.append(f"{checked.padded_n} files were up to 0.1 s short and were padded with zeros")
    if checked.silent_n:
        notes.append(f"{checked.silent_n} reference clips are digitally silent")
    return notes


__all__ = ["default_features", "evaluate", "make_extractors"]
