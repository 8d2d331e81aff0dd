"""What a user gives the pipeline, checked and brought to its shapes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from t2av_bench.errors import UsageError, no_such_name
from t2av_bench.media import TOLERANCE_S, MediaInfo
from t2av_bench.models.t2av.reading import probe_video, read_pictures

SHORTEST_S = 0.2
LONGEST_S = 120.0
"""Longer clips would not fit into the memory of common devices; they can be cut."""

OUTPUT_TYPES = ("np", "pt", "mel", "latent")

Video = str | Path
OptionalVideos = Video | Sequence[Video | None] | None


def checked_length_s(length_s: float) -> float:
    """Return a clip's length if it can be generated.

    Raises
    ------
    UsageError
        If it is no number from 0.2 to 120 s.
    """
    if not (math.isfinite(length_s) and SHORTEST_S <= length_s <= LONGEST_S):
        raise UsageError(f"a clip must be {SHORTEST_S} to {LONGEST_S:.0f} s long, got {length_s:g} s")
    return float(length_s)


def video_list(video: OptionalVideos, clips_n: int) -> list[Video | None]:
    """Return a video, or None, for each clip.

    Raises
    ------
    UsageError
        If their number is another.
    """
    if video is None:
        return [None] * clips_n
    videos: list[Video | None] = [video] if isinstance(video, (str, Path)) else list(video)
    if len(videos) != clips_n:
        raise UsageError(f"there must be a video, or None, for each of the {clips_n} prompts; got {len(videos)}")
    return videos


def videos_length_s(videos: Sequence[Video | None], default_s: float) -> float:
    """Return the length that all videos share, or the default where there is none.

    Raises
    ------
    MediaError
        If a file cannot be read, or holds no pictures.
    UsageError
        If the lengths differ, or a file does not tell.
    """
    lengths_s = {video: stated_length_s(probe_video(video), video) for video in videos if video is not None}
    if not lengths_s:
        return default_s
    shortest_s, longest_s = min(lengths_s.values()), max(lengths_s.values())
    # Small differences come from time stamps.
    if longest_s - shortest_s > TOLERANCE_S:
        raise UsageError(f"the videos last {shortest_s:.2f} to {longest_s:.2f} s; give the length of the sounds")
    return longest_s


def stated_length_s(info: MediaInfo, path: Video) -> float:
    """Return how long a video says it is.

    Raises
    ------
    UsageError
        If it does not tell, or is too short for a sound.
    """
    if info.video_duration_s is None:
        raise UsageError(f"{path} does not say how long it is; give the length of the sound")
    if info.video_duration_s < SHORTEST_S:
        raise UsageError(f"the video lasts only {info.video_duration_s:.2f} s; give the length of the sound")
    return info.video_duration_s


def checked_negatives(negative: str | Sequence[str] | None, clips_n: int) -> list[str]:
    """Return a negative caption for each clip; the empty one by default.

    Raises
    ------
    UsageError
        If their number is another.
    """
    negatives = [""] * clips_n if negative is None else as_list(negative)
    if isinstance(negative, str):
        negatives *= clips_n
    if len(negatives) != clips_n:
        raise UsageError(f"there must be one negative prompt, or one per prompt ({clips_n}); got {len(negatives)}")
    return negatives


def given_pictures(
    pipeline: Any, clips_n: int, video: OptionalVideos, frames: Any, length_s: float | None
) -> tuple[list[torch.Tensor | None], float]:
    """Return each clip's pictures (frames, 3, height, width) in [0, 1], or None, and the length of all clips.

    Parameters
    ----------
    pipeline
        A ``T2AVPipeline``, which knows how many pictures of what size it needs.
    clips_n
        How many prompts there are.
    video, frames, length_s
        As in the pipeline's call.

    Raises
    ------
    MediaError
        If a video cannot be read, or holds no pictures.
    UsageError
        If video and frames contradict each other, the number of prompts, or the length.
    """
    config = pipeline.config
    if video is not None and frames is not None:
        raise UsageError("give a video or frames, not both")
    if (video is not None or frames is not None) and pipeline.frame_encoder is None:
        raise UsageError("this pipeline has no frame encoder, so that it can use no video")
    if frames is not None:
        given = frames_tensor(frames)
        if len(given) != clips_n:
            raise UsageError(f"there must be frames for each of the {clips_n} prompts, got {len(given)} clips")
        shown_s = given.shape[1] / config.frame_rate_hz
        return list(given), checked_length_s(shown_s if length_s is None else length_s)
    videos = video_list(video, clips_n)
    length_s = checked_length_s(videos_length_s(videos, config.duration_s) if length_s is None else length_s)
    jobs = [None if path is None else pipeline.picture_job(path, length_s) for path in videos]
    return [None if job is None else as_pictures(read_pictures(job)) for job in jobs], length_s


def as_pictures(pixels: npt.NDArray[np.uint8]) -> torch.Tensor:
    """Turn bytes (frames, height, width, 3) into floats in [0, 1], (frames, 3, height, width)."""
    return torch.from_numpy(pixels).movedim(-1, -3).float() / 255


def frames_tensor(frames: torch.Tensor | np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> torch.Tensor:
    """Return pictures (batch, frames, 3, height, width) as floats in [0, 1].

    Parameters
    ----------
    frames
        Such floats, or bytes from 0 to 255; a NumPy array has its colours last. A single clip may lack the batch.

    Raises
    ------
    UsageError
        If the shape or the values are others.
    """
    if isinstance(frames, np.ndarray):
        frames = torch.from_numpy(np.ascontiguousarray(frames))
        # In a tensor's own order: some convolutions round otherwise where colours lie last.
        frames = frames.movedim(-1, -3).contiguous() if frames.ndim >= 4 else frames
    if frames.ndim == 4:
        frames = frames[None]
    if frames.ndim != 5 or frames.shape[2] != 3 or 0 in frames.shape:
        raise UsageError(
            "frames must have the shape (batch, frames, 3, height, width), or as a NumPy array (batch, frames, height, "
            f"width, 3), got {tuple(frames.shape)}"
        )
    if frames.dtype == torch.uint8:
        return frames.float() / 255
    if not frames.is_floating_point() or not bool(((frames >= 0) & (frames <= 1)).all()):
        raise UsageError(f"frames must be bytes, or floats in [0, 1], got {frames.dtype} outside of that")
    return frames


def as_list(prompt: str | Sequence[str]) -> list[str]:
    """Return captions as a list.

    Raises
    ------
    UsageError
        If one is no text, or there is none.
    """
    captions = [prompt] if isinstance(prompt, str) or not isinstance(prompt, Sequence) else list(prompt)
    if not captions or not all(isinstance(caption, str) for caption in captions):
        raise UsageError(f"a prompt must be a text or a list of texts, got {prompt!r}")
    return captions


def check_choices(output_type: str, candidates_n: int, steps_n: int | None, most_steps_n: int) -> None:
    """Check what a call chooses besides its clips: what comes out, candidates per caption, steps of the sampler.

    Raises
    ------
    UsageError
        If there is no such output type, or the numbers are out of range or do not go with it.
    """
    if output_type not in OUTPUT_TYPES:
        raise no_such_name(f"There is no output type named {output_type!r}", output_type, OUTPUT_TYPES)
    if candidates_n < 1:
        raise UsageError(f"the number of candidates must be at least 1, got {candidates_n}")
    if candidates_n > 1 and output_type in ("mel", "latent"):
        raise UsageError(f"candidates are compared as sounds, so the output type must be np or pt, got {output_type}")
    if steps_n is not None and not 1 <= steps_n <= most_steps_n:
        raise UsageError(f"the number of steps must be from 1 to {most_steps_n}, got {steps_n}")
