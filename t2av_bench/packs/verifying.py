"""What in a reference pack can be checked here: against itself, the manifest, the extractors, and the media."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from t2av_bench.cache import EmbeddingCache, text_sha256
from t2av_bench.errors import PackError, PrerequisiteError, T2AVBenchError, UsageError, shown
from t2av_bench.extraction.checking import CheckReport, check_files
from t2av_bench.extraction.choice import make_extractor
from t2av_bench.extraction.embedding import embed_missing, read_embeddings
from t2av_bench.extraction.jobs import EmbeddingJob
from t2av_bench.manifests import Clip, Manifest, load_manifest, manifest_names
from t2av_bench.models.extractors import Extractor
from t2av_bench.packs.reading import PackedClip, ReferencePack
from t2av_bench.packs.references import check_clips, check_manifest, extractor_difference, rows_difference
from t2av_bench.planning import MediaReferences
from t2av_bench.progress import progress_bar
from t2av_bench.protocol import Protocol

# Of the largest magnitude in a clip: float16 rounds by half of it, and devices and decoders differ by less.
RECOMPUTED_TOLERANCE = 1e-3
_SHOWN = 3


@dataclass
class Verification:
    """What :func:`verify_pack` found, as clauses.

    Attributes
    ----------
    pack
        The pack, whose bytes are undamaged.
    held, unchecked, faults
        What is right, what could not be checked here and why, and what is wrong.
    """

    pack: ReferencePack
    held: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def verify_pack(
    path: str | Path,
    manifest: str | Path | Manifest | None = None,
    data_dir: str | Path | None = None,
    *,
    sample: int = 0,
    seed: int = 0,
    device: str = "auto",
    num_workers: int | None = None,
    progress: bool = True,
) -> Verification:
    """Check a pack.

    Parameters
    ----------
    path
        The pack.
    manifest
        Its manifest; by default the one of the pack's own name, if it is a name of the toolkit's.
    data_dir
        Folder of media, whose content must then be that which the pack was made of.
    sample
        Number of clips to embed again from ``data_dir``, drawn with ``seed``, on ``device``.
    num_workers, progress
        As in :func:`t2av_bench.evaluate`.

    Raises
    ------
    PackError
        If the file is damaged or no pack: then nothing else can be said of it.
    UsageError
        If clips are to be embedded again and there are no media.
    """
    if sample and data_dir is None:
        raise UsageError("--sample embeds clips again and needs their media: --data-dir (data_dir=...)")
    found = Verification(ReferencePack.open(path))
    found.held.append("the bytes have the SHA-256 that stands at the end, and the structure is that of a pack")
    _check_finite(found, progress)
    benchmark = _manifest(found, manifest)
    clips = {} if benchmark is None else _check_manifest(found, benchmark)
    extractors = _check_extractors(found, device)
    if data_dir is not None and clips:
        workers_n = min(os.cpu_count() or 1, 8) if num_workers is None else num_workers
        with tempfile.TemporaryDirectory(prefix="t2av-bench-") as folder:
            # A cache of its own: nothing that was computed before may answer.
            run = _Run(EmbeddingCache(folder), workers_n, progress)
            references = MediaReferences(list(clips.values()), data_dir)
            checked = _check_media(found, clips, references, run)
            if sample:
                same = [p.clip_id for p in found.pack.clips if _same(p, references, checked)]
                drawn = np.random.default_rng(seed).permutation(len(same))[:sample]
                chosen = [clips[same[place]] for place in sorted(drawn.tolist())]
                jobs = {clip.clip_id: references.jobs(clip, checked, extractors) for clip in chosen}
                _check_embeddings(found, jobs, run)
    return found


class _Run(NamedTuple):
    cache: EmbeddingCache
    workers_n: int
    progress: bool


def _check_finite(found: Verification, progress: bool) -> None:
    pack = found.pack
    names = list(pack.record["extractors"])
    with progress_bar(len(names) * len(pack.clips), "reading", "clip", progress) as bar:
        for name in names:
            try:
                for place in range(len(pack.clips)):
                    pack.rows(name, place)
                    bar.update()
            except PackError as error:
                found.faults.append(error.reason)
                return
    found.held.append(f"all embeddings of {len(names)} extractors are finite")


def _manifest(found: Verification, given: str | Path | Manifest | None) -> Manifest | None:
    if isinstance(given, Manifest):
        return given
    name = found.pack.record["manifest"]["name"]
    if given is None and name not in manifest_names():
        found.unchecked.append(f"the clips: the manifest {shown(name)} is none of the toolkit's; give it by --manifest")
        return None
    try:
        return load_manifest(name if given is None else given)
    except PrerequisiteError as error:
        found.unchecked.append(f"the clips: {error}")
        return None


def _check_manifest(found: Verification, benchmark: Manifest) -> dict[str, Clip]:
    """Return the manifest's clips that the pack has, by id, in the pack's order; none if it is another manifest."""
    pack, clips = found.pack, list(benchmark.clips())
    try:
        check_manifest(pack, benchmark)
        check_clips(pack, clips)
    except PackError as error:
        found.faults.append(error.reason)
        return {}
    by_id = {clip.clip_id: clip for clip in clips}
    held = {packed.clip_id: by_id[packed.clip_id] for packed in pack.clips}
    odd = [p.clip_id for p in pack.clips if text_sha256(held[p.clip_id].caption) != p.caption_sha256]
    if odd:
        found.faults.append(f"the captions of {_listed(odd)} are not the manifest's")
    else:
        found.held.append(f"clips, times and captions are those of {benchmark.name} version {benchmark.version}")
    if len(held) < len(clips):
        found.unchecked.append(
            f"{len(clips) - len(held)} of {len(clips)} clips of the manifest, which it does not hold"
        )
    return held


def _check_extractors(found: Verification, device: str) -> dict[str, Extractor]:
    """Return the extractors whose embeddings the pack has, by name."""
    record = found.pack.record
    made = {}
    for name, stored in record["extractors"].items():
        try:
            how = {key: stored["options"][key] for key in ("precision",) if key in stored["options"]}
            extractor = make_extractor(name, _protocol(record["protocol"]), device, how)
            reason = extractor_difference(stored, extractor) or rows_difference(found.pack, extractor)
        except PrerequisiteError as error:
            found.unchecked.append(f"the {shown(name)} features: {error}")
            continue
        except T2AVBenchError as error:
            found.faults.append(f"the {shown(name)} features are of no extractor here: {error}")
            continue
        if reason:
            found.faults.append(reason)
        else:
            made[name] = extractor
    if made:
        found.held.append(f"the features of {', '.join(made)} are those that this installation computes")
    return made


def _protocol(record: Mapping[str, object]) -> Protocol:
    return Protocol(**{key: value for key, value in record.items() if key != "reproduces"})  # type: ignore[arg-type]


def _check_media(found: Verification, clips: Mapping[str, Clip], references: MediaReferences, run: _Run) -> CheckReport:
    needs = [need for clip in clips.values() if clip.clip_id in references for need in references.needs(clip, {})]
    checked = check_files(needs, run.cache, num_workers=run.workers_n, progress=run.progress)
    faulty = {problem.clip_id for problem in (*references.problems, *checked.problems)}
    if faulty:
        found.unchecked.append(f"the media of {_listed(sorted(faulty))}, which are not here or cannot be used")
    here = [packed for packed in found.pack.clips if packed.clip_id not in faulty]
    other = [packed.clip_id for packed in here if not _same(packed, references, checked)]
    if other:
        found.faults.append(f"the media of {_listed(other)} are other files than those it was made of")
    if len(other) < len(here):
        found.held.append(f"{len(here) - len(other)} media files are those it was made of")
    return checked


def _same(packed: PackedClip, references: MediaReferences, checked: CheckReport) -> bool:
    path = references.media.get(packed.clip_id)
    found = None if path is None else checked.files.get(str(path))
    return found is not None and found.sha256 == packed.media_sha256


def _check_embeddings(found: Verification, jobs: Mapping[str, Mapping[str, EmbeddingJob]], run: _Run) -> None:
    """Embed clips again, by clip id and extractor."""
    wanted = [job for of_clip in jobs.values() for job in of_clip.values()]
    if not wanted:
        found.unchecked.append("embeddings made again: there is no clip or no extractor to make them with")
        return
    for extractor in {job.extractor.name: job.extractor for job in wanted}.values():
        extractor.check()
    wanted.sort(key=lambda job: job.extractor.name)
    failures = embed_missing(wanted, run.cache, batch_size=32, num_workers=run.workers_n, progress=run.progress)
    places = {packed.clip_id: place for place, packed in enumerate(found.pack.clips)}
    odd: dict[str, str] = {}
    for clip_id, of_clip in jobs.items():
        for name, job in of_clip.items():
            if job.key in failures:
                odd[name] = f"cannot be made again for {shown(clip_id)}: {failures[job.key]}"
                continue
            (ours,), theirs = read_embeddings([job], run.cache), found.pack.rows(name, places[clip_id])
            apart = float(np.abs(ours - theirs).max()) / max(float(np.abs(ours).max()), 1e-12)
            if apart > RECOMPUTED_TOLERANCE:
                odd[name] = f"made again for {shown(clip_id)} differ by {apart:.1e} of the largest"
    found.faults += [f"{name} features {what}" for name, what in odd.items()]
    if not odd:
        found.held.append(f"{len(jobs)} clips embedded again give the same to {RECOMPUTED_TOLERANCE:g}")


def _listed(clip_ids: Sequence[str]) -> str:
    more = ", …" if len(clip_ids) > _SHOWN else ""
    return f"{len(clip_ids)} clips ({', '.join(shown(clip_id) for clip_id in clip_ids[:_SHOWN])}{more})"
