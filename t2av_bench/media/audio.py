"""Sound of any file as mono float32 at a wanted rate."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt


def read_audio(
    path: str | Path, *, start_s: float = 0.0, duration_s: float | None = None
) -> tuple[npt.NDArray[np.float32], int]:
    """Read sound as stored: all channels at the file's own rate.

    Returns
    -------
    samples : numpy.ndarray, shape (samples, channels), float32
        Full scale is ±1; float files may exceed it. May be shorter than asked at the end of the file.
    sr_hz : int

    Raises
    ------
    MediaError
        If the file is missing, empty, unreadable, truncated, holds no sound, or the range lies past its end.
    """
    raise NotImplementedError


def read_clip_audio(path: str | Path, *, sr_hz: int, start_s: float, duration_s: float) -> npt.NDArray[np.float32]:
    """Read a clip's sound by the protocol: mean of channels, soxr HQ, exactly ``round(duration_s * sr_hz)`` samples.

    A shortfall of at most 0.1 s is padded with zeros.

    Raises
    ------
    MediaError
        As :func:`read_audio`; also if more than 0.1 s is missing, or a sample is NaN or infinite.
    """
    raise NotImplementedError
