"""The flow of a validation.

::

    Manifest ─► check the real sounds ─► score them as they are ─► per distortion and level: write the distorted sounds
    as predictions ─► evaluate ─► responses of every score ─► Validation

A level is a set of predictions like any other, scored by :func:`t2av_bench.evaluate` with all that belongs to it:
whatever it says of a score holds for the score that users get. Predictions lie in a temporary folder and only as long
as they are scored; embeddings stay in the cache, so a killed validation does not embed anything twice.
"""

from __future__ import annotations

import shlex
import sys
import tempfile
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from t2av_bench._version import __version__
from t2av_bench.cache import EmbeddingCache
from t2av_bench.distributed import ALONE, Processes, same_outcome
from t2av_bench.distributed.shares import Station, check_everywhere, embed_everywhere, spread
from t2av_bench.errors import SKIP_ADVICE, ProblemsError, T2AVBenchError, UsageError, no_such_name
from t2av_bench.evaluation import OnError
from t2av_bench.extraction.checking import FileNeed
from t2av_bench.extraction.choice import DEFAULT_MANIFEST, default_features, make_extractors, protocol_for
from t2av_bench.home import home
from t2av_bench.manifests import Clip, Manifest, event_times, load_manifest
from t2av_bench.models.extractors import Extractor
from t2av_bench.naming import locate_media, media_folder
from t2av_bench.planning import MediaReferences
from t2av_bench.protocol import OURS
from t2av_bench.results import Result
from t2av_bench.validation.catalogue import DISTORTIONS, Distortion
from t2av_bench.validation.levels import NONE, LevelPlace, LevelScorer, score_levels
from t2av_bench.validation.record import Response, Validation
from t2av_bench.validation.responses import respond
from t2av_bench.validation.sounds import Sounds

FEWEST_CLIPS = 2
Levels = Mapping[str, tuple[float, ...]]


@same_outcome
def validate_metrics(
    manifest: str | Path | Manifest = DEFAULT_MANIFEST,
    data_dir: str | Path | None = None,
    *,
    features: str | None = None,
    metrics: Sequence[str] | None = None,
    distortions: Sequence[str] | None = None,
    levels: Mapping[str, Sequence[float]] | None = None,
    max_clips: int | None = None,
    pooling: str = "window",
    protocol: str = OURS,
    weights: str = "published",
    device: str = "auto",
    batch_size: int = 32,
    num_workers: int | None = None,
    cache_dir: str | Path | None = None,
    on_error: OnError = "fail",
    seed: int = 0,
    progress: bool = True,
    processes: Processes = ALONE,
) -> Validation:
    """Distort the real sounds of a manifest by known amounts, and see how every score responds.

    Parameters
    ----------
    manifest, data_dir, features, metrics, pooling, protocol, weights, device, batch_size, cache_dir
        As for :func:`t2av_bench.evaluate`.
    distortions
        Names from :data:`t2av_bench.validation.DISTORTIONS`; by default all.
    levels
        Levels by distortion, in its unit, in place of the usual ones.
    max_clips
        Only so many clips, drawn at random from the manifest.
    num_workers
        Levels that are scored at the same time, or, where a network embeds the sounds, loader processes for each level
        in turn; by default one per core, at most 8. 0 does everything in this process.
    on_error
        ``fail`` stops if a clip's real sound or picture cannot be used; ``skip`` leaves such clips out.
    seed
        Of everything random.
    progress
        Whether to show progress on stderr: bars on a terminal, else a line a minute.
    processes
        Those that share the levels, as in :func:`t2av_bench.evaluate`.

    Returns
    -------
    Validation
        A response per score and distortion. Levels that cannot be applied to these clips are absent with a reason.

    Raises
    ------
    UsageError
        If an option names something that does not exist.
    T2AVBenchError
        If media are missing or cannot be used, or there are fewer than two clips.
    """
    benchmark = manifest if isinstance(manifest, Manifest) else load_manifest(manifest)
    chosen = choose_levels(distortions, levels)
    options: dict[str, Any] = {
        "features": features or default_features(benchmark, protocol),
        "metrics": metrics,
        "pooling": pooling,
        "protocol": protocol,
        "weights": weights,
        "device": processes.device(device),
        "batch_size": batch_size,
        "cache_dir": Path(cache_dir or home() / "embeddings"),
        "on_error": on_error,
        "uncertainty": "stderr",
        "seed": seed,
    }
    folder_of_media = media_folder(benchmark, data_dir)
    benchmark = drawn_clips(benchmark, max_clips, seed)
    choices = protocol_for(
        benchmark,
        name=protocol,
        features=options["features"],
        metrics=metrics,
        pooling=pooling,
        weights=weights,
        seed=seed,
        has_events=event_times(benchmark) is not None,
    )
    extractors = make_extractors(choices, options["device"])
    cache = EmbeddingCache(options["cache_dir"])
    station = Station.of(
        processes, cache, extractors.values(), batch_size=batch_size, num_workers=num_workers, progress=progress
    )

    with tempfile.TemporaryDirectory(prefix="t2av-bench-") as folder:
        place = LevelPlace(Path(folder), options, station.num_workers, station.progress, processes)
        if not processes.leads:
            served: Validation = processes.serve(station, place)
            return served
        sounds = _real_sounds(benchmark, Path(folder_of_media), on_error, seed, station, processes)
        _embed_references(sounds.clips, Path(folder_of_media), extractors, station, processes)
        scorer = LevelScorer(benchmark, Path(folder_of_media), sounds, Path(folder), options)
        none = scorer(NONE, num_workers=station.num_workers, progress=station.progress)
        outcomes = score_levels(scorer, _jobs(chosen, sounds), none, place)
    return _judge(benchmark, chosen, none, outcomes, seed)


def choose_levels(distortions: Sequence[str] | None, levels: Mapping[str, Sequence[float]] | None) -> Levels:
    """Return the levels of each chosen distortion, in the catalogue's order.

    Raises
    ------
    UsageError
        If a distortion does not exist, or levels are given for one that is not chosen or make no sense.
    """
    for name in (*(distortions or ()), *(levels or ())):
        if name not in DISTORTIONS:
            raise no_such_name(f"There is no distortion named {name!r}", name, DISTORTIONS)
    wanted = [name for name in DISTORTIONS if not distortions or name in distortions]
    for name in levels or ():
        if name not in wanted:
            raise UsageError(f"levels are given for {name}, which is not among the chosen distortions")
    given = levels or {}
    return {
        name: DISTORTIONS[name].checked(tuple(given[name])) if name in given else DISTORTIONS[name].levels
        for name in wanted
    }


def drawn_clips(benchmark: Manifest, count: int | None, seed: int) -> Manifest:
    """Return a manifest of so many clips drawn at random, in their order; the manifest itself if it has no more."""
    if count is None or count >= len(benchmark):
        return benchmark
    rows = np.sort(np.random.default_rng(seed).permutation(len(benchmark))[:count])
    table = benchmark.table.iloc[rows].reset_index(drop=True)
    return Manifest(benchmark.name, table, benchmark.version, benchmark.licence, benchmark.data_dir)


def _real_sounds(
    benchmark: Manifest, data_dir: Path, on_error: OnError, seed: int, station: Station, processes: Processes
) -> Sounds:
    """Find and check the real sounds; digital silence is none that could be distorted.

    Clips that cannot be used are in no level's predictions, and :func:`t2av_bench.evaluate` leaves them out.
    """
    clips = list(benchmark.clips())
    media, problems = locate_media(clips, data_dir)
    needs = [
        FileNeed(
            clip.clip_id, media[clip.clip_id], clip.start_s, clip.duration_s, audio=True, video=False,
            may_be_silent=False,
        )
        for clip in clips
        if clip.clip_id in media
    ]  # fmt: skip
    problems = problems + check_everywhere(needs, station, processes).problems
    faulty = {problem.clip_id for problem in problems}
    if faulty and on_error == "fail":
        message = f"the real sound of {len(faulty)} of {len(clips)} clips cannot be distorted"
        raise ProblemsError(message, problems, SKIP_ADVICE)
    usable: list[Clip] = [clip for clip in clips if clip.clip_id not in faulty]
    if len(usable) < FEWEST_CLIPS:
        raise ProblemsError(
            f"validating scores needs at least {FEWEST_CLIPS} clips with sound; {benchmark.name} has {len(usable)}",
            problems,
        )
    return Sounds(usable, media, seed)


def _embed_references(
    clips: Sequence[Clip], data_dir: Path, extractors: dict[str, Extractor], station: Station, processes: Processes
) -> None:
    """Embed the real clips in all processes, and in all caches: every level needs them."""
    if processes.n == 1:
        return  # the first level that is scored will
    references = MediaReferences(clips, data_dir)
    needs = [need for clip in clips for need in references.needs(clip, extractors)]
    checked = check_everywhere(needs, station, processes)
    jobs = [
        job
        for clip in clips
        if str(references.media[clip.clip_id]) in checked.files
        for job in references.jobs(clip, checked, extractors).values()
        if job.extractor.modality != "text"
    ]
    failures = embed_everywhere(jobs, station, processes)
    spread([job for job in jobs if job.key not in failures], station, processes)


def _jobs(chosen: Levels, sounds: Sounds) -> dict[tuple[str, float], str]:
    """Return all levels, each with the reason why it cannot be applied, empty if it can."""
    return {(name, level): DISTORTIONS[name].objection(sounds, level) for name in chosen for level in chosen[name]}


def _judge(
    benchmark: Manifest,
    chosen: Levels,
    none: Result,
    outcomes: Mapping[tuple[str, float], Result | str],
    seed: int,
) -> Validation:
    """Turn the results of all levels into responses."""
    absent = dict(none.absent)
    results: dict[str, dict[float, Result]] = {name: {} for name in chosen}
    for name, levels in chosen.items():
        for level in levels:
            outcome = outcomes[name, level]
            if isinstance(outcome, str):
                absent[f"{name} {level:g}"] = outcome
                continue
            results[name][level] = outcome
            lost = {metric: reason for metric, reason in outcome.absent.items() if metric in none.scores}
            absent |= {f"{metric} at {name} {level:g}": reason for metric, reason in lost.items()}
    if not any(results.values()):
        raise T2AVBenchError("no level can be applied to these clips: " + "; ".join(absent.values()))
    scales = {metric: _scale(metric, none, results) for metric in none.scores}
    responses = [
        respond(metric, name, none, results[name], scales[metric], seed)
        for metric in none.scores
        for name in chosen
        if results[name]
    ]
    return Validation(
        responses,
        {name: _described(DISTORTIONS[name], list(levels)) for name, levels in chosen.items()},
        {name: score.value for name, score in none.scores.items()},
        absent,
        none.manifest,
        none.protocol,
        none.extractors,
        none.counts["scored"],
        _notes(benchmark, none, responses),
        none.environment,
        seed,
        shlex.join(sys.argv),
        datetime.now(timezone.utc).isoformat(timespec="seconds"),
        __version__,
    )


def _scale(metric: str, none: Result, results: Mapping[str, Mapping[float, Result]]) -> float:
    """Return the largest magnitude of a score over everything that was scored."""
    found = [none, *(result for levels in results.values() for result in levels.values())]
    return max(abs(result.scores[metric].value) for result in found if metric in result.scores)


def _described(distortion: Distortion, levels: list[float]) -> dict[str, Any]:
    none = None if np.isinf(distortion.none) else distortion.none
    return {"what": distortion.what, "unit": distortion.unit, "none": none, "levels": levels}


def _notes(benchmark: Manifest, none: Result, responses: Sequence[Response]) -> list[str]:
    notes = []
    rewarding = [r for r in responses if r.verdict == "rewards" and none.scores[r.metric].kind == "kernel"]
    if any(response.distortion in ("swap", "captions") for response in rewarding):
        notes.append(
            "Kernel distances compare only different clips, so they fall below zero where a clip has another one's real"
            " sound or caption: an exact copy is then among the pairs."
        )
    if none.counts["scored"] < 30:
        notes.append(f"{none.counts['scored']} clips: standard errors are unreliable for fewer than about 30.")
    if none.counts["scored"] < none.counts["clips"]:
        notes.append(f"{none.counts['clips'] - none.counts['scored']} of {len(benchmark)} clips were left out.")
    return notes
