"""Which frames a window of a clip gets, and how they are cropped: shared by the video networks."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from t2av_bench.models.extractors.windows import WINDOW_S, window_starts_s


def spread_times_s(duration_s: float, frames_n: int, hop_s: float = WINDOW_S) -> npt.NDArray[np.float64]:
    """Return the times of frames spread evenly over each window of a clip.

    Frame *k* of *n* is the one on screen at the middle of the *k*-th of *n* equal parts of the window's 0.96 s. In the
    middle of a part no rounding decides which frame it is: at 25 and at 30 frames per second, none of the times for 8
    or 16 frames falls on a change of frames.

    Returns
    -------
    numpy.ndarray, shape (windows, frames_n)
        Seconds from the start of the clip.
    """
    parts = (np.arange(frames_n) + 0.5) * (WINDOW_S / frames_n)
    return window_starts_s(duration_s, hop_s)[:, None] + parts


def centre_crop(frames: npt.NDArray[np.uint8], side: int) -> npt.NDArray[np.uint8]:
    """Cut the central square out of frames (..., height, width, 3); of an odd rest, the smaller half is cut first."""
    top, left = ((size - side) // 2 for size in frames.shape[-3:-1])
    return np.ascontiguousarray(frames[..., top : top + side, left : left + side, :])
