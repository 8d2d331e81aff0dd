"""Embeddings of clips that are arrays already, by the extractors that read files."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from t2av_bench.errors import MetricError, UsageError
from t2av_bench.media.in_memory import clip_signal, frames_at
from t2av_bench.models.extractors.base import AudioExtractor, Extractor, Float32Array, TextExtractor, VideoExtractor

BATCH_N = 32


class ClipBatch(NamedTuple):
    """Clips in memory; every field has one entry per clip.

    Attributes
    ----------
    audio
        Sound of shape (samples,) or (channels, samples), float, full scale ±1.
    sr_hz
        Its rate, the same for all clips.
    video
        Frames of shape (frames, height, width, 3), uint8, RGB; None if no extractor needs them.
    fps
        Their rate, the same for all clips.
    text
        Captions; None if no extractor needs them.
    duration_s
        Nominal duration of each clip in seconds; None takes that of the frames, or of the sound where there are none.
    """

    audio: Sequence[npt.NDArray[Any]]
    sr_hz: int
    video: Sequence[npt.NDArray[np.uint8]] | None = None
    fps: float | None = None
    text: Sequence[str] | None = None
    duration_s: Sequence[float] | None = None


def embed_clips(
    extractors: Mapping[str, Extractor], clips: ClipBatch
) -> tuple[dict[str, Float32Array], npt.NDArray[np.intp]]:
    """Embed clips in memory.

    Parameters
    ----------
    extractors
        Extractor of each part: ``audio``, ``video`` and ``text``, as far as they are wanted.
    clips
        The clips.

    Returns
    -------
    rows : dict
        For each part an array of shape (rows, dim), float32: the windows of the first clip, then of the next. They pair
        across parts; what a clip has once (a caption) is repeated.
    places : numpy.ndarray, shape (rows,)
        Number of the clip of each row.

    Raises
    ------
    UsageError
        If what an extractor needs was not given, or a rate is not above 0.
    MetricError
        If there are no clips, numbers of clips differ, a clip is too short, or an array does not fit.
    """
    for name, rate in (("sr_hz", clips.sr_hz), ("fps", clips.fps)):
        if rate is not None and not 0.0 < rate < math.inf:
            raise UsageError(f"`{name}` must be above 0 and finite; got {rate:g}")
    if not len(clips.audio):
        raise MetricError("a batch must hold at least one clip; got none")
    durations_s = _durations_s(clips)
    parts = {part: _embedded(extractor, clips, durations_s) for part, extractor in extractors.items()}
    if min(len(rows) for found in parts.values() for rows in found) == 0:
        raise MetricError(f"every clip must last 0.975 s, which is one window; got {min(durations_s):.3f} s")
    paired = [paired_rows(dict(zip(parts, clip, strict=True))) for clip in zip(*parts.values(), strict=True)]
    windows_n = [len(next(iter(clip.values()))) for clip in paired]
    rows = {part: np.concatenate([clip[part] for clip in paired]) for part in parts}
    return rows, np.repeat(np.arange(len(windows_n)), windows_n)


def paired_rows(parts: Mapping[str, Float32Array]) -> dict[str, Float32Array]:
    """Repeat what a clip has once, such as its caption, for each of its windows."""
    windows_n = max(map(len, parts.values()))
    return {part: np.repeat(rows, windows_n, axis=0) if len(rows) == 1 else rows for part, rows in parts.items()}


def clip_means(rows: Float32Array, places: npt.NDArray[np.intp]) -> Float32Array:
    """Return the mean row of each clip, shape (clips, dim), of rows whose clips are numbered from 0 on."""
    starts = np.flatnonzero(np.diff(places, prepend=-1))
    sums = np.add.reduceat(rows.astype(np.float64), starts, axis=0)
    means: Float32Array = (sums / np.bincount(places)[:, None]).astype(np.float32)
    return means


def _durations_s(clips: ClipBatch) -> list[float]:
    for name in ("video", "text", "duration_s"):
        given = getattr(clips, name)
        if given is not None and len(given) != len(clips.audio):
            raise MetricError(f"`{name}` must have an entry for each of the {len(clips.audio)} clips; got {len(given)}")
    if clips.duration_s is not None:
        return [float(duration) for duration in clips.duration_s]
    if clips.video is not None and clips.fps:
        return [len(frames) / clips.fps for frames in clips.video]
    return [samples.shape[-1] / clips.sr_hz for samples in clips.audio]


def _embedded(extractor: Extractor, clips: ClipBatch, durations_s: list[float]) -> list[Float32Array]:
    """Embed one part of every clip."""
    if isinstance(extractor, TextExtractor):
        if clips.text is None:
            raise UsageError(f"{extractor.name} needs captions: text=[...]")
        return [row[None] for row in extractor.embed_captions(list(clips.text))]
    if isinstance(extractor, VideoExtractor):
        if clips.video is None or not clips.fps:
            raise UsageError(f"{extractor.name} needs frames and their rate: video=[...], fps=...")
        inputs = [_video_rows(extractor, x, clips.fps, s) for x, s in zip(clips.video, durations_s, strict=True)]
    elif isinstance(extractor, AudioExtractor):
        inputs = [_audio_rows(extractor, x, clips.sr_hz, s) for x, s in zip(clips.audio, durations_s, strict=True)]
    else:
        raise UsageError(f"{extractor.name} cannot embed arrays: it is no extractor of sound, pictures or text")
    return _in_batches(extractor, inputs)


def _audio_rows(
    extractor: AudioExtractor, samples: npt.NDArray[Any], sr_hz: int, duration_s: float
) -> npt.NDArray[Any]:
    front_end = extractor.front_end
    signal = clip_signal(samples, sr_hz, wanted_sr_hz=extractor.sr_hz, duration_s=duration_s, front_end=front_end)
    return extractor.windows(signal, front_end.length_s(duration_s))


def _video_rows(extractor: VideoExtractor, frames: npt.NDArray[np.uint8], fps: float, duration_s: float) -> Any:
    times_s = extractor.frame_times_s(duration_s)
    found = frames_at(frames, fps, times_s.ravel(), extractor.frame_size)
    return extractor.windows(found.reshape(*times_s.shape, *found.shape[1:]))


def _in_batches(extractor: Extractor, inputs: list[npt.NDArray[Any]]) -> list[Float32Array]:
    """Run the network on rows of several clips at once; clips of another length may give rows of another shape."""
    embedded: list[Float32Array] = []
    for _, group in groupby(inputs, key=lambda rows: rows.shape[1:]):
        clips = list(group)
        rows = np.concatenate(clips)
        starts = range(0, len(rows), BATCH_N)
        done = [extractor.embed_batch(rows[start : start + BATCH_N]) for start in starts]
        counts = np.cumsum([len(clip) for clip in clips])[:-1]
        joined = np.concatenate(done) if done else np.zeros((0, extractor.dim), np.float32)
        embedded += np.split(joined, counts)
    return embedded
