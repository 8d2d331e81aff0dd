"""The main flow: from a folder of predictions to scores.

::

    Manifest ─► match predictions ─► check every file ─► embed reference + predictions ─► scores ─► Result

With a reference pack the reference is neither checked nor embedded: its embeddings are read from the pack.

Read :func:`evaluate` from top to bottom; each step is a function of the module it names.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from functools import partial
from numbers import Integral
from pathlib import Path
from typing import Any, Literal, get_args

from t2av_bench._version import __version__
from t2av_bench.accelerated import large_matrices_on
from t2av_bench.cache import EmbeddingCache
from t2av_bench.distributed import ALONE, Processes, same_outcome
from t2av_bench.distributed.shares import Station, check_everywhere, embed_everywhere
from t2av_bench.environment import environment
from t2av_bench.errors import SKIP_ADVICE, Problem, ProblemsError, UsageError, no_such_name
from t2av_bench.extraction.choice import DEFAULT_MANIFEST, MODALITIES, make_extractors, protocol_for
from t2av_bench.home import home
from t2av_bench.manifests import Clip, Manifest, event_times, load_manifest
from t2av_bench.models.extractors import Extractor
from t2av_bench.models.extractors.arithmetic import FULL
from t2av_bench.packs.reading import ReferencePack
from t2av_bench.packs.references import PackCache, PackReferences, open_for, packed_choices, packed_features
from t2av_bench.planning import (
    AllJobs,
    FileNeeds,
    MediaReferences,
    References,
    caption_problems,
    clip_jobs,
    extraction_problems,
    planned_clips,
    too_short_clips,
)
from t2av_bench.predictions import Matching, match_predictions
from t2av_bench.protocol import OURS
from t2av_bench.results import Result
from t2av_bench.results.per_clip import ClipNumbers
from t2av_bench.results.records import (
    extractor_record,
    file_counts,
    file_notes,
    manifest_record,
    not_comparable_reasons,
    not_offered,
    pack_notes,
    pack_record,
    protocol_notes,
)
from t2av_bench.scoring.scorecard import Scorecard, score_clips, score_notes
from t2av_bench.scoring.uncertainty import Uncertainty
from t2av_bench.threads import few_threads_for_small_matrices

OnError = Literal["fail", "skip"]


@same_outcome
def evaluate(
    pred_dir: str | Path,
    manifest: str | Path | Manifest = DEFAULT_MANIFEST,
    data_dir: str | Path | None = None,
    *,
    reference_pack: str | Path | None = None,
    features: str | None = None,
    metrics: Sequence[str] | None = None,
    captions: Mapping[str, str] | None = None,
    pooling: str = "window",
    protocol: str = OURS,
    weights: str = "published",
    device: str = "auto",
    precision: str = FULL,
    compile: bool = False,
    batch_size: int = 32,
    num_workers: int | None = None,
    cache_dir: str | Path | None = None,
    system: str | None = None,
    description: str = "",
    on_error: OnError = "fail",
    uncertainty: Uncertainty = "auto",
    seed: int = 0,
    progress: bool = True,
    processes: Processes = ALONE,
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
    reference_pack
        File with the reference's embeddings (``t2av-bench pack build``) in place of its media: no video is needed, nor
        the weights of networks that see only the reference. Scores with a float32 pack are those with media, bit for
        bit; what float16 adds is stated in the result. Without ``metrics``, scores that the pack has no features for
        are absent.
    features
        ``paper``, ``lite`` or extractor names separated by commas. By default those of ``reference_pack``, or else
        ``lite`` for the mini world and ``paper`` for everything else; never one in place of the other. Not with
        another toolkit's protocol.
    metrics
        Names from :data:`t2av_bench.metrics.METRICS`, or of the protocol's own; by default all that the features allow.
    captions
        Captions by clip id that stand on the generated side in place of the manifest's, to see what scores make of
        wrong ones; makes the result not comparable.
    pooling
        ``window`` (each window is a sample) or ``clip`` (each clip's mean is).
    protocol
        Name of the set of choices: ``t2av-bench/1``, or another toolkit's, see :mod:`t2av_bench.presets`.
    weights
        ``published``, or ``random`` (drawn from ``seed``), which makes the result not comparable.
    device
        ``auto``, ``cpu``, ``cuda`` or ``cuda:1``.
    precision
        Of the networks: ``fp32``, or ``bf16`` or ``fp16`` (on a GPU only), which are faster and make the result not
        comparable; ``benchmarks/precision.py`` measures what they do to each score.
    compile
        Whether ``torch.compile`` makes kernels for the networks. It needs a C++ compiler and takes up to minutes before
        the first batch; embeddings differ from plain ones by rounding and are cached apart from them.
    batch_size
        Windows that a network gets at once, at least.
    num_workers
        Loader processes; by default one per core, at most 8. 0 decodes in this process, which a damaged file may then
        crash.
    cache_dir
        Where embeddings are kept; by default ``embeddings/`` in the home folder.
    system, description
        Name (by default the folder's) and description of what is scored.
    on_error
        ``fail`` stops before the costly part if any clip cannot be scored; ``skip`` leaves such clips out on both
        sides and marks the result incomplete.
    uncertainty
        How much is computed beside each Fréchet score: ``none``; ``stderr``: standard error and real-against-real
        floor; ``full``: also the bias-corrected score and the one extrapolated to infinitely many clips; ``auto``:
        ``full`` except for what takes long, which is distances of more than 600 dimensions and windows.
    seed
        Of everything random.
    progress
        Whether to show progress on stderr: bars on a terminal, else a line a minute.
    processes
        Those that share the work, from :func:`t2av_bench.distributed.processes`; all of them must make this call, with
        the same arguments. By default this process works alone, also where others run beside it, as in a training job.

    Returns
    -------
    Result
        Scores with their sample sizes, and everything that decides what they mean; the same in every process, and the
        same bits as from a single one that computes with as many threads.

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
    cache = EmbeddingCache(cache_dir or home() / "embeddings")
    pack = None if reference_pack is None else open_for(reference_pack, benchmark, data_dir, cache)
    events = (pack and pack.event_times()) or event_times(benchmark)
    if pack is not None and protocol == OURS:
        features = features or packed_features(pack)
    choices = protocol_for(
        benchmark, name=protocol, features=features, metrics=metrics, pooling=pooling, weights=weights, seed=seed,
        has_events=events is not None,
    )  # fmt: skip
    _check_options(on_error, uncertainty, batch_size, num_workers, seed)
    unpacked: dict[str, str] = {}
    if pack is not None:
        choices, unpacked = packed_choices(choices, pack, asked=metrics)
        cache = PackCache(cache.folder, pack)
    embedded = MODALITIES if pack is None else ("audio", "text") if captions else ("audio",)
    extractors = make_extractors(choices, processes.device(device), embedded, precision=precision, compile=compile)
    station = Station.of(
        processes, cache, extractors.values(), batch_size=batch_size, num_workers=num_workers, progress=progress
    )
    if not processes.leads:
        served: Result = processes.serve(station)
        return served

    clips = benchmark.clips()
    matching = match_predictions(clips, pred_dir)
    references = _references(benchmark, clips, data_dir, pack, extractors)
    problems = _problems_at_sight(clips, matching, references, captions or {}, extractors, cache)
    checked = check_everywhere(FileNeeds(clips, references, matching, extractors), station, processes)
    checked = references.reported(checked, matching)
    problems += checked.problems

    scored = _settle(clips, problems, on_error)
    plan = partial(
        clip_jobs, references=references, matching=matching, checked=checked, extractors=extractors,
        captions=captions or {},
    )  # fmt: skip
    jobs = planned_clips(scored, plan)
    failures = embed_everywhere(AllJobs(jobs), station, processes)
    if failures:
        problems += extraction_problems(jobs, failures)
        scored = _settle(clips, problems, on_error)
        jobs = planned_clips(scored, plan)

    dim = sum(extractor.dim for extractor in extractors.values())
    with few_threads_for_small_matrices(dim, processes.local_n), large_matrices_on(processes.device(device), dim):
        found = score_clips(
            scored, jobs, cache, choices, extractors, events=events, uncertainty=uncertainty, seed=seed
        )  # fmt: skip
    found = found._replace(absent=found.absent | unpacked | not_offered(choices))
    return _result(
        found,
        {clip.clip_id: place for place, clip in enumerate(scored)},
        system={"name": system or Path(pred_dir).resolve().name or "system", "description": description},
        manifest=manifest_record(benchmark),
        protocol=choices.to_json(),
        extractors={part: extractor_record(extractor) for part, extractor in extractors.items()},
        counts=file_counts(len(clips), len(scored), matching, checked),
        problems=[vars(problem) for problem in problems],
        not_comparable_because=not_comparable_reasons(
            benchmark, choices, extractors, len(scored), len(clips), own_captions=bool(captions)
        ),
        notes=[*protocol_notes(choices), *pack_notes(pack), *score_notes(found.scores), *file_notes(matching, checked)],
        environment=environment(device),
        seed=seed,
        reference_pack=None if pack is None else pack_record(pack),
    )


def _problems_at_sight(
    clips: Sequence[Clip],
    matching: Matching,
    references: References,
    captions: Mapping[str, str],
    extractors: dict[str, Extractor],
    cache: EmbeddingCache,
) -> list[Problem]:
    """List what can be seen to be wrong before a file is read."""
    given = [clip._replace(caption=captions[clip.clip_id]) for clip in clips if clip.clip_id in captions]
    return [
        *too_short_clips(clips, extractors),
        *matching.problems,
        *references.problems,
        *caption_problems(references.uncaptioned(clips), extractors, cache),
        *caption_problems(given, extractors, cache),
    ]


def _result(found: Scorecard, places: Mapping[str, int], **records: Any) -> Result:
    """Return scores and records as a result of this moment and this command."""
    return Result(
        scores=found.scores,
        absent=found.absent,
        per_clip=ClipNumbers(places, found.contributions),
        clip_halves=ClipNumbers(places, found.own_half),
        clip_values=ClipNumbers(places, found.clip_values),
        command=shlex.join(sys.argv),
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        tool_version=__version__,
        **records,
    )


def _check_options(on_error: str, uncertainty: str, batch_size: int, num_workers: int | None, seed: object) -> None:
    if on_error not in ("fail", "skip"):
        raise UsageError(f"on_error must be 'fail' or 'skip'; got {on_error!r}")
    if uncertainty not in get_args(Uncertainty):
        raise no_such_name(
            f"There is no level of uncertainty named {uncertainty!r}", uncertainty, get_args(Uncertainty)
        )
    if not isinstance(seed, Integral) or seed < 0:
        raise UsageError(f"seed must be a whole number from 0 on; got {seed!r}")
    if batch_size < 1:
        raise UsageError(f"batch_size must be at least 1; got {batch_size}")
    if num_workers is not None and num_workers < 0:
        raise UsageError(f"num_workers must be at least 0; got {num_workers}")


def _references(
    benchmark: Manifest,
    clips: Sequence[Clip],
    data_dir: str | Path | None,
    pack: ReferencePack | None,
    extractors: Mapping[str, Extractor],
) -> References:
    if pack is not None:
        return PackReferences(pack, clips, extractors)
    folder = data_dir or benchmark.data_dir
    if folder is None:
        raise UsageError(
            f"the manifest {benchmark.name} needs the folder of its media: --data-dir (data_dir=...), or a reference"
            " pack: --reference-pack (reference_pack=...)"
        )
    return MediaReferences(clips, folder)


def _settle(clips: Sequence[Clip], problems: Sequence[Problem], on_error: OnError) -> Sequence[Clip]:
    """Return the clips that are scored, or raise: on any problem with ``fail``, on fewer than two clips always."""
    faulty = {problem.clip_id for problem in problems}
    good = [clip for clip in clips if clip.clip_id not in faulty] if faulty else clips
    if faulty and on_error == "fail":
        raise ProblemsError(f"{len(faulty)} of {len(clips)} clips cannot be scored", problems, SKIP_ADVICE)
    if len(good) < 2:
        raise ProblemsError(f"a distance between sets needs at least 2 clips; {len(good)} can be scored", problems)
    return good


__all__ = ["evaluate"]
