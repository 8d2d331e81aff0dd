"""Frames of any video at wanted times."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt


def read_frames(
    path: str | Path, times_s: npt.NDArray[np.float64], *, size: tuple[int, int] | None = None
) -> npt.NDArray[np.uint8]:
    """Read the frame that is on screen at each of the given times.

    Returns
    -------
    numpy.ndarray, shape (times, height, width, 3), uint8, RGB

    Raises
    ------
    MediaError
        If the file is missing, empty, unreadable or truncated, holds no pictures, or a time lies past its end by
        more than a frame and 0.1 s.
    """
    raise NotImplementedError
