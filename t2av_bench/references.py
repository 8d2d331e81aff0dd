"""References of metric objects: embeddings of a folder of media, of a manifest, or of a reference pack."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from t2av_bench.errors import ProblemsError, UsageError
from t2av_bench.manifests import Manifest
from t2av_bench.media import probe
from t2av_bench.metrics import JointStats
from t2av_bench.models.extractors import ClipSource, Extractor
from t2av_bench.models.extractors.base import Float32Array
from t2av_bench.models.extractors.in_memory import clip_means, paired_rows
from t2av_bench.models.extractors.read_once import ReadOnceSource
from t2av_bench.naming import is_media, locate_media
from t2av_bench.packs.reading import ReferencePack
from t2av_bench.progress import progress_bar


def reference_clips(
    reference: str | Path | Manifest, data_dir: str | Path | None, blocks: Sequence[str]
) -> dict[str, ClipSource]:
    """Return the clips of a manifest, or the media files in and below a folder, each a clip, by their ids.

    The id of a file is its name without the ending.

    Raises
    ------
    UsageError
        If there are none, the manifest needs a folder, or captions are wanted of a folder.
    ProblemsError
        If clips of the manifest have no media.
    """
    if isinstance(reference, Manifest):
        clips, known = list(reference.clips()), data_dir or reference.data_dir
        if known is None:
            raise UsageError(f"the manifest {reference.name} needs the folder of its media: data_dir=...")
        media, problems = locate_media(clips, known)
        if problems:
            raise ProblemsError(f"{len(problems)} of {len(clips)} clips of the reference have no media", problems)
        return {
            clip.clip_id: ClipSource(media[clip.clip_id], clip.start_s, clip.duration_s, clip.caption) for clip in clips
        }
    if "text" in blocks:
        raise UsageError("a folder holds no captions: give a Manifest as the reference of a score over text")
    folder = Path(reference)
    files = sorted(path for path in folder.rglob("*") if path.is_file() and is_media(path))
    if not files:
        raise UsageError(
            f"{folder}: the reference must be a reference pack, or a folder of media files; there are none"
        )
    names = [path.stem for path in files]
    twice = [name for number, name in enumerate(names) if name in names[:number]]
    if twice:
        raise UsageError(f"{folder}: file names without their endings must differ; {twice[0]!r} is there twice")
    return {path.stem: ClipSource(path, 0.0, _duration_s(path, "video" in blocks)) for path in files}


def embedded_clips(
    sources: Iterable[ClipSource], extractors: Mapping[str, Extractor], *, clip_means: bool, progress: bool
) -> Iterator[dict[str, Float32Array]]:
    """Yield the embeddings of each clip, rows paired across blocks; one row per clip with ``clip_means``."""
    clips = list(sources)
    with progress_bar(len(clips), "embedding the reference", "clip", progress) as bar:
        for source in clips:
            shared = ReadOnceSource.of(source, extractors.values())
            found = {block: extractor.embed_batch(extractor.load(shared)) for block, extractor in extractors.items()}
            yield _means(found) if clip_means else paired_rows(found)
            bar.update()


def packed_clips(
    pack: ReferencePack, extractors: Mapping[str, Extractor], *, clip_means: bool
) -> Iterator[dict[str, Float32Array]]:
    """Yield the embeddings of each clip of a pack as :func:`embedded_clips` does those of media."""
    for place in range(len(pack.clips)):
        found = {block: pack.rows(extractor.name, place) for block, extractor in extractors.items()}
        yield _means(found) if clip_means else paired_rows(found)


def rows_of(
    clips: Iterator[dict[str, Float32Array]], names: Iterable[str]
) -> tuple[dict[str, Float32Array], list[str]]:
    """Return the rows of all clips, and the clip of each row."""
    kept = list(clips)
    ids = [name for name, clip in zip(names, kept, strict=True) for _ in range(len(next(iter(clip.values()))))]
    return {block: np.concatenate([clip[block] for clip in kept]) for block in kept[0]}, ids


def stats_of(clips: Iterator[dict[str, Float32Array]], dims: Mapping[str, int]) -> JointStats:
    """Return the statistics of all clips."""
    stats = JointStats(dims)
    for clip in clips:
        stats.update(**clip)
    return stats


def _means(found: Mapping[str, Float32Array]) -> dict[str, Float32Array]:
    return {block: clip_means(rows, np.zeros(len(rows), np.intp)) for block, rows in found.items()}


def _duration_s(path: Path, with_video: bool) -> float:
    info = probe(path)
    streams = [info.audio_duration_s, *([info.video_duration_s] if with_video else [])]
    return min(known_s or 0.0 for known_s in streams)
